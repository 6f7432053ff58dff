//! What a guest is given, and the stores that hold it.

use std::sync::Arc;

use wasmnode_provider_api::{Error, RunSpec};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::client::Hooks;
use crate::limiter::Limiter;
use crate::mounts;
use crate::net::Network;
use crate::stdio::{GuestInput, GuestOutput, Output, Pipe, Stream};

/// Ticks that a guest may compute before others get their turn.
const TICKS_PER_TURN: u64 = 1;

/// Bytes that one host call copies from the guest at most.
const HOSTCALL_BYTES: usize = 128 << 20;

/// Handles of a guest at most: open files, streams, pollables. Files are descriptors of the process, which all guests
/// share, so that a guest that leaks them must find its end long before the others do.
const MAX_HANDLES: usize = 4096;

/// Random bytes per call.
const MAX_RANDOM: u64 = 16 << 20;

/// The standard streams of a guest; no input is at end-of-file from the start.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<Arc<Pipe>>,
    pub(crate) output: Arc<Output>,
    /// The output is shared with other instances.
    pub(crate) by_line: bool,
}

/// What an instance is made with.
pub(crate) struct Given {
    pub(crate) wasi: WasiCtxBuilder,
    pub(crate) limiter: Limiter,
    pub(crate) network: Arc<Network>,
}

/// Store data of a core module.
pub(crate) struct ModuleState {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) limiter: Limiter,
}

/// Store data of a component.
pub(crate) struct ComponentState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    limiter: Limiter,
}

impl Streams {
    /// For one of many instances at the same time: they print whole lines, and none has the input.
    pub(crate) fn by_line(&self) -> Self {
        Self { stdin: None, output: self.output.clone(), by_line: true }
    }
}

/// Data of a store that is held to a budget.
pub(crate) trait Limited: Send + 'static {
    fn limiter(&mut self) -> &mut Limiter;
}

/// Opens what a guest of the run is given, with its own arguments or those of an exec. Blocks for as long as the
/// host's file systems do.
///
/// # Errors
/// [`wasmnode_provider_api::StartFailure::Invalid`] for a mount that cannot be used.
pub(crate) fn open(run: &RunSpec, argv: &[String], tty: bool, streams: &Streams) -> Result<WasiCtxBuilder, Error> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(argv).envs(&run.env).max_random_size(MAX_RANDOM).allow_tcp(false).allow_udp(false);
    if let Some(cwd) = &run.cwd {
        wasi.initial_cwd(cwd);
        // Preview 1 has no working directory; libraries and shells look here.
        if !run.env.iter().any(|(name, _)| name == "PWD") {
            wasi.env("PWD", cwd);
        }
    }
    if let Some(pipe) = &streams.stdin {
        wasi.stdin(GuestInput::new(pipe.clone(), tty));
    }
    let output = |stream| match streams.by_line {
        true => GuestOutput::by_line(streams.output.clone(), stream),
        false => GuestOutput::new(streams.output.clone(), stream, tty),
    };
    wasi.stdout(output(Stream::Stdout));
    // A terminal has one output.
    wasi.stderr(output(if tty { Stream::Stdout } else { Stream::Stderr }));
    mounts::preopen(&mut wasi, &run.mounts)?;
    Ok(wasi)
}

impl ModuleState {
    pub(crate) fn new(mut wasi: WasiCtxBuilder, limiter: Limiter) -> Self {
        let mut wasi = wasi.build_p1();
        wasi.ctx().table.set_max_capacity(MAX_HANDLES);
        Self { wasi, limiter }
    }
}

impl ComponentState {
    pub(crate) fn new(given: Given) -> Self {
        let Given { mut wasi, limiter, network } = given;
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { wasi: wasi.build(), http: WasiHttpCtx::new(), hooks: Hooks::new(network), table, limiter }
    }
}

impl Limited for ModuleState {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl Limited for ComponentState {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// A store that is held to its limits and gives way.
pub(crate) fn store<T: Limited>(engine: &wasmtime::Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| data.limiter());
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.as_context_mut().set_max_component_handles(MAX_HANDLES);
    store.set_epoch_deadline(TICKS_PER_TURN);
    store.epoch_deadline_async_yield_and_update(TICKS_PER_TURN);
    store
}
