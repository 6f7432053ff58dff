//! Output of one of many instances that print to the same log: in whole lines, so that they do not mix.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use wasmnode_logs::Stream;

use super::Output;

/// A line that is longer is printed in pieces.
const MAX_LINE: usize = 16 << 10;

/// One stream of one instance. Its last line is printed when it is dropped.
#[derive(Debug)]
pub(super) struct Lines {
    output: Arc<Output>,
    stream: Stream,
    partial: Mutex<BytesMut>,
}

impl Lines {
    pub(super) fn new(output: Arc<Output>, stream: Stream) -> Self {
        Self { output, stream, partial: Mutex::default() }
    }

    pub(super) fn push(&self, bytes: &Bytes) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if lines > 0 {
            partial.extend_from_slice(&bytes[..lines]);
            self.output.push(self.stream, partial.split().freeze());
        }
        partial.extend_from_slice(&bytes[lines..]);
        if partial.len() > MAX_LINE {
            self.output.push(self.stream, partial.split().freeze());
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let partial = self.partial.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !partial.is_empty() {
            partial.extend_from_slice(b"\n");
            self.output.push(self.stream, partial.split().freeze());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;
    use wasmnode_logs::Writer;

    use super::*;

    #[tokio::test]
    async fn instances_do_not_mix_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let output = Output::new(Handle::current());
        output.set_log(Writer::open(&path, 1 << 20, 2).unwrap());
        let instance = || Lines::new(output.clone(), Stream::Stdout);
        let (a, b) = (instance(), instance());
        a.push(&Bytes::from_static(b"one "));
        b.push(&Bytes::from_static(b"another\nand "));
        a.push(&Bytes::from_static(b"line\n"));
        b.push(&Bytes::from_static(b"an end"));
        drop((a, b));
        output.finish(Duration::MAX).await;
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(" F ")).map(|(_, text)| text).collect();
        assert_eq!(lines, ["another", "one line", "and an end"]);
    }
}
