//! Components that export `wasi:cli/run` 0.2.

use wasmnode_provider_api::{EngineName, Error, StartFailure};
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::entered::Entered;
use crate::exit::Ended;
use crate::guest::{ComponentState, Given, Limited, store};
use crate::imports;

pub(crate) type Linker = wasmtime::component::Linker<ComponentState>;

/// A linked component.
pub(crate) struct ComponentCommand(CommandPre<ComponentState>);

pub(crate) fn linker(engine: &Engine) -> Result<Linker, wasmtime::Error> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

pub(crate) fn link(linker: &Linker, component: &Component) -> Result<InstancePre<ComponentState>, Error> {
    let concurrent = linker.engine().get_concurrency_support();
    let engine = if concurrent { EngineName::Wasip3 } else { EngineName::Base };
    linker.instantiate_pre(component).map_err(|e| imports::of_component(engine, component, &e))
}

pub(super) fn not_a_command(error: &wasmtime::Error) -> Error {
    Error::Start(StartFailure::World(format!("the component's wasi:cli/run cannot be called: {error:#}")))
}

impl ComponentCommand {
    pub(crate) fn new(linked: InstancePre<ComponentState>) -> Result<Self, Error> {
        CommandPre::new(linked).map(Self).map_err(|e| not_a_command(&e))
    }

    pub(super) async fn run(&self, given: Given, entered: &Entered) -> Ended {
        let mut store = store(self.0.engine(), ComponentState::new(given));
        let result = self.enter(&mut store, entered).await;
        Ended { result, denied: store.data_mut().limiter().denied() }
    }

    async fn enter(&self, store: &mut Store<ComponentState>, entered: &Entered) -> Result<i32, wasmtime::Error> {
        let command = entered.watch(self.0.instantiate_async(&mut *store)).await?;
        entered.signal();
        let result = command.wasi_cli_run().call_run(&mut *store).await?;
        Ok(i32::from(result.is_err()))
    }
}
