//! Connections that wait for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;
use wasmtime_wasi_http::WasiBody;

use super::target::Target;

/// How long a connection waits. Servers commonly close theirs after a minute and more.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections per target, and in all.
const MAX_IDLE_EACH: usize = 16;
const MAX_IDLE: usize = 128;

pub(super) type Http1 = http1::SendRequest<WasiBody>;
pub(super) type Http2 = http2::SendRequest<WasiBody>;

/// A connection that takes a request.
pub(super) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// The last one is the next to be used.
    http1: HashMap<Target, Vec<(Http1, Instant)>>,
    /// Shared by requests at the same time.
    http2: HashMap<Target, (Http2, Instant)>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

// === impl Pool ===

impl Pool {
    /// A connection that was used before.
    pub(super) fn take(&self, target: &Target) -> Option<Connection> {
        let mut idle = self.lock();
        if let Some((shared, used)) = idle.http2.get_mut(target)
            && shared.is_ready()
        {
            *used = Instant::now();
            return Some(Connection::Http2(shared.clone()));
        }
        let waiting = idle.http1.get_mut(target)?;
        while let Some((connection, since)) = waiting.pop() {
            if connection.is_ready() && since.elapsed() < IDLE {
                return Some(Connection::Http1(connection));
            }
        }
        idle.http1.remove(target);
        None
    }

    /// Requests to the same target share the connection from now on.
    pub(super) fn share(&self, target: &Target, connection: &Http2) {
        let mut idle = self.lock();
        idle.expire();
        if idle.len() < MAX_IDLE {
            idle.http2.insert(target.clone(), (connection.clone(), Instant::now()));
        }
    }

    /// Keeps a connection for the next request, when the last one is over.
    pub(super) async fn keep(self: Arc<Self>, target: Target, mut connection: Http1) {
        if connection.ready().await.is_err() {
            return;
        }
        let mut idle = self.lock();
        idle.expire();
        if idle.len() < MAX_IDLE {
            let waiting = idle.http1.entry(target).or_default();
            if waiting.len() < MAX_IDLE_EACH {
                waiting.push((connection, Instant::now()));
            }
        }
    }

    /// Closes one connection that waits.
    pub(super) fn give_one_up(&self) {
        let mut idle = self.lock();
        idle.expire();
        let victim = idle.http1.iter().find(|(_, waiting)| !waiting.is_empty()).map(|(target, _)| target.clone());
        if let Some(waiting) = victim.and_then(|target| idle.http1.get_mut(&target)) {
            waiting.remove(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn len(&self) -> usize {
        self.http1.values().map(Vec::len).sum::<usize>() + self.http2.len()
    }

    fn expire(&mut self) {
        for waiting in self.http1.values_mut() {
            waiting.retain(|(connection, since)| connection.is_ready() && since.elapsed() < IDLE);
        }
        self.http1.retain(|_, waiting| !waiting.is_empty());
        self.http2.retain(|_, (connection, used)| connection.is_ready() && used.elapsed() < IDLE);
    }
}
