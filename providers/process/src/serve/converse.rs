//! Execs, attached clients and connections, each in a task that ends when the client leaves.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use wasmnode_provider_api::{Duplex, Error, Provider, Streams, TerminalSize};

use crate::protocol::{AttachStart, Channel, ConnectStart, ExecStart, FRAMES_IN_FLIGHT, Frame, FrameKind, Wanted};
use crate::relay::{PeerLeft, Readers, Receiver, ToPeer, hand_on_sizes, send_all};

/// Messages between the socket and the guest, per stream.
const MESSAGES_IN_FLIGHT: usize = 2;

/// The first frame follows the request at once.
const FIRST_FRAME_TIME: Duration = Duration::from_secs(10);

/// Our ends of the streams that the provider got.
struct Ends {
    readers: Readers,
    stdout: Option<mpsc::Receiver<Bytes>>,
    stderr: Option<mpsc::Receiver<Bytes>>,
    sizes: Option<(watch::Receiver<Option<TerminalSize>>, mpsc::Sender<TerminalSize>)>,
}

/// Carries on a conversation, whose frames to the client come out of the returned channel. Dropping that ends it.
pub(super) fn begin(provider: Arc<dyn Provider>, mut frames: Streaming<Frame>) -> mpsc::Receiver<Frame> {
    let (to, for_client) = mpsc::channel(FRAMES_IN_FLIGHT);
    tokio::spawn(async move {
        tokio::select! {
            () = to.closed() => {}
            () = converse(&*provider, &mut frames, &to) => {}
        }
    });
    for_client
}

async fn converse(provider: &dyn Provider, frames: &mut Streaming<Frame>, to: &ToPeer) {
    let last = match first(frames).await {
        Ok(FrameKind::Exec(start)) => exec(provider, start, frames, to).await,
        Ok(FrameKind::Attach(start)) => attach(provider, start, frames, to).await,
        Ok(FrameKind::Connect(start)) => connect(provider, start, frames, to).await,
        Ok(_) => Err(Error::Malformed("a conversation begins with what is wanted".to_owned())),
        Err(error) => Err(error),
    };
    let last = last.unwrap_or_else(|error| FrameKind::Failure(error.into()));
    let _ = to.send(last.into()).await;
}

async fn first(frames: &mut Streaming<Frame>) -> Result<FrameKind, Error> {
    let malformed = |what: &str| Error::Malformed(what.to_owned());
    match tokio::time::timeout(FIRST_FRAME_TIME, frames.message()).await {
        Ok(Ok(Some(Frame { kind: Some(kind) }))) => Ok(kind),
        Ok(Ok(Some(Frame { kind: None }))) => Err(malformed("the first frame has no known kind")),
        Ok(Ok(None)) => Err(malformed("a conversation has no first frame")),
        Ok(Err(status)) => Err(malformed(status.message())),
        Err(_) => Err(malformed("the first frame did not come")),
    }
}

async fn exec(
    provider: &dyn Provider,
    start: ExecStart,
    frames: &mut Streaming<Frame>,
    to: &ToPeer,
) -> Result<FrameKind, Error> {
    let (spec, wanted) = start.read()?;
    let (streams, ends) = streams(wanted);
    ends.during(provider.exec(spec, streams), frames, to).await.map(FrameKind::Exit)
}

async fn attach(
    provider: &dyn Provider,
    start: AttachStart,
    frames: &mut Streaming<Frame>,
    to: &ToPeer,
) -> Result<FrameKind, Error> {
    let (run, wanted) = start.read()?;
    let (streams, ends) = streams(wanted);
    ends.during(provider.attach(&run, streams), frames, to).await.map(FrameKind::Done)
}

/// Ends when nothing goes in either direction any more.
async fn connect(
    provider: &dyn Provider,
    start: ConnectStart,
    frames: &mut Streaming<Frame>,
    to: &ToPeer,
) -> Result<FrameKind, Error> {
    let (sandbox, port) = start.read()?;
    let Duplex { to: pod, from } = provider.connect(&sandbox, port).await?;
    let _ = to.send(FrameKind::Accepted(()).into()).await;
    let readers = Readers { stdin: Some(pod), ..Readers::default() };
    let (peer_left, open, sent) = (PeerLeft::default(), CancellationToken::new(), CancellationToken::new());
    let receiver = Receiver { frames, readers, peer_left: &peer_left, to, sent: Some(&sent) };
    let sending = async {
        send_all(Some(from), Channel::Stdout, &peer_left.stdout, &open, to).await;
        sent.cancel();
    };
    // A broken request leaves the other direction nobody to go to; `begin` sees to that.
    let _ = tokio::join!(receiver.run(), sending);
    Ok(FrameKind::Done(()))
}

fn streams(wanted: Wanted) -> (Streams, Ends) {
    fn channel<T>(wanted: bool) -> (Option<mpsc::Sender<T>>, Option<mpsc::Receiver<T>>) {
        wanted.then(|| mpsc::channel(MESSAGES_IN_FLIGHT)).unzip()
    }
    let (to_stdin, stdin) = channel(wanted.stdin);
    let (stdout, from_stdout) = channel(wanted.stdout);
    let (stderr, from_stderr) = channel(wanted.stderr);
    let (to_resize, resize) = channel(wanted.resize);
    let (latest, sizes) = to_resize
        .map(|to| {
            let (latest, sizes) = watch::channel(None);
            (latest, (sizes, to))
        })
        .unzip();
    let readers = Readers { stdin: to_stdin, resize: latest, ..Readers::default() };
    let ends = Ends { readers, stdout: from_stdout, stderr: from_stderr, sizes };
    (Streams { stdin, stdout, stderr, resize }, ends)
}

// === impl Ends ===

impl Ends {
    /// Moves bytes while the provider is at it. Its result comes after all of its output.
    async fn during<T>(
        self,
        verb: impl Future<Output = Result<T, Error>>,
        frames: &mut Streaming<Frame>,
        to: &ToPeer,
    ) -> Result<T, Error> {
        let Self { readers, stdout, stderr, sizes } = self;
        let (finishing, peer_left) = (CancellationToken::new(), PeerLeft::default());
        let verb = async {
            let result = verb.await;
            finishing.cancel();
            result
        };
        let stdout = send_all(stdout, Channel::Stdout, &peer_left.stdout, &finishing, to);
        let stderr = send_all(stderr, Channel::Stderr, &peer_left.stderr, &finishing, to);
        let receiving = async {
            let _ = Receiver { frames, readers, peer_left: &peer_left, to, sent: None }.run().await;
            pending().await
        };
        let sizing = async {
            if let Some((sizes, to)) = sizes {
                hand_on_sizes(sizes, to).await;
            }
            pending().await
        };
        tokio::select! {
            (result, (), ()) = async { tokio::join!(verb, stdout, stderr) } => result,
            never = receiving => never,
            never = sizing => never,
        }
    }
}
