//! Moves bytes between the channels of a conversation and its frames, alike on both sides of the socket.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use wasmnode_provider_api::TerminalSize;

use crate::protocol::{Channel, Frame, FrameKind, MAX_DATA_BYTES};

/// Towards the peer. The channel ends with the connection.
pub(crate) type ToPeer = mpsc::Sender<Frame>;

/// Who reads what the peer sends. One that is missing was not asked for, has ended, or has left.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    pub(crate) stdin: Option<mpsc::Sender<Bytes>>,
    pub(crate) stdout: Option<mpsc::Sender<Bytes>>,
    pub(crate) stderr: Option<mpsc::Sender<Bytes>>,
    pub(crate) resize: Option<watch::Sender<Option<TerminalSize>>>,
}

/// Which of our channels the peer no longer reads.
#[derive(Debug, Default)]
pub(crate) struct PeerLeft {
    pub(crate) stdin: CancellationToken,
    pub(crate) stdout: CancellationToken,
    pub(crate) stderr: CancellationToken,
}

/// What is received until the peer's last word.
pub(crate) struct Receiver<'a> {
    pub(crate) frames: &'a mut Streaming<Frame>,
    pub(crate) readers: Readers,
    pub(crate) peer_left: &'a PeerLeft,
    pub(crate) to: &'a ToPeer,
    /// Cancelled when all was sent. It is also over then, once nobody reads any more.
    pub(crate) sent: Option<&'a CancellationToken>,
}

/// Sends what a channel holds, until it ends or the peer has left. When `finishing` is cancelled, what is in the
/// channel by then is sent and no more.
pub(crate) async fn send_all(
    from: Option<mpsc::Receiver<Bytes>>,
    channel: Channel,
    left: &CancellationToken,
    finishing: &CancellationToken,
    to: &ToPeer,
) {
    let Some(mut from) = from else { return };
    loop {
        let bytes = tokio::select! {
            biased;
            () = left.cancelled() => return,
            bytes = from.recv() => bytes,
            () = finishing.cancelled(), if !from.is_closed() => {
                from.close();
                continue;
            }
        };
        let Some(bytes) = bytes else { break };
        if send_cut(bytes, channel, to).await.is_none() {
            return;
        }
    }
    // A peer that is gone needs no word of it.
    let _ = to.send(channel.closed()).await;
}

/// `None`: the peer is gone.
async fn send_cut(mut bytes: Bytes, channel: Channel, to: &ToPeer) -> Option<()> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(MAX_DATA_BYTES));
        to.send(channel.data(piece)).await.ok()?;
    }
    Some(())
}

/// Sends the terminal's sizes, as long as there are any.
pub(crate) async fn send_sizes(from: Option<mpsc::Receiver<TerminalSize>>, to: &ToPeer) {
    let Some(mut from) = from else { return };
    while let Some(size) = from.recv().await {
        if to.send(FrameKind::Resize(size.into()).into()).await.is_err() {
            return;
        }
    }
}

/// Hands sizes to a reader that may be slow, without holding anything else up: it gets the latest.
pub(crate) async fn hand_on_sizes(mut sizes: watch::Receiver<Option<TerminalSize>>, to: mpsc::Sender<TerminalSize>) {
    while sizes.changed().await.is_ok() {
        let size = *sizes.borrow_and_update();
        if let Some(size) = size
            && to.send(size).await.is_err()
        {
            return;
        }
    }
}

// === impl Readers ===

impl Readers {
    fn of(&mut self, channel: i32) -> Option<&mut Option<mpsc::Sender<Bytes>>> {
        match Channel::try_from(channel) {
            Ok(Channel::Stdin) => Some(&mut self.stdin),
            Ok(Channel::Stdout) => Some(&mut self.stdout),
            Ok(Channel::Stderr) => Some(&mut self.stderr),
            // Of a later version, which must work without.
            Ok(Channel::Unspecified) | Err(_) => None,
        }
    }

    fn any(&self) -> bool {
        self.stdin.is_some() || self.stdout.is_some() || self.stderr.is_some()
    }

    /// A reader that lags holds the conversation up; one that has left is noticed by [`Self::gone`].
    async fn give(&mut self, channel: i32, bytes: Bytes) {
        if let Some(Some(reader)) = self.of(channel) {
            let _ = reader.send(bytes).await;
        }
    }

    fn close(&mut self, channel: i32) {
        if let Some(reader) = self.of(channel) {
            *reader = None;
        }
    }

    /// The next reader that left before its channel ended; it is forgotten.
    async fn gone(&mut self) -> Channel {
        let channel = tokio::select! {
            () = closed(self.stdin.as_ref()) => Channel::Stdin,
            () = closed(self.stdout.as_ref()) => Channel::Stdout,
            () = closed(self.stderr.as_ref()) => Channel::Stderr,
        };
        self.close(channel.into());
        channel
    }
}

async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn closed(reader: Option<&mpsc::Sender<Bytes>>) {
    match reader {
        Some(reader) => reader.closed().await,
        None => std::future::pending().await,
    }
}

// === impl PeerLeft ===

impl PeerLeft {
    fn mark(&self, channel: i32) {
        match Channel::try_from(channel) {
            Ok(Channel::Stdin) => self.stdin.cancel(),
            Ok(Channel::Stdout) => self.stdout.cancel(),
            Ok(Channel::Stderr) => self.stderr.cancel(),
            Ok(Channel::Unspecified) | Err(_) => {}
        }
    }
}

// === impl Receiver ===

impl Receiver<'_> {
    /// The peer's last word; `None` if it has said all without one. Errors are the connection's. Afterwards all readers
    /// are at their end.
    pub(crate) async fn run(mut self) -> Result<Option<FrameKind>, tonic::Status> {
        let mut untold = Vec::new();
        loop {
            let idle = untold.is_empty() && !self.readers.any();
            tokio::select! {
                frame = self.frames.message() => {
                    let Some(frame) = frame? else { return Ok(None) };
                    if let Some(last) = self.take(frame).await {
                        return Ok(Some(last));
                    }
                }
                channel = self.readers.gone() => untold.push(channel),
                () = cancelled(self.sent), if idle => return Ok(None),
                // Never waited for alone: the peer may be waiting in the same way.
                Ok(room) = self.to.reserve(), if !untold.is_empty() => {
                    if let Some(channel) = untold.pop() {
                        room.send(channel.left());
                    }
                }
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Option<FrameKind> {
        match frame.kind? {
            FrameKind::Data(data) => self.readers.give(data.channel, data.bytes).await,
            FrameKind::Closed(closed) => self.readers.close(closed.channel),
            FrameKind::Left(left) => self.peer_left.mark(left.channel),
            FrameKind::Resize(size) => {
                if let (Some(sizes), Ok(size)) = (&self.readers.resize, size.try_into()) {
                    sizes.send_replace(Some(size));
                }
            }
            last => return Some(last),
        }
        None
    }
}
