//! Programs that run once, from `_start` or `wasi:cli/run` to their end. One file per kind of program.

mod component;
mod component3;
mod module;

use wasmnode_provider_api::{EngineName, Error};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi::WasiCtxBuilder;

pub(crate) use component::ComponentCommand;
pub(crate) use component3::Component3Command;
pub(crate) use module::ModuleCommand;

use crate::entered::Entered;
use crate::exit::Ended;
use crate::limiter::Limiter;

/// A linked program, ready to be started any number of times.
pub(crate) enum Command {
    Module(ModuleCommand),
    Component(ComponentCommand),
    Component3(Component3Command),
}

/// The linkers of an engine, made once.
pub(crate) struct Linkers {
    module: module::Linker,
    component: component::Linker,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine, name: EngineName) -> Result<Self, wasmtime::Error> {
        let component = match name {
            EngineName::Base => component::linker(engine)?,
            EngineName::Wasip3 => component3::linker(engine)?,
        };
        Ok(Self { module: module::linker(engine)?, component })
    }

    pub(crate) fn link_module(&self, module: &wasmtime::Module) -> Result<Command, Error> {
        ModuleCommand::link(&self.module, module).map(Command::Module)
    }

    pub(crate) fn link_component(&self, component: &Component) -> Result<Command, Error> {
        let runs = crate::world::component(component)?;
        let linked = component::link(&self.component, component)?;
        match runs {
            crate::world::Runs::Wasip2 => ComponentCommand::new(linked).map(Command::Component),
            crate::world::Runs::Wasip3 => Component3Command::new(linked).map(Command::Component3),
        }
    }
}

impl Command {
    /// Instantiates the program and runs it to its end. Dropping the future ends the guest at once.
    pub(crate) async fn run(&self, wasi: WasiCtxBuilder, limiter: Limiter, entered: &Entered) -> Ended {
        match self {
            Self::Module(command) => command.run(wasi, limiter, entered).await,
            Self::Component(command) => command.run(wasi, limiter, entered).await,
            Self::Component3(command) => command.run(wasi, limiter, entered).await,
        }
    }
}
