//! A log as the body of an answer: sent as it comes, its header at once.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::reply::Response;
use wasmnode_logs::Reader;

/// The mutex is never locked: it makes the stream `Sync`, which warp asks of bodies and a boxed future is not.
struct LogBody(Mutex<BoxStream<'static, io::Result<Bytes>>>);

/// The answer that sends what `reader` reads, and breaks off when the server stops: the client then knows that
/// there may be more.
pub(super) fn answer(reader: Reader, stopping: CancellationToken) -> Response {
    let chunks = stream::unfold((reader, stopping), async |(mut reader, stopping)| {
        let chunk = tokio::select! {
            chunk = reader.next() => chunk?,
            () = stopping.cancelled() => Err(io::Error::other("the server is stopping")),
        };
        Some((chunk, (reader, stopping)))
    });
    let body = warp::reply::stream(LogBody(Mutex::new(chunks.boxed())));
    warp::reply::with_header(body, "content-type", "text/plain; charset=utf-8").into_response()
}

impl Stream for LogBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }
}
