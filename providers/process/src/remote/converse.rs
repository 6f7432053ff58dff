//! Execs, attached clients and connections, as the agent has them.

use std::future::pending;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use wasmnode_provider_api::{Duplex, Error, ExecSpec, RunId, SandboxId, Streams};

use super::Remote;
use crate::protocol::{
    AttachStart, Channel, ConnectStart, ExecStart, FRAMES_IN_FLIGHT, Frame, FrameKind, Verb, Wanted, error_of,
};
use crate::relay::{PeerLeft, Readers, Receiver, ToPeer, send_all, send_sizes};

/// A conversation that was begun.
struct Conversation {
    frames: Streaming<Frame>,
    to: ToPeer,
    _place: OwnedSemaphorePermit,
}

// === impl Remote ===

impl Remote {
    pub(super) async fn converse_exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        let start = ExecStart::new(exec, wanted(&streams));
        let conversation = self.begin(Verb::Exec, FrameKind::Exec(start)).await?;
        match conversation.carry_on(streams).await {
            Ok(Some(FrameKind::Exit(code))) => Ok(code),
            last => Err(self.unexpected(Verb::Exec, last)),
        }
    }

    pub(super) async fn converse_attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        let start = AttachStart::new(run, wanted(&streams));
        let conversation = self.begin(Verb::Attach, FrameKind::Attach(start)).await?;
        match conversation.carry_on(streams).await {
            Ok(Some(FrameKind::Done(()))) => Ok(()),
            last => Err(self.unexpected(Verb::Attach, last)),
        }
    }

    pub(super) async fn converse_connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        let verb = Verb::Connect;
        let start = ConnectStart::new(sandbox, port);
        let accepting = async {
            let mut conversation = self.begin(verb, FrameKind::Connect(start)).await?;
            match conversation.frames.message().await {
                Ok(Some(Frame { kind: Some(FrameKind::Accepted(())) })) => Ok(conversation),
                other => Err(self.unexpected(verb, other.map(|frame| frame.and_then(|frame| frame.kind)))),
            }
        };
        let conversation = self.within(verb.deadline(), verb.name(), accepting).await?;
        let (ours, theirs) = Duplex::pair();
        tokio::spawn(conversation.connected(theirs));
        Ok(ours)
    }

    async fn begin(&self, verb: Verb, start: FrameKind) -> Result<Conversation, Error> {
        let _place = self.conversation()?;
        let (to, from_us) = mpsc::channel(FRAMES_IN_FLIGHT);
        let _ = to.send(start.into()).await;
        let request = tonic::Request::new(ReceiverStream::new(from_us));
        let beginning = async {
            let mut grpc = self.link().await?.grpc();
            let answer = grpc.streaming(request, verb.request_path(), ProstCodec::<Frame, Frame>::default()).await;
            answer.map_err(|status| self.broken(verb, &status))
        };
        let answer = self.within(verb.deadline(), verb.name(), beginning).await?;
        Ok(Conversation { frames: answer.into_inner(), to, _place })
    }

    /// The error in a last word that is not the one hoped for.
    fn unexpected(&self, verb: Verb, last: Result<Option<FrameKind>, Status>) -> Error {
        match last {
            Ok(Some(FrameKind::Failure(failure))) => error_of(failure),
            Ok(Some(_)) => Error::Malformed(format!("{} has the result of another verb", verb.name())),
            Ok(None) => self.failed(&format!("ended {} without a result", verb.name())),
            Err(status) => self.broken(verb, &status),
        }
    }
}

fn wanted(streams: &Streams) -> Wanted {
    Wanted {
        stdin: streams.stdin.is_some(),
        stdout: streams.stdout.is_some(),
        stderr: streams.stderr.is_some(),
        resize: streams.resize.is_some(),
    }
}

// === impl Conversation ===

impl Conversation {
    /// Moves bytes until the runner's last word.
    async fn carry_on(mut self, streams: Streams) -> Result<Option<FrameKind>, Status> {
        let Streams { stdin, stdout, stderr, resize } = streams;
        let (peer_left, open) = (PeerLeft::default(), CancellationToken::new());
        let readers = Readers { stdout, stderr, ..Readers::default() };
        let sending = async {
            let stdin = send_all(stdin, Channel::Stdin, &peer_left.stdin, &open, &self.to);
            tokio::join!(stdin, send_sizes(resize, &self.to));
            pending().await
        };
        let frames = &mut self.frames;
        let receiver = Receiver { frames, readers, peer_left: &peer_left, to: &self.to, sent: None };
        tokio::select! {
            last = receiver.run() => last,
            never = sending => never,
        }
    }

    /// The same for a connection, whose last word nobody waits for.
    async fn connected(self, ends: Duplex) {
        let streams = Streams { stdin: Some(ends.from), stdout: Some(ends.to), ..Streams::default() };
        if let Err(status) = self.carry_on(streams).await {
            tracing::debug!(error = status.message(), "A connection to a pod broke");
        }
    }
}
