//! The runner's end of the socket.

mod answer;
mod connection;
mod converse;
mod session;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::Provider;

use connection::Connections;

/// What the kernel refuses for want of resources is asked for again after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why nothing is served any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listening socket is none, or was shut down.
    #[error("socket cannot be listened on: {0}")]
    Listen(#[source] io::Error),
}

/// Answers the verbs of clients on this socket until `stop` is cancelled. A verb that has begun is carried out, whatever
/// becomes of the client; a conversation (exec, attach, connect) ends with it.
///
/// Clients are processes of root and of the own user. A few may be connected at the same time: the newest gets the
/// events, and whoever connects while there is no room takes the place of one that never said hello, or of the oldest.
/// Nothing that a client sends ends this function or disturbs a run.
///
/// # Errors
/// [`ServeError`] if the socket does not work.
pub async fn serve(
    listener: UnixListener,
    provider: Arc<dyn Provider>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut connections = Connections::new(provider);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if permitted(&stream) => connections.admit(stream),
            Ok(_) => tracing::warn!("A process of another user was turned away"),
            Err(error) if is_final(&error) => return Err(ServeError::Listen(error)),
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Files have modes, too, but the descriptor may have been handed on.
fn permitted(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw())
}

fn is_final(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP))
}
