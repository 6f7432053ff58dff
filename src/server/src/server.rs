//! Binding and serving.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::accept::{Shared, connection};
use crate::auth::Gate;
use crate::tls::{self, TlsError};
use crate::{Backends, Config, routes};

/// After an accept that failed for want of descriptors or memory, which does not get better at once.
const RETRY: Duration = Duration::from_millis(100);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken or not the node's.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
}

/// A server that listens and does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

// === impl Server ===

impl Server {
    /// Reads or makes certificates and listens.
    ///
    /// # Errors
    /// Certificates that do not work and addresses that are taken.
    pub async fn bind(config: Config, backends: Backends) -> Result<Self, BindError> {
        let tls = tls::config(&config)?;
        let failed = |source| BindError::Listen { address: config.address, source };
        let listener = TcpListener::bind(config.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopping = CancellationToken::new();
        let shared = Shared {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            gate: Gate::new(config.node_name, backends.reviewer.clone(), config.limits.review),
            routes: routes::all(&backends, &stopping),
            requests: backends.requests,
            limits: config.limits,
            stopping,
        };
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets answers in progress finish, except logs that are being followed, for as
    /// long as the limits allow.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { listener, shared, .. } = self;
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(shared.limits.connections));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => {}
                (stream, client, place) = accept(&listener, &places) => {
                    let shared = shared.clone();
                    let task = async move {
                        connection(shared, stream, client).await;
                        drop(place);
                    };
                    connections.spawn(task.instrument(tracing::debug_span!("connection", client.addr = %client)));
                }
            }
        }
        drop(listener);
        shared.stopping.cancel();
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.limits.drain, drained).await.is_err() {
            tracing::debug!(connections = connections.len(), "Leaving connections that did not end");
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is a permit.
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, client)) => return (stream, client, place),
            Err(error) => {
                tracing::warn!(%error, "Failed to accept a connection");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
