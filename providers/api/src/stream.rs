//! Named, bounded byte channels.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::RunId;

/// Messages in flight per channel: enough to keep a pipe busy, small enough that a slow reader holds ≤ 1 MiB.
pub(crate) const STREAM_MESSAGES: usize = 16;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The provider's ends of the streams of an exec or attach; a missing one was not asked for.
#[derive(Debug, Default)]
pub struct Streams {
    /// What the client types; closed is end-of-file.
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    /// What the guest prints.
    pub stdout: Option<mpsc::Sender<Bytes>>,
    /// What the guest prints to stderr.
    pub stderr: Option<mpsc::Sender<Bytes>>,
    /// Changes of the terminal's size.
    pub resize: Option<mpsc::Receiver<TerminalSize>>,
}

/// What to run in an exec: a new instance of the run's own module with other argv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// Whose module, mounts, environment and network.
    pub run: RunId,
    /// Arguments, the program's name first.
    pub argv: Vec<String>,
    /// stdout and stderr are one terminal.
    pub tty: bool,
}

/// A byte stream to a port of the pod.
#[derive(Debug)]
pub struct Duplex {
    /// Towards the pod; dropping it closes that direction.
    pub to: mpsc::Sender<Bytes>,
    /// From the pod; ends when the pod closes.
    pub from: mpsc::Receiver<Bytes>,
}

impl Duplex {
    /// Both ends of a connection.
    pub fn pair() -> (Self, Self) {
        let (a_to, b_from) = mpsc::channel(STREAM_MESSAGES);
        let (b_to, a_from) = mpsc::channel(STREAM_MESSAGES);
        (Self { to: a_to, from: a_from }, Self { to: b_to, from: b_from })
    }
}
