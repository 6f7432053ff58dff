//! Standard input of this process on its way to a program.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmnode_provider_api::{Provider, RunId, Streams};

/// Bytes per read at most.
const PIECE: usize = 16 << 10;

/// Pieces on their way; a program that does not read holds its writer, as a pipe would.
const PIECES: usize = 4;

/// Standard input, which one run gets.
#[derive(Debug, Default)]
pub(super) struct Input {
    is_given: AtomicBool,
}

// === impl Input ===

impl Input {
    /// Feeds the run, which has just been started, in a task of its own. Only the first call does anything: what was
    /// read cannot be read again.
    pub(super) fn give(&self, provider: &Arc<dyn Provider>, run: RunId) {
        if self.is_given.swap(true, Ordering::Relaxed) {
            return;
        }
        let (to, from) = mpsc::channel(PIECES);
        // Not one of the runtime's: it may wait for a key for ever, and ends with the process.
        let reading = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || forward(io::stdin(), &to));
        if let Err(error) = reading {
            tracing::warn!(%error, "Cannot read standard input, the program gets none");
        }
        let provider = Arc::clone(provider);
        tokio::spawn(async move {
            let streams = Streams { stdin: Some(from), ..Streams::default() };
            if let Err(error) = provider.attach(&run, streams).await {
                tracing::warn!(%error, "The program gets no input");
            }
        });
    }
}

/// Ends with the input, or when nobody wants more.
fn forward(mut input: impl Read, to: &mpsc::Sender<Bytes>) {
    let mut buffer = [0; PIECE];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(size) if to.blocking_send(Bytes::copy_from_slice(&buffer[..size])).is_err() => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return tracing::warn!(%error, "Standard input cannot be read to its end"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Fails now and then, as a terminal does when its window changes.
    struct Moody(Vec<io::Result<&'static [u8]>>);

    impl Read for Moody {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop().unwrap_or(Ok(b""))?;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn forwarded(pieces: Vec<io::Result<&'static [u8]>>) -> Vec<Bytes> {
        let (to, mut from) = mpsc::channel(8);
        forward(Moody(pieces.into_iter().rev().collect()), &to);
        drop(to);
        std::iter::from_fn(|| from.blocking_recv()).collect()
    }

    #[test]
    fn pieces_arrive_until_the_end() {
        let interrupted = || Err(ErrorKind::Interrupted.into());
        assert_eq!(forwarded(vec![Ok(b"a"), interrupted(), Ok(b"bc"), Ok(b""), Ok(b"d")]), ["a", "bc"]);
        assert_eq!(forwarded(vec![Ok(b"a"), Err(ErrorKind::Other.into()), Ok(b"b")]), ["a"]);
        let (to, from) = mpsc::channel(1);
        drop(from);
        forward(io::repeat(b'x'), &to);
    }
}
