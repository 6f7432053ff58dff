//! Which lines are shown, and how.

use crate::line::{self, stamp};

use super::Options;

/// Turns lines of the file into what the client sees.
#[derive(Debug)]
pub(super) struct Filter {
    options: Options,
    remaining: u64,
    /// The next message begins a line, for time stamps.
    new_line: bool,
}

// === impl Filter ===

impl Filter {
    pub(super) fn new(options: Options) -> Self {
        let remaining = options.limit_bytes.unwrap_or(u64::MAX);
        Self { options, remaining, new_line: true }
    }

    /// Appends what is to be seen of `line` to `out`. What is not a log line is left out.
    pub(super) fn add(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = line::parse(line) else { return };
        let begins = std::mem::replace(&mut self.new_line, line.content.is_empty() || line.content.ends_with(b"\n"));
        if self.options.since.is_some_and(|since| line.time < since)
            || self.options.stream.is_some_and(|s| s != line.stream)
        {
            return;
        }
        if self.options.timestamps && begins {
            self.append(stamp(line.time).as_bytes(), out);
            self.append(b" ", out);
        }
        self.append(line.content, out);
    }

    /// `limit_bytes` is reached.
    pub(super) fn is_full(&self) -> bool {
        self.remaining == 0
    }

    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let length = bytes.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        out.extend_from_slice(&bytes[..length]);
        self.remaining -= length as u64;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Stream;

    const FILE: &str = "2026-01-02T15:04:05.000000001Z stdout F one\n\
                        2026-01-02T15:04:06Z stderr P tw\n\
                        2026-01-02T15:04:07Z stderr F o\n\
                        not a log line\n\
                        2026-01-02T15:04:08Z stdout F three\n";

    fn show(options: Options) -> String {
        let (mut filter, mut out) = (Filter::new(options), Vec::new());
        FILE.split_inclusive('\n').for_each(|line| filter.add(line.as_bytes(), &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn options_combine() {
        let all = Options::default();
        for (options, expected) in [
            (all.clone(), "one\ntwo\nthree\n"),
            (Options { stream: Some(Stream::Stderr), ..all.clone() }, "two\n"),
            (Options { since: Some("2026-01-02T15:04:07Z".parse().unwrap()), ..all.clone() }, "o\nthree\n"),
            (Options { limit_bytes: Some(6), ..all.clone() }, "one\ntw"),
            (
                Options { timestamps: true, ..all.clone() },
                "2026-01-02T15:04:05.000000001Z one\n2026-01-02T15:04:06.000000000Z two\n\
                 2026-01-02T15:04:08.000000000Z three\n",
            ),
            (Options { timestamps: true, limit_bytes: Some(4), ..all }, "2026"),
        ] {
            assert_eq!(show(options.clone()), expected, "{options:?}");
        }
    }
}
