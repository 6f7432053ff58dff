//! Components that export `wasi:cli/run` 0.3. They may import 0.2 as well, as many do whose library still does.

use wasmnode_provider_api::Error;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};
use wasmtime_wasi::p3;
use wasmtime_wasi::p3::bindings::CommandPre;

use super::component::{self, Linker, not_a_command};
use crate::entered::Entered;
use crate::exit::Ended;
use crate::guest::{ComponentState, Given, Limited, store};

/// A linked component.
pub(crate) struct Component3Command(CommandPre<ComponentState>);

pub(crate) fn linker(engine: &Engine) -> Result<Linker, wasmtime::Error> {
    let mut linker = component::linker(engine)?;
    p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}

impl Component3Command {
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
        let called = store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await);
        let result = called.await??;
        Ok(i32::from(result.is_err()))
    }
}
