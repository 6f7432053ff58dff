//! The guest's end of an open standard input.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use super::Pipe;

/// Bytes per read at most, as wasmtime's own streams have it.
const MAX_READ: usize = 64 << 10;

/// Hands out streams that all read from the same pipe.
pub(crate) struct GuestInput {
    pipe: Arc<Pipe>,
    tty: bool,
}

struct Reading(Arc<Pipe>);

impl GuestInput {
    pub(crate) fn new(pipe: Arc<Pipe>, tty: bool) -> Self {
        Self { pipe, tty }
    }
}

impl IsTerminal for GuestInput {
    fn is_terminal(&self) -> bool {
        self.tty
    }
}

impl StdinStream for GuestInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Reading(self.pipe.clone()))
    }

    // The default adapter reads ahead in a task of its own and would lose what it has read when it is dropped.
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Reading(self.pipe.clone()))
    }
}

#[async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_readable(cx)).await;
    }
}

impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.0.read(size.min(MAX_READ)).ok_or(StreamError::Closed)
    }
}

impl AsyncRead for Reading {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_readable(cx));
        if let Some(bytes) = self.0.read(buf.remaining()) {
            buf.put_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }
}
