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
const LOG_TAIL: (usize, usize) = (80, 2048);

/// Reads the run's message and tells the worker about the exit.
pub(crate) async fn conclude(
    site: Arc<Site>,
    desired: Arc<Desired>,
    container: String,
    attempt: u32,
    exit: provider::Exit,
) {
    let told = told(&site, &desired, &container, attempt, &exit).await;
    let (run, exit) = (exit.run, told);
    let event = Event::Exited { container: container.clone(), attempt, exit };
    site.answer(Answer::Exited { run, container, event }).await;
}

/// How a run ended, with its message.
pub(crate) async fn told(
    site: &Site,
    desired: &Arc<Desired>,
    container: &str,
    attempt: u32,
    exit: &provider::Exit,
) -> Exit {
    let cause = cause(exit.reason);
    let message = match cause {
        // The program had no chance to say anything; why its process is gone is the same for all of them.
        ExitCause::Lost => cut(exit.message.clone(), MAX_POD_MESSAGES / desired.containers.len().max(1)),
        _ => message(site, desired, container, attempt, exit).await,
    };
    Exit {
        code: exit.code,
        cause,
        message,
        started_at: timestamp(exit.started_at, site.now()),
        finished_at: timestamp(exit.finished_at, site.now()),
    }
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
    let (layout, spec, of, ended) = (site.layout(), Arc::clone(desired), name.to_owned(), exit.clone());
    let written = blocking::io(move || {
        let layout = layout?;
        Ok(spec.container(&of).map(|container| written(&layout, &spec, container, attempt, &ended)))
    });
    let written = written.await.ok().flatten().unwrap_or_default();
    let limit = MAX_POD_MESSAGES / desired.containers.len().max(1);
    // As the kubelet joins what the runtime and what the program say.
    let separator = if exit.message.is_empty() || written.is_empty() { "" } else { ": " };
    cut(format!("{}{separator}{written}", exit.message), limit)
}

/// What the program said, in its file or, if it is to be looked for there, in its log.
pub(super) fn written(
    pod: &PodLayout,
    desired: &Desired,
    container: &Container,
    attempt: u32,
    exit: &provider::Exit,
) -> String {
    let path = &container.termination_message_path;
    let mounts = mounts::mounts(pod, desired, container).unwrap_or_default();
    let found = mounts::message_file(pod, container, &mounts).map(|(directory, file)| read(&directory, &file));
    match found.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(bytes) if bytes.is_empty() && exit.code != 0 && container.termination_message_from_log => {
            log_tail(pod, &container.name, attempt, &exit.message).unwrap_or_else(|e| format!("Error reading log: {e}"))
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

/// The end of the log without `said`: the runtime's own message is printed there too, last as a rule, and is part of
/// the termination message already.
fn log_tail(pod: &PodLayout, container: &str, attempt: u32, said: &str) -> io::Result<String> {
    let file = pod.log_file(container, attempt);
    let root = &pod.node().logs_root;
    let relative = file.strip_prefix(root).map_err(io::Error::other)?;
    let (lines, bytes) = LOG_TAIL;
    let (more_lines, more_bytes) = (said.lines().count() + 1, said.len() + 1);
    match wasmnode_logs::last_output(root, relative, (lines + more_lines) as u64, bytes + more_bytes) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        output => output.map(|output| tail(&without(&text(&output), said), lines, bytes).to_owned()),
    }
}

fn without(output: &str, said: &str) -> String {
    match output.rsplit_once(said) {
        Some((before, after)) if !said.is_empty() => format!("{before}{}", after.strip_prefix('\n').unwrap_or(after)),
        _ => output.to_owned(),
    }
}

fn tail(output: &str, lines: usize, bytes: usize) -> &str {
    let complete = output.strip_suffix('\n').unwrap_or(output);
    let first = complete.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(newline, _)| newline + 1);
    let last = &output[first..];
    &last[last.ceil_char_boundary(last.len().saturating_sub(bytes))..]
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
    use crate::fixtures::{container, desired, pod_layout};

    fn line(text: &str) -> String {
        format!("2026-01-02T15:04:05.000000000Z stderr F {text}\n")
    }

    fn exit(code: i32, message: &str) -> provider::Exit {
        provider::Exit {
            run: provider::RunId::new("0".repeat(64)).unwrap(),
            code,
            reason: provider::ExitReason::Exited,
            message: message.to_owned(),
            started_at: SystemTime::UNIX_EPOCH,
            finished_at: SystemTime::UNIX_EPOCH,
        }
    }

    /// A container's files as they are before its run with this number.
    fn prepare(pod: &PodLayout, container: &Container, attempt: u32) {
        let mounts = mounts::mounts(pod, &desired("p", "u"), container).unwrap();
        super::super::files::prepare(pod, container, attempt, &mounts, None).unwrap();
    }

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
            let pod = pod_layout(top.path(), "p", "u");
            let mut container = container("c");
            container.termination_message_from_log = from_log;
            prepare(&pod, &container, 3);
            std::fs::write(pod.log_file("c", 3), line("from the log")).unwrap();
            let path = pod.container_root("c").join("dev/termination-log");
            match file {
                Some(text) => std::fs::write(path, text).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            let found = written(&pod, &desired("p", "u"), &container, 3, &exit(code, ""));
            assert_eq!(found, expected, "{file:?} {from_log} {code}");
        }
    }

    #[test]
    fn a_planted_link_is_an_error_and_a_long_message_is_its_end() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let container = container("c");
        prepare(&pod, &container, 0);
        let path = pod.container_root("c").join("dev/termination-log");
        std::fs::write(&path, "x".repeat(5000) + "end").unwrap();
        let found = written(&pod, &desired("p", "u"), &container, 0, &exit(1, ""));
        assert_eq!((found.len(), found.ends_with("xend")), (4096, true));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let found = written(&pod, &desired("p", "u"), &container, 0, &exit(1, ""));
        assert!(found.starts_with("Error on reading termination log /dev/termination-log: "), "{found}");
    }

    #[test]
    fn the_log_is_shown_without_what_the_runtime_said() {
        let top = tempfile::tempdir().unwrap();
        let pod = pod_layout(top.path(), "p", "u");
        let container = container("c");
        prepare(&pod, &container, 0);
        let said = format!("wasm trap: unreachable\nwasm backtrace:\n{}", "  0: inner\n".repeat(300).trim_end());
        let long = "x".repeat(1100);
        let program: String = ["old", &long, &long, "panicked"].map(line).concat();
        std::fs::write(pod.log_file("c", 0), program + &said.lines().map(line).collect::<String>()).unwrap();
        let found = log_tail(&pod, "c", 0, &said).unwrap();
        assert_eq!((found.len(), found.lines().last()), (2048, Some("panicked")), "{found}");
        assert_eq!(without("a\nb", ""), "a\nb");
        assert_eq!(without("a\ntrap\nrest", "trap"), "a\nrest");
        for (output, lines, bytes, expected) in
            [("a\nb\nc\n", 2, 9, "b\nc\n"), ("a\nb", 9, 9, "a\nb"), ("aéb", 1, 2, "b"), ("", 1, 1, "")]
        {
            assert_eq!(tail(output, lines, bytes), expected, "{output:?}");
        }
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(cut("aéb".to_owned(), 2), "a");
        assert_eq!(cut("aéb".to_owned(), 3), "aé");
        assert_eq!(cut("a".to_owned(), 3), "a");
    }
}
