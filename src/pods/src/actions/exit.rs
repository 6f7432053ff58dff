//! A run that ended: what its container's status says about it (contract section 4.10).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use wasmnode_core::desired::{Container, Desired};
use wasmnode_core::pod::{Event, Exit, ExitCause};
use wasmnode_logs::beneath::Root;
use wasmnode_provider_api as provider;

use super::mounts;
use crate::blocking;
use crate::layout::PodLayout;
use crate::site::{Answer, Site};

/// Bytes of a termination message's file that count, from its end.
const MAX_MESSAGE: u64 = 4096;

/// Bytes of all messages of a pod together; each container has its share.
const MAX_POD_MESSAGES: usize = 12_288;

/// What a fallback to the log shows of it: lines, and bytes of those.
const LOG_TAIL: (u64, usize) = (80, 2048);

/// Reads the run's message and tells the worker about the exit.
pub(crate) async fn conclude(
    site: Arc<Site>,
    desired: Arc<Desired>,
    container: String,
    attempt: u32,
    exit: provider::Exit,
) {
    let message = message(&site, &desired, &container, attempt, &exit).await;
    let run = exit.run;
    let exit = Exit {
        code: exit.code,
        cause: cause(exit.reason),
        message,
        started_at: timestamp(exit.started_at, site.now()),
        finished_at: timestamp(exit.finished_at, site.now()),
    };
    site.answer(Answer::Exited { run, event: Event::Exited { container, attempt, exit } }).await;
}

fn cause(reason: provider::ExitReason) -> ExitCause {
    match reason {
        provider::ExitReason::OutOfMemory => ExitCause::OutOfMemory,
        provider::ExitReason::Lost => ExitCause::Lost,
        provider::ExitReason::Exited
        | provider::ExitReason::Trap
        | provider::ExitReason::Stopped
        | provider::ExitReason::Killed => ExitCause::Ended,
    }
}

/// A time that the API cannot express is as good as now.
pub(crate) fn timestamp(time: SystemTime, now: Timestamp) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(now)
}

async fn message(site: &Site, desired: &Arc<Desired>, name: &str, attempt: u32, exit: &provider::Exit) -> String {
    let (layout, desired_, name_, code) = (site.layout.clone(), Arc::clone(desired), name.to_owned(), exit.code);
    let written = blocking::io(move || {
        Ok(desired_.container(&name_).map(|container| written(&layout, &desired_, container, attempt, code)))
    });
    let written = written.await.ok().flatten().unwrap_or_default();
    let limit = MAX_POD_MESSAGES / desired.containers.len().max(1);
    // As the kubelet joins what the runtime and what the program say.
    let separator = if exit.message.is_empty() || written.is_empty() { "" } else { ": " };
    cut(format!("{}{separator}{written}", exit.message), limit)
}

/// What the program said, in its file or, if it is to be looked for there, in its log.
fn written(pod: &PodLayout, desired: &Desired, container: &Container, attempt: u32, code: i32) -> String {
    let path = &container.termination_message_path;
    let found = mounts::message_file(pod, desired, container).map(|(directory, file)| read(&directory, &file));
    match found.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(bytes) if bytes.is_empty() && code != 0 && container.termination_message_from_log => {
            log_tail(pod, &container.name, attempt).unwrap_or_else(|e| format!("Error reading log: {e}"))
        }
        Ok(bytes) => text(&bytes),
        Err(e) => format!("Error on reading termination log {path}: {e}"),
    }
}

fn read(directory: &Path, file: &Path) -> io::Result<Vec<u8>> {
    match Root::open(directory).and_then(|root| root.read_last(file, MAX_MESSAGE)) {
        // Removed by the program.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn log_tail(pod: &PodLayout, container: &str, attempt: u32) -> io::Result<String> {
    let file = pod.log_file(container, attempt);
    let root = &pod.node().logs_root;
    let relative = file.strip_prefix(root).map_err(io::Error::other)?;
    let (lines, bytes) = LOG_TAIL;
    match wasmnode_logs::last_output(root, relative, lines, bytes) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        output => output.map(|bytes| text(&bytes)),
    }
}

/// The API takes text only.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cut(mut message: String, limit: usize) -> String {
    message.truncate(message.floor_char_boundary(limit));
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixtures::{container, desired, layout, pod_ref};

    const LINE: &str = "2026-01-02T15:04:05.000000000Z stderr F from the log\n";

    #[test]
    fn file_first_then_log_on_errors() {
        // file content (none: removed), fall back to the log, exit code → message
        let cases = [
            (Some("said"), true, 1, "said"),
            (Some("said"), false, 0, "said"),
            (Some(""), true, 1, "from the log\n"),
            (None, true, 1, "from the log\n"),
            (Some(""), true, 0, ""),
            (Some(""), false, 1, ""),
        ];
        for (file, from_log, code, expected) in cases {
            let top = tempfile::tempdir().unwrap();
            let pod = layout(top.path()).pod(&pod_ref("p", "u")).unwrap();
            let mut container = container("c");
            container.termination_message_from_log = from_log;
            super::super::files::prepare(&pod, &container, 3, &[]).unwrap();
            std::fs::write(pod.log_file("c", 3), LINE).unwrap();
            let path = pod.container_root("c").join("dev/termination-log");
            match file {
                Some(text) => std::fs::write(path, text).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            let found = written(&pod, &desired("p", "u"), &container, 3, code);
            assert_eq!(found, expected, "{file:?} {from_log} {code}");
        }
    }

    #[test]
    fn a_planted_link_is_an_error_and_a_long_message_is_its_end() {
        let top = tempfile::tempdir().unwrap();
        let pod = layout(top.path()).pod(&pod_ref("p", "u")).unwrap();
        let container = container("c");
        super::super::files::prepare(&pod, &container, 0, &[]).unwrap();
        let path = pod.container_root("c").join("dev/termination-log");
        std::fs::write(&path, "x".repeat(5000) + "end").unwrap();
        let found = written(&pod, &desired("p", "u"), &container, 0, 1);
        assert_eq!((found.len(), found.ends_with("xend")), (4096, true));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let found = written(&pod, &desired("p", "u"), &container, 0, 1);
        assert!(found.starts_with("Error on reading termination log /dev/termination-log: "), "{found}");
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(cut("aéb".to_owned(), 2), "a");
        assert_eq!(cut("aéb".to_owned(), 3), "aé");
        assert_eq!(cut("a".to_owned(), 3), "a");
    }
}
