//! One line of a CRI log file: `2026-01-02T15:04:05.123456789Z stdout F message\n`.

use jiff::Timestamp;

/// A standard stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whether the guest's line ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// More of the same line follows, or the stream ended without a newline.
    Partial,
    /// The line ends here.
    Full,
}

/// What a line of the file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    pub(crate) stream: Stream,
    /// What the guest wrote: with its newline if the line is full and was written completely.
    pub(crate) content: &'a [u8],
}

/// Bytes that surround a message at most: time stamp, stream, tag, three blanks and the newline.
pub(crate) const OVERHEAD: usize = 30 + 6 + 1 + 3 + 1;

/// The time as CRI writes it: UTC with nine decimals.
pub(crate) fn stamp(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Appends one line to `out`. `content` holds no newline.
pub(crate) fn encode(out: &mut Vec<u8>, stamp: &str, stream: Stream, tag: Tag, content: &[u8]) {
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(match (stream, tag) {
        (Stream::Stdout, Tag::Full) => b" stdout F ",
        (Stream::Stdout, Tag::Partial) => b" stdout P ",
        (Stream::Stderr, Tag::Full) => b" stderr F ",
        (Stream::Stderr, Tag::Partial) => b" stderr P ",
    });
    out.extend_from_slice(content);
    out.push(b'\n');
}

/// Reads one line, with its newline where it has one; `None` for anything that is not a CRI log line.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    let (tags, content) = word(rest)?;
    let time = std::str::from_utf8(time).ok()?.parse().ok()?;
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Tags may be followed by others, separated by colons; the first one counts.
    let partial = tags.split(|b| *b == b':').next() == Some(b"P");
    let content = if partial { content.strip_suffix(b"\n").unwrap_or(content) } else { content };
    Some(Line { time, stream, content })
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b' ')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stamps_have_nine_decimals() {
        let time: Timestamp = "2026-01-02T15:04:05.1Z".parse().unwrap();
        assert_eq!(stamp(time), "2026-01-02T15:04:05.100000000Z");
    }

    #[test]
    fn parses_what_runtimes_write() {
        for (line, expected) in [
            ("2026-01-02T15:04:05Z stdout F a b\n", Some((Stream::Stdout, "a b\n"))),
            ("2026-01-02T15:04:05.123456789+01:00 stderr P a\n", Some((Stream::Stderr, "a"))),
            ("2026-01-02T15:04:05Z stdout F:x:y \n", Some((Stream::Stdout, "\n"))),
            ("2026-01-02T15:04:05Z stdout P:x z\n", Some((Stream::Stdout, "z"))),
            ("2026-01-02T15:04:05Z stdout F cut", Some((Stream::Stdout, "cut"))),
            ("2026-01-02T15:04:05Z stdin F x\n", None),
            ("yesterday stdout F x\n", None),
            ("2026-01-02T15:04:05Z stdout\n", None),
            ("\n", None),
        ] {
            let parsed = parse(line.as_bytes()).map(|l| (l.stream, std::str::from_utf8(l.content).unwrap()));
            assert_eq!(parsed, expected, "{line:?}");
        }
    }

    #[test]
    fn overhead_covers_the_longest_header() {
        let mut out = Vec::new();
        encode(&mut out, &stamp(Timestamp::UNIX_EPOCH), Stream::Stderr, Tag::Partial, b"");
        assert_eq!(out, b"1970-01-01T00:00:00.000000000Z stderr P \n");
        assert!(out.len() <= OVERHEAD);
    }
}
