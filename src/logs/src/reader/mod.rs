//! Reads a container's log back, as `kubectl logs` asks for it.
//!
//! Semantics are the kubelet's: only the current file is read, `tail_lines` picks the start among the lines of the
//! file, then lines older than `since` are left out, partial lines are joined, and `limit_bytes` cuts anywhere. A
//! reader that follows goes on in the next file after a rotation, through files that were rotated away meanwhile.

mod chain;
mod cursor;
mod filter;
mod lines;
mod source;
mod tail;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::Stream;
use cursor::{Cursor, Step};

/// How often a reader that follows looks for more. A look costs two system calls; inotify was rejected since its
/// instances per user are few and the log may be on a file system without it.
const POLL: Duration = Duration::from_millis(100);

/// What to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Go on until the container has ended.
    pub follow: bool,
    /// Start with the last that many lines of the file; 0: with what comes from now on.
    pub tail_lines: Option<u64>,
    /// Leave out lines older than this.
    pub since: Option<Timestamp>,
    /// Begin each line with its time and a blank.
    pub timestamps: bool,
    /// Stop after that many bytes, in the middle of a line if need be.
    pub limit_bytes: Option<u64>,
    /// Only this stream.
    pub stream: Option<Stream>,
}

/// A container's log being read.
#[derive(Debug)]
pub struct Reader {
    /// Gone when everything was read, after an error, and while a call of `next` is under way.
    cursor: Option<Cursor>,
    follow: bool,
    /// Between two looks for more.
    pause: Duration,
    ended: CancellationToken,
}

// === impl Reader ===

impl Reader {
    /// Opens the log file `relative` below the trusted directory `root`. `ended` says that the container will write
    /// no more; it matters only to a reader that follows.
    ///
    /// # Errors
    /// Those of opening the file; [`io::ErrorKind::NotFound`] when the log was removed.
    pub async fn open(
        root: PathBuf,
        relative: PathBuf,
        options: Options,
        ended: CancellationToken,
    ) -> io::Result<Self> {
        let follow = options.follow;
        let cursor = blocking(move || Cursor::open(&root, &relative, &options)).await??;
        Ok(Self { cursor: Some(cursor), follow, pause: POLL, ended })
    }

    /// Looks for more after each `pause`, where somebody sits before a terminal.
    #[must_use]
    pub fn looking_every(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The next piece of the log, at most a few dozen KiB; `None` at its end. Waits when following.
    ///
    /// Not cancel safe: after a call that was dropped unfinished, the log is at its end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let mut cursor = self.cursor.take()?;
            // Asked before reading: whatever the container wrote before its end is read after this.
            let last = !self.follow || self.ended.is_cancelled();
            let read = blocking(move || cursor.step(last).map(|step| (cursor, step))).await;
            let (cursor, step) = match read.and_then(|r| r) {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            };
            match step {
                Step::Done => return None,
                Step::Busy => {}
                Step::Data(bytes) => {
                    self.cursor = Some(cursor);
                    return Some(Ok(bytes));
                }
                Step::Idle => tokio::select! {
                    () = tokio::time::sleep(self.pause) => {}
                    () = self.ended.cancelled() => {}
                },
            }
            self.cursor = Some(cursor);
        }
    }
}

/// The end of a log, for termination messages: the last `max_bytes` bytes of the last `lines` lines. Blocks.
///
/// # Errors
/// Those of opening and reading the file.
pub fn last_output(
    root: &std::path::Path,
    relative: &std::path::Path,
    lines: u64,
    max_bytes: usize,
) -> io::Result<Vec<u8>> {
    let mut cursor = Cursor::open(root, relative, &Options { tail_lines: Some(lines), ..Options::default() })?;
    let mut output = Vec::new();
    loop {
        match cursor.step(true)? {
            Step::Data(bytes) => output.extend_from_slice(&bytes),
            Step::Busy => {}
            Step::Done | Step::Idle => return Ok(output),
        }
        output.drain(..output.len().saturating_sub(max_bytes));
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
