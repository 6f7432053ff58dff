//! What an artifact can be started as, linked against what this host offers.

use wasmnode_provider_api::{EngineName, Error, StartFailure};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::command::{self, Command, Component3Command, ComponentCommand, ModuleCommand};
use crate::http::Handler;
use crate::world::{self, Handles, Runs};

/// A linked artifact: a program, a handler of requests, or both.
pub(crate) struct Linked {
    command: Option<Command>,
    handler: Option<Handler>,
    /// What it exports, for people.
    exports: String,
}

/// The linkers of an engine, made once.
pub(crate) struct Linkers {
    module: command::ModuleLinker,
    component: command::ComponentLinker,
}

fn world_error(message: String) -> Error {
    Error::Start(StartFailure::World(message))
}

// === impl Linkers ===

impl Linkers {
    pub(crate) fn new(engine: &Engine, name: EngineName) -> Result<Self, wasmtime::Error> {
        let component = match name {
            EngineName::Base => command::linker2(engine)?,
            EngineName::Wasip3 => command::linker3(engine)?,
        };
        Ok(Self { module: command::module_linker(engine)?, component })
    }

    pub(crate) fn link_module(&self, module: &Module) -> Result<Linked, Error> {
        let command = ModuleCommand::link(&self.module, module).map(Command::Module)?;
        Ok(Linked { command: Some(command), handler: None, exports: world::START.to_owned() })
    }

    pub(crate) fn link_component(&self, component: &Component) -> Result<Linked, Error> {
        let world = world::component(component)?;
        let linked = command::link(&self.component, component)?;
        let command = world.runs.map(|runs| match runs {
            Runs::Wasip2 => ComponentCommand::new(linked.clone()).map(Command::Component),
            Runs::Wasip3 => Component3Command::new(linked.clone()).map(Command::Component3),
        });
        let handler = world.handles.map(|handles| match handles {
            Handles::Wasip2 => Handler::wasip2(linked.clone()),
            Handles::Wasip3 => Handler::wasip3(linked.clone()),
        });
        Ok(Linked { command: command.transpose()?, handler: handler.transpose()?, exports: world.exports })
    }
}

// === impl Linked ===

impl Linked {
    /// # Errors
    /// [`StartFailure::World`] for what only handles requests.
    pub(crate) fn command(&self) -> Result<&Command, Error> {
        let exports = &self.exports;
        self.command.as_ref().ok_or_else(|| {
            world_error(format!("the component is not a program: it has no wasi:cli/run, its exports are: {exports}"))
        })
    }

    /// # Errors
    /// [`StartFailure::World`] for what is a program only.
    pub(crate) fn handler(&self) -> Result<&Handler, Error> {
        let exports = &self.exports;
        self.handler.as_ref().ok_or_else(|| {
            world_error(format!(
                "it is not an HTTP server: it has no wasi:http/incoming-handler and no wasi:http/handler, its exports \
                 are: {exports}"
            ))
        })
    }
}
