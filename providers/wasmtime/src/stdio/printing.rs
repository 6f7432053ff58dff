//! The guest's end of its output.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmnode_logs::Stream;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::Output;
use super::lines::Lines;

/// Hands out streams that all print to the same output.
pub(crate) struct GuestOutput {
    printing: Printing,
    tty: bool,
}

#[derive(Clone)]
struct Printing {
    output: Arc<Output>,
    stream: Stream,
    /// Of an instance that shares the output with others.
    lines: Option<Arc<Lines>>,
}

impl GuestOutput {
    pub(crate) fn new(output: Arc<Output>, stream: Stream, tty: bool) -> Self {
        Self { printing: Printing { output, stream, lines: None }, tty }
    }

    /// Prints whole lines only.
    pub(crate) fn by_line(output: Arc<Output>, stream: Stream) -> Self {
        let lines = Some(Arc::new(Lines::new(output.clone(), stream)));
        Self { printing: Printing { output, stream, lines }, tty: false }
    }
}

impl Printing {
    fn put(&self, bytes: Bytes) {
        match &self.lines {
            Some(lines) => lines.push(&bytes),
            None => self.output.push(self.stream, bytes),
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        self.tty
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.printing.clone())
    }

    // The default adapter is a task that loses what it holds when the guest ends.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.printing.clone())
    }
}

#[async_trait]
impl Pollable for Printing {
    async fn ready(&mut self) {
        poll_fn(|cx| self.output.poll_room(cx)).await;
    }
}

impl OutputStream for Printing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.put(bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.output.room())
    }
}

impl AsyncWrite for Printing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.output.poll_room(cx));
        let taken = &buf[..buf.len().min(self.output.room().max(1))];
        self.put(Bytes::copy_from_slice(taken));
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
