//! A task that holds one instance.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use wasmtime_wasi_http::handler::Proxy;

use super::refusal::NoInstance;
use super::slot::{Job, Slot};
use super::{Server, wasip2, wasip3};
use crate::exit::Ended;
use crate::guest::{self, ComponentState, Given, Limited, store};
use crate::limiter::Limiter;
use crate::meter::Metered;

/// What a worker has.
pub(super) struct Worker {
    pub(super) server: Arc<Server>,
    pub(super) slot: Arc<Slot>,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
    /// Room among the server's instances, and among those of all servers.
    pub(super) room: [OwnedSemaphorePermit; 2],
}

impl Worker {
    /// Makes the instance and serves until it has had its requests, was idle, or failed. What it failed of is in the
    /// container's log.
    pub(super) async fn work(self) {
        let Self { server, slot, jobs, room } = self;
        let _counted = server.run.stats.instance();
        let program = &server.run.program;
        let working = Metered::new(work(&server, &slot, jobs), program.clock.clone(), program.cpu.clone());
        let ended = tokio::select! {
            biased;
            () = slot.overdue(server.settings.after_response) => return,
            ended = working => ended,
        };
        if ended.result.is_err() {
            let verdict = ended.verdict();
            program.handlers.failed(verdict.reason);
            server.run.complain(&verdict.message);
        }
        // What waits for room may go on when the instance is gone.
        drop(room);
    }
}

async fn work(server: &Server, slot: &Slot, mut jobs: mpsc::UnboundedReceiver<Job>) -> Ended {
    let program = &server.run.program;
    let (given, handler) = match (given(server).await, program.linked.handler()) {
        (Ok(given), Ok(handler)) => (given, handler),
        (Err(error), _) | (_, Err(error)) => return failed(jobs, wasmtime::Error::msg(error.to_string()), false),
    };
    let mut store = store(handler.engine(), ComponentState::new(given));
    let proxy = match handler.instantiate(&mut store).await {
        Ok(proxy) => proxy,
        Err(error) => return failed(jobs, error, store.data_mut().limiter().denied()),
    };
    let idle = server.settings.instance_idle;
    let result = match &proxy {
        Proxy::P2(proxy) => wasip2::serve(&mut store, proxy, slot, &mut jobs, idle).await,
        Proxy::P3(_) => wasip3::serve(&mut store, &proxy, slot, &mut jobs, idle).await,
    };
    if result.is_err() {
        slot.fail()
    } else {
        slot.retire()
    }
    Ended { result: result.map(|()| 0), denied: store.data_mut().limiter().denied() }
}

/// What the instance is given. Directories are opened away from the guests' threads.
async fn given(server: &Server) -> Result<Given, wasmnode_provider_api::Error> {
    let run = server.run.clone();
    let limiter = Limiter::new(run.program.memory.clone());
    let network = run.program.network.clone();
    let open = move || guest::open(&run.spec, &run.spec.argv, false, &run.streams.by_line());
    let wasi = if server.run.spec.mounts.is_empty() { open()? } else { server.run.program.blocking(open).await? };
    Ok(Given { wasi, limiter, network })
}

/// Tells all that wait that there is no instance.
fn failed(mut jobs: mpsc::UnboundedReceiver<Job>, error: wasmtime::Error, denied: bool) -> Ended {
    let none = NoInstance::of(&error);
    jobs.close();
    while let Ok(job) = jobs.try_recv() {
        let _left = job.reply.send(Err(none.clone().into()));
    }
    Ended { result: if none.full { Ok(0) } else { Err(error) }, denied }
}
