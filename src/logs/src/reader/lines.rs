//! Lines of a source, with bounded memory.

use std::io::{self, Read};
use std::ops::Range;

use super::source::Source;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// Longest line of the file. Ours have 16 KiB and a header; a file in which nothing ends a line for longer than
/// this was not written by a runtime, and is handed on in pieces.
const MAX_LINE: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Lines {
    source: Source,
    /// Bytes that may still be read: a reader that does not follow stops where the file ended at first.
    left: u64,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line begins.
    start: usize,
    /// Up to where no newline was found.
    searched: usize,
}

// === impl Lines ===

impl Lines {
    pub(super) fn new(source: Source, left: u64) -> Self {
        Self { source, left, buffer: Vec::new(), start: 0, searched: 0 }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The next complete line with its newline, as a range of [`Self::bytes`]; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
                return Ok(Some(self.take(self.searched + end + 1)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() - self.start >= MAX_LINE {
                return Ok(Some(self.take(self.buffer.len())));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// What follows the last newline, at the end of a file that nobody writes any more.
    pub(super) fn rest(&mut self) -> Option<Range<usize>> {
        (self.start < self.buffer.len()).then(|| self.take(self.buffer.len()))
    }

    /// The bytes of a range, until the next call of `next`.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    fn take(&mut self, end: usize) -> Range<usize> {
        let start = std::mem::replace(&mut self.start, end);
        self.searched = end;
        start..end
    }

    /// Reads one block; `false` at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let before = self.buffer.len();
        let block = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK);
        self.buffer.resize(before + block, 0);
        let read = self.source.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        if matches!(read, Ok(0)) {
            // A follower waits here, perhaps for hours; it need not hold a block meanwhile.
            self.buffer.shrink_to_fit();
        }
        let read = read?;
        self.left -= read as u64;
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    #[test]
    fn endless_lines_come_in_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 3 * MAX_LINE]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut lines = Lines::new(Source::Plain(file), u64::MAX);
        for _ in 0..3 {
            assert_eq!(lines.next().unwrap().unwrap().len(), MAX_LINE);
        }
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn incomplete_lines_wait_for_their_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Lines::new(Source::Plain(file.reopen().unwrap()), u64::MAX);
        for (write, expected) in [("a", None), ("b\nc", Some("ab\n")), ("", None), ("d\n", Some("cd\n"))] {
            file.write_all(write.as_bytes()).unwrap();
            let line = lines.next().unwrap().map(|range| lines.bytes(range).to_vec());
            assert_eq!(line.as_deref(), expected.map(str::as_bytes));
        }
    }
}
