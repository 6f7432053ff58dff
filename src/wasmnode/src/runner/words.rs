//! Last words: the line that the agent quotes when it says why a runner is gone.

use std::panic;
use std::path::{Path, PathBuf};

use crate::exit::one_line;

/// Beside the exits; no run has this name.
const FILE: &str = "crash";

/// What the agent reads of it.
const MAX_BYTES: usize = 4096;

/// Keeps each panic, with its time: one in a task of its own does not end the process.
pub(super) fn keep_panics(directory: &Path) {
    let directory = PathBuf::from(directory);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(|location| format!(" at {location}")).unwrap_or_default();
        keep(&directory, &format!("{:.0} panicked{place}: {message}", jiff::Timestamp::now()));
    }));
}

/// Replaces what was kept before. Where it cannot be written, it was at least logged.
pub(super) fn keep(directory: &Path, words: &str) {
    let line = one_line(words);
    let end = line.floor_char_boundary(MAX_BYTES - 1);
    let _ = std::fs::write(directory.join(FILE), format!("{}\n", &line[..end]));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_bounded_line() {
        let directory = tempfile::tempdir().unwrap();
        keep(directory.path(), &format!("cannot\nmap: {}", "ü".repeat(4000)));
        let kept = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert!(kept.starts_with("cannot map: ü") && kept.ends_with("ü\n"), "{kept}");
        assert!((MAX_BYTES - 2..=MAX_BYTES).contains(&kept.len()), "{}", kept.len());
        keep(&directory.path().join("none"), "lost");
    }
}
