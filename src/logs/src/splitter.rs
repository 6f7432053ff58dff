//! Cuts a stream of bytes into lines.

use crate::line::Tag;

/// Longest content of one line of the file, as containerd cuts them. It also bounds what a stream holds in memory.
pub(crate) const MAX_CONTENT: usize = 16 * 1024;

/// Kept between writes of a line in pieces; what is larger is given back, since thousands of streams are idle.
const KEEP_CAPACITY: usize = 256;

/// Receives the lines.
pub(crate) type Emit<'a> = dyn FnMut(Tag, &[u8]) + 'a;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes what the guest wrote and hands on the lines that it completes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], emit: &mut Emit<'_>) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let rest = self.overflow(&bytes[..end], emit);
            self.complete(Tag::Full, rest, emit);
            bytes = &bytes[end + 1..];
        }
        let rest = self.overflow(bytes, emit);
        self.pending.extend_from_slice(rest);
    }

    /// The stream has ended. What is left over is partial, as containerd writes it: a reader that joins partial
    /// lines then returns exactly what the guest wrote, without a newline that it did not write.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) {
        if !self.pending.is_empty() {
            self.complete(Tag::Partial, &[], emit);
        }
    }

    /// Emits partial lines until what is pending and the rest of `bytes`, which is returned, fit into one line.
    fn overflow<'a>(&mut self, mut bytes: &'a [u8], emit: &mut Emit<'_>) -> &'a [u8] {
        while self.pending.len() + bytes.len() > MAX_CONTENT {
            let (now, later) = bytes.split_at(MAX_CONTENT - self.pending.len());
            self.complete(Tag::Partial, now, emit);
            bytes = later;
        }
        bytes
    }

    fn complete(&mut self, tag: Tag, bytes: &[u8], emit: &mut Emit<'_>) {
        if self.pending.is_empty() {
            return emit(tag, bytes);
        }
        self.pending.extend_from_slice(bytes);
        emit(tag, &self.pending);
        self.pending.clear();
        self.pending.shrink_to(KEEP_CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(writes: &[&[u8]]) -> Vec<(Tag, Vec<u8>)> {
        let mut lines = Vec::new();
        let mut emit = |tag, content: &[u8]| lines.push((tag, content.to_vec()));
        let mut splitter = Splitter::default();
        for bytes in writes {
            splitter.push(bytes, &mut emit);
        }
        splitter.finish(&mut emit);
        lines
    }

    #[test]
    fn lines_may_come_in_pieces() {
        use Tag::{Full, Partial};
        assert_eq!(
            split(&[b"a", b"b\nc\n\n", b"", b"d"]),
            [(Full, b"ab".to_vec()), (Full, b"c".to_vec()), (Full, b"".to_vec()), (Partial, b"d".to_vec())]
        );
    }

    #[test]
    fn carriage_returns_are_kept() {
        assert_eq!(split(&[b"a\r\n"]), [(Tag::Full, b"a\r".to_vec())]);
    }

    #[test]
    fn only_lines_longer_than_the_limit_are_cut() {
        let exact = vec![b'x'; MAX_CONTENT];
        assert_eq!(split(&[&exact, b"\n"]), [(Tag::Full, exact.clone())]);
        let cut = split(&[b"yy", &exact, b"\n"]);
        let sizes: Vec<_> = cut.iter().map(|(tag, content)| (*tag, content.len())).collect();
        assert_eq!(sizes, [(Tag::Partial, MAX_CONTENT), (Tag::Full, 2)]);
        let huge = vec![b'z'; 3 * MAX_CONTENT];
        assert_eq!(split(&[&huge]).iter().map(|l| l.1.len()).collect::<Vec<_>>(), [MAX_CONTENT; 3]);
    }

    #[test]
    fn idle_streams_hold_little() {
        let mut splitter = Splitter::default();
        splitter.push(&[b'x'; 9000], &mut |_, _| {});
        splitter.push(b"\n", &mut |_, _| {});
        assert!(splitter.pending.capacity() <= KEEP_CAPACITY);
    }
}
