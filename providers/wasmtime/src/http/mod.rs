//! HTTP servers: components that export `wasi:http/incoming-handler` 0.2 or `wasi:http/handler` 0.3.
//!
//! ```text
//!  listeners ─accept→ connection ─request→ service ─seat→ instances ─job→ worker: a store with one instance
//! ```
//!
//! The run owns the listeners; an instance exists only while there is something to do for it. 0.2 has no way for an
//! instance to serve two requests at a time, and gets a new one for each request unless the settings say otherwise;
//! 0.3 shares one among many. The queue, the pool and the worker are ours rather than `wasmtime_wasi_http::handler`'s,
//! because theirs neither lets a container's CPU and memory be held to its limits nor bounds what waits.

mod activity;
mod body;
mod connection;
mod handler;
mod instances;
mod listeners;
mod refusal;
mod service;
mod slot;
mod stats;
mod tasks;
mod wasip2;
mod wasip3;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Error, HttpSettings};

pub(crate) use handler::Handler;
pub(crate) use stats::{Handlers, Stats};

use crate::entered::Entered;
use crate::registry::Registry;
use crate::run::Run;
use instances::Instances;
use listeners::Listeners;
use tasks::Tasks;

/// One HTTP server, from its first listener to its last instance.
pub(crate) struct Server {
    run: Arc<Run>,
    registry: Arc<Registry>,
    settings: HttpSettings,
    instances: Instances,
    /// Requests that are served, and those that may wait besides.
    places: Semaphore,
    queue: Semaphore,
    connections: Arc<Semaphore>,
    /// The first request was answered.
    proven: AtomicBool,
    clients: Tasks,
    workers: Tasks,
}

fn permits(count: u32) -> Semaphore {
    Semaphore::new((count.max(1) as usize).min(Semaphore::MAX_PERMITS))
}

// === impl Server ===

impl Server {
    /// # Errors
    /// [`wasmnode_provider_api::StartFailure::World`] for a component that handles no requests.
    pub(crate) fn new(run: Arc<Run>, registry: Arc<Registry>, settings: HttpSettings) -> Result<Arc<Self>, Error> {
        let handler = run.program.linked.handler()?;
        let threads = run.program.guests.metrics().num_workers();
        Ok(Arc::new(Self {
            instances: Instances::new(handler.sharing(&settings), threads, settings.max_requests),
            places: permits(settings.max_requests),
            queue: Semaphore::new(settings.queue as usize),
            connections: Arc::new(permits(settings.connections)),
            proven: AtomicBool::new(false),
            clients: Tasks::new(&run.ended),
            workers: Tasks::new(&run.ended),
            run,
            registry,
            settings,
        }))
    }

    /// Listens, and serves until `stop`; then until what was begun is finished.
    ///
    /// # Errors
    /// [`wasmnode_provider_api::StartFailure::Invalid`] for an address that cannot be listened at.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        ports: &[u16],
        stop: &CancellationToken,
        entered: &Entered,
    ) -> Result<(), Error> {
        let listeners = Listeners::bind(&self.run.program.network, ports)?;
        entered.signal();
        listeners.accept(self, stop);
        stop.cancelled().await;
        self.clients.finished().await;
        self.instances.retire();
        self.workers.finished().await;
        Ok(())
    }

    /// Ends what still runs, at once.
    pub(crate) async fn end(&self) {
        self.clients.end().await;
        self.workers.end().await;
    }
}
