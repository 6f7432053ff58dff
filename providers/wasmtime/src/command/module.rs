//! Core modules with WASI preview 1.

use wasmnode_provider_api::{Error, StartFailure};
use wasmtime::{Engine, InstancePre, Module, Store};
use wasmtime_wasi::{I32Exit, p0, p1};

use crate::entered::Entered;
use crate::exit::Ended;
use crate::guest::{Given, Limited, ModuleState, store};
use crate::imports;
use crate::world;

pub(crate) type Linker = wasmtime::Linker<ModuleState>;

/// A linked core module.
pub(crate) struct ModuleCommand(InstancePre<ModuleState>);

pub(crate) fn linker(engine: &Engine) -> Result<Linker, wasmtime::Error> {
    let mut linker = Linker::new(engine);
    p0::add_to_linker_async(&mut linker, |state: &mut ModuleState| &mut state.wasi)?;
    p1::add_to_linker_async(&mut linker, |state: &mut ModuleState| &mut state.wasi)?;
    linker.allow_shadowing(true);
    for snapshot in ["wasi_unstable", "wasi_snapshot_preview1"] {
        // The engine's own refuses codes from 126 up, which programs do use.
        linker.func_wrap(snapshot, "proc_exit", proc_exit)?;
    }
    linker.allow_shadowing(false);
    Ok(linker)
}

fn proc_exit(code: i32) -> Result<(), wasmtime::Error> {
    Err(I32Exit(code & 0xff).into())
}

impl ModuleCommand {
    pub(crate) fn link(linker: &Linker, module: &Module) -> Result<Self, Error> {
        world::module(module)?;
        imports::of_module(linker, module)?;
        let linked = linker.instantiate_pre(module);
        linked.map(Self).map_err(|e| Error::Start(StartFailure::Invalid(format!("module cannot be linked: {e:#}"))))
    }

    pub(super) async fn run(&self, given: Given, entered: &Entered) -> Ended {
        let mut store = store(self.0.module().engine(), ModuleState::new(given.wasi, given.limiter));
        let result = self.enter(&mut store, entered).await;
        Ended { result, denied: store.data_mut().limiter().denied() }
    }

    async fn enter(&self, store: &mut Store<ModuleState>, entered: &Entered) -> Result<i32, wasmtime::Error> {
        let instance = entered.watch(self.0.instantiate_async(&mut *store)).await?;
        let start = instance.get_typed_func::<(), ()>(&mut *store, world::START)?;
        entered.signal();
        start.call_async(&mut *store, ()).await.map(|()| 0)
    }
}
