//! Where a server listens: at the pod's addresses, and on the pod's loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Error, StartFailure};

use super::{Server, connection};
use crate::net::{Attempt, Counted, Listening, Network};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// After an accept that failed for want of descriptors or memory, which does not get better at once.
const RETRY: Duration = Duration::from_millis(100);

pub(super) struct Listeners {
    network: Vec<TcpListener>,
    loopback: Vec<Listening>,
}

fn invalid(message: String) -> Error {
    Error::Start(StartFailure::Invalid(message))
}

// === impl Listeners ===

impl Listeners {
    /// Listens at every port of every address, or nowhere.
    pub(super) fn bind(network: &Network, ports: &[u16]) -> Result<Self, Error> {
        if network.addresses().is_empty() {
            return Err(invalid("an HTTP server needs an address of the pod to listen at, and it has none".to_owned()));
        }
        let mut bound = Self { network: Vec::new(), loopback: Vec::new() };
        for port in ports {
            for address in network.addresses() {
                bound.network.push(listen(network, (*address, *port).into())?);
            }
            let taken = || invalid(format!("cannot listen on port {port}: another container of the pod has it"));
            bound.loopback.push(network.loopback.listen(*port).ok_or_else(taken)?);
        }
        Ok(bound)
    }

    /// Accepts until `stop`.
    pub(super) fn accept(self, server: &Arc<Server>, stop: &CancellationToken) {
        for listener in self.network {
            server.clients.spawn(accept_network(server.clone(), listener, stop.clone()));
        }
        for listening in self.loopback {
            server.clients.spawn(accept_loopback(server.clone(), listening, stop.clone()));
        }
    }
}

fn listen(network: &Network, address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |why: &dyn std::fmt::Display| invalid(format!("cannot listen on {address}: {why}"));
    network.pass(&Attempt::Listen(address)).map_err(|denial| failed(&denial))?;
    socket(address).map_err(|error| failed(&error))
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            // The address may still be tentative, or only be routed here.
            rustix::net::sockopt::set_ipv6_freebind(&socket, true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn place(server: &Server) -> Option<OwnedSemaphorePermit> {
    server.connections.clone().acquire_owned().await.ok()
}

async fn accept_network(server: Arc<Server>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = async { (place(&server).await, listener.accept().await) };
        let accepted = tokio::select! {
            biased;
            // What the kernel has accepted already is served: nobody told those clients that the server is stopping.
            accepted = accepted => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            (Some(place), Ok((stream, peer))) => begin(&server, stream, peer, &stop, place),
            (None, _) => return,
            (_, Err(error)) => {
                tracing::debug!(%error, "A connection to a guest cannot be accepted");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn begin(
    server: &Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: &CancellationToken,
    place: OwnedSemaphorePermit,
) {
    let network = &server.run.program.network;
    if network.pass(&Attempt::Accept(peer)).is_err() {
        return;
    }
    // Guests write in small pieces that are to arrive now.
    let _ = stream.set_nodelay(true);
    let stream = Counted::new(stream, Some(network.traffic.clone()));
    server.clients.spawn(connection::serve(server.clone(), stream, stop.clone(), place));
}

async fn accept_loopback(server: Arc<Server>, mut listening: Listening, stop: CancellationToken) {
    while let Some(place) = place(&server).await {
        let accepted = tokio::select! {
            biased;
            accepted = listening.accept() => accepted,
            () = stop.cancelled() => {
                listening.close();
                listening.accept().await
            }
        };
        let Some(stream) = accepted else { return };
        server.clients.spawn(connection::serve(server.clone(), Counted::new(stream, None), stop.clone(), place));
    }
}
