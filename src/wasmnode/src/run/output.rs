//! What containers print, from their logs to the terminal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wasmnode_core::PodRef;
use wasmnode_logs::{Options, Reader, Stream, paths};
use wasmnode_pods::Handle;

use super::console::{Console, Target, is_one_stream};

/// For the rest of the output to be read after everything has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks for what a program printed: nobody sees it wait.
const PAUSE: Duration = Duration::from_millis(10);

/// How output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is printed, each stream to its own.
    Raw,
    /// With its container's name, padded to that many characters, in front of each line.
    Named(usize),
}

/// Follows the logs of runs.
pub(super) struct Output {
    console: Arc<Console>,
    handle: Handle,
    logs: PathBuf,
    style: Style,
    followers: JoinSet<()>,
    /// Told when nobody reads what is printed.
    pub(super) unread: Arc<Notify>,
}

/// One log on its way.
struct Follower {
    console: Arc<Console>,
    target: Target,
    /// What stands before each line.
    prefix: String,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

// === impl Output ===

impl Output {
    pub(super) fn new(console: Arc<Console>, handle: Handle, logs: PathBuf, style: Style) -> Self {
        Self { console, handle, logs, style, followers: JoinSet::new(), unread: Arc::default() }
    }

    /// Shows all that a run prints from its start on; called once per run.
    pub(super) fn follow(&mut self, pod: &PodRef, container: &str, attempt: u32, name: &str) {
        let directory = paths::pod_dir(Path::new(""), &pod.namespace, &pod.name, &pod.uid);
        let log = paths::log_file(&directory, container, attempt);
        let ended = self.handle.ended(pod, container, attempt);
        let streams: &[(Option<Stream>, Target)] = match self.style {
            Style::Raw if !is_one_stream() => {
                &[(Some(Stream::Stdout), Target::Stdout), (Some(Stream::Stderr), Target::Stderr)]
            }
            Style::Raw | Style::Named(_) => &[(None, Target::Stdout)],
        };
        for (stream, target) in streams {
            let prefix = match self.style {
                Style::Raw => String::new(),
                Style::Named(width) => format!("{name:width$} | "),
            };
            let follower = Follower { console: Arc::clone(&self.console), target: *target, prefix, rest: Vec::new() };
            let options = Options { follow: true, stream: *stream, ..Options::default() };
            let (root, log, ended, unread) = (self.logs.clone(), log.clone(), ended.clone(), Arc::clone(&self.unread));
            self.followers.spawn(async move {
                match follower.run(root, log, options, ended).await {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => unread.notify_one(),
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(%error, "Cannot show what a container prints");
                    }
                    _ => {}
                }
            });
        }
    }

    /// Waits until everything is shown; every run has ended.
    pub(super) async fn finish(mut self) {
        let all = async { while self.followers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.console.say("the rest of the output is lost: nobody read it in time");
        }
    }
}

// === impl Follower ===

impl Follower {
    async fn run(mut self, root: PathBuf, log: PathBuf, options: Options, ended: CancellationToken) -> io::Result<()> {
        let mut reader = Reader::open(root, log, options, ended).await?;
        if self.prefix.is_empty() {
            reader = reader.looking_every(PAUSE);
        }
        while let Some(bytes) = reader.next().await {
            let bytes = bytes?;
            // Whoever reads may be slow, and others have to go on meanwhile.
            tokio::task::block_in_place(|| self.show(&bytes))?;
        }
        tokio::task::block_in_place(|| self.flush())
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.prefix.is_empty() {
            return self.console.write(self.target, bytes);
        }
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        self.console.write(self.target, &prefixed(&self.prefix, &lines))
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.rest.push(b'\n');
        let lines = std::mem::take(&mut self.rest);
        self.console.write(self.target, &prefixed(&self.prefix, &lines))
    }
}

/// Each line with the prefix before it.
fn prefixed(prefix: &str, lines: &[u8]) -> Vec<u8> {
    lines.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [prefix.as_bytes(), line].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_name() {
        assert_eq!(prefixed("a | ", b"x\ny\n"), b"a | x\na | y\n");
        assert_eq!(prefixed("a | ", b""), b"");
    }
}
