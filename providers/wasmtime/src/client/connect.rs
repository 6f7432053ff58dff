//! New connections: look up, ask the policy, connect, shake hands.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, WasiBody};

use super::pool::Connection;
use super::target::Target;
use super::times::within;
use super::tls;
use crate::net::{Attempt, Counted, Decision, Network, lookup};

/// The largest head of a response, bytes.
const MAX_HEADER: u32 = 64 << 10;

/// The shortest time for one of several addresses of a name.
const ATTEMPT: Duration = Duration::from_secs(1);

/// A connection of either kind, before HTTP.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Bytestream = Pin<Box<dyn Stream>>;

/// A new connection that speaks HTTP, within the time and the number that the pod may have.
///
/// # Errors
/// As a guest is told.
pub(super) async fn connect(network: &Arc<Network>, target: &Target, time: Duration) -> Result<Connection, Error> {
    let limit = network.client.connections.clone();
    let acquiring = async { limit.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached) };
    let permit = match network.client.connections.clone().try_acquire_owned() {
        Ok(permit) => permit,
        // An idle connection to somebody else makes room.
        Err(_) => {
            network.client.pool.give_one_up();
            within(time, Error::ConnectionLimitReached, acquiring).await?
        }
    };
    within(time, Error::ConnectionTimeout, established(network, target, time, permit)).await
}

async fn established(
    network: &Arc<Network>,
    target: &Target,
    time: Duration,
    permit: OwnedSemaphorePermit,
) -> Result<Connection, Error> {
    let addresses = lookup(network, &target.host, target.port).await?;
    let stream = reached(network, &addresses, time).await?;
    if !target.tls {
        return http1(network, stream, permit).await;
    }
    let stream = network.client.tls.connect(target.bare_host(), stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
        http2(network, Box::pin(stream), permit).await
    } else {
        http1(network, Box::pin(stream), permit).await
    }
}

/// A connection to the first of the addresses that may be reached and can.
async fn reached(network: &Arc<Network>, addresses: &[SocketAddr], time: Duration) -> Result<Bytestream, Error> {
    let each = (time / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1)).max(ATTEMPT);
    let mut last = Error::DestinationNotFound;
    for address in addresses {
        match within(each, Error::ConnectionTimeout, one(network, *address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn one(network: &Arc<Network>, address: SocketAddr) -> Result<Bytestream, Error> {
    match network.pass(&Attempt::Connect(address)) {
        Err(_denied) => Err(Error::DestinationIpProhibited),
        Ok(Decision::Loopback) => {
            let stream = network.loopback.connect(address.port()).ok_or(Error::ConnectionRefused)?;
            Ok(Box::pin(stream))
        }
        Ok(Decision::Network) => {
            let stream = TcpStream::connect(address).await.map_err(|error| refused(&error))?;
            let _ = stream.set_nodelay(true);
            Ok(Box::pin(Counted::new(stream, Some(network.traffic.clone()))))
        }
    }
}

fn refused(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        _ => Error::ConnectionRefused,
    }
}

async fn http1(network: &Arc<Network>, stream: Bytestream, permit: OwnedSemaphorePermit) -> Result<Connection, Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEADER as usize);
    let (sender, connection) =
        builder.handshake::<_, WasiBody>(TokioIo::new(stream)).await.map_err(|_| Error::HttpProtocolError)?;
    drive(network, connection, permit);
    Ok(Connection::Http1(sender))
}

async fn http2(network: &Arc<Network>, stream: Bytestream, permit: OwnedSemaphorePermit) -> Result<Connection, Error> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_header_list_size(MAX_HEADER);
    builder.keep_alive_interval(Duration::from_secs(30)).keep_alive_timeout(Duration::from_secs(15));
    let (sender, connection) =
        builder.handshake::<_, WasiBody>(TokioIo::new(stream)).await.map_err(|_| Error::HttpProtocolError)?;
    drive(network, connection, permit);
    Ok(Connection::Http2(sender))
}

/// A task of its own, which ends with the connection or the pod.
fn drive<E: Send>(
    network: &Network,
    connection: impl Future<Output = Result<(), E>> + Send + 'static,
    permit: OwnedSemaphorePermit,
) {
    let gone = network.gone.clone();
    network.runtime.spawn(async move {
        let _ended = gone.run_until_cancelled(connection).await;
        drop(permit);
    });
}
