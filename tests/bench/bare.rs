//! The peer: the same guest in wasmtime with its default settings, embedded as its own documentation shows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

/// A linked guest.
pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<WasiP1Ctx>,
}

impl Bare {
    pub(crate) fn new(wasm: &[u8]) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, wasm).map_err(anyhow::Error::from)?;
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_async(&mut linker, |ctx| ctx).map_err(anyhow::Error::from)?;
        let pre = linker.instantiate_pre(&module).map_err(anyhow::Error::from)?;
        Ok(Self { engine, pre })
    }

    fn store(&self) -> Store<WasiP1Ctx> {
        Store::new(&self.engine, WasiCtxBuilder::new().arg("hello.wasm").build_p1())
    }

    /// Time to make a store and an instance.
    pub(crate) async fn instantiate(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut store = self.store();
        self.pre.instantiate_async(&mut store).await.map_err(anyhow::Error::from)?;
        Ok(began.elapsed())
    }

    /// Time to do so and run the guest to its end.
    pub(crate) async fn run(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut store = self.store();
        let instance = self.pre.instantiate_async(&mut store).await.map_err(anyhow::Error::from)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(anyhow::Error::from)?;
        match start.call_async(&mut store, ()).await {
            Ok(()) => {}
            Err(error) => {
                let exit = error.downcast_ref::<I32Exit>().context("the guest trapped")?;
                anyhow::ensure!(exit.0 == 0, "the guest ended with {}", exit.0);
            }
        }
        Ok(began.elapsed())
    }
}
