//! The body of a response on its way to a guest.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

/// What to do at the end of a body that was read wholly.
type AtEnd = Box<dyn FnOnce() + Send>;

pub(super) struct Received {
    body: Incoming,
    between_bytes: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    at_end: Option<AtEnd>,
}

impl Received {
    pub(super) fn new(body: Incoming, between_bytes: Duration, at_end: Option<AtEnd>) -> Self {
        let mut received = Self { body, between_bytes, waiting: None, at_end };
        if received.body.is_end_stream() {
            received.ended();
        }
        received
    }

    fn ended(&mut self) {
        if let Some(at_end) = self.at_end.take() {
            at_end();
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(this.between_bytes)));
            return waiting.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)));
        };
        if let Some(waiting) = &mut this.waiting {
            waiting.as_mut().reset(Instant::now() + this.between_bytes);
        }
        if frame.is_none() || this.body.is_end_stream() {
            this.ended();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| super::send::explained(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
