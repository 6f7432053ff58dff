//! Requests that guests send: through one pool of connections per pod, within its policy.
//!
//! The engine's own client opens a connection for each request, knows no HTTP/2 and asks nobody whether it may.

mod body;
mod connect;
mod hooks;
mod pool;
mod send;
mod target;
#[cfg(test)]
mod tests;
mod times;
mod tls;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub(crate) use hooks::Hooks;
pub(crate) use tls::Tls;

use pool::Pool;

/// Connections of one pod at most, idle ones included. What is beyond waits as for a connection.
const MAX_CONNECTIONS: usize = 256;

/// The client of one pod.
#[derive(Debug)]
pub(crate) struct Client {
    tls: Arc<Tls>,
    pool: Arc<Pool>,
    connections: Arc<Semaphore>,
}

impl Client {
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self { tls, pool: Arc::default(), connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}
