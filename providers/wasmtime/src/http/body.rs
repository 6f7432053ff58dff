//! Bodies on their way in, within their bounds, and on their way out, with what must be held until their end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error, WasiBody};

use super::activity::Active;
use super::slot::Awaited;

/// The body of a request.
pub(super) struct Inward {
    body: Incoming,
    max: u64,
    seen: u64,
    /// Cancelled when the client sends more than `max`.
    excess: CancellationToken,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// The body of a response.
pub(super) struct Outward {
    body: WasiBody,
    held: Held,
}

/// What ends with a response.
#[derive(Default)]
pub(super) struct Held {
    pub(super) awaited: Option<Awaited>,
    pub(super) _active: Option<Active>,
    pub(super) place: Option<Place>,
}

/// A place among the requests that are served.
pub(super) struct Place(pub(super) Arc<super::Server>);

// === impl Place ===

impl Place {
    pub(super) fn new(server: &Arc<super::Server>, permit: SemaphorePermit<'_>) -> Self {
        // Given back when this is dropped: the permit itself cannot outlive the borrow.
        permit.forget();
        Self(server.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.add_permits(1);
    }
}

// === impl Inward ===

impl Inward {
    pub(super) fn new(body: Incoming, max: u64, patience: Duration, excess: CancellationToken) -> Self {
        Self { body, max, seen: 0, excess, patience, waiting: None }
    }

    /// Pending, until the client has been silent for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        waiting.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        self.seen = self.seen.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
        if self.seen > self.max {
            self.excess.cancel();
            return Err(Error::HttpRequestBodySize(Some(self.max)));
        }
        Ok(frame)
    }
}

impl Body for Inward {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return this.poll_patience(cx) };
        if let Some(waiting) = &mut this.waiting {
            waiting.as_mut().reset(Instant::now() + this.patience);
        }
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => this.count(frame),
            Err(_gone) => Err(Error::ConnectionTerminated),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Outward ===

impl Outward {
    pub(super) fn new(body: WasiBody, held: Held) -> Self {
        Self { body, held }
    }

    pub(super) fn text(text: &'static str, held: Held) -> Self {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        Self::new(body.map_err(|never: Infallible| match never {}).boxed_unsync(), held)
    }
}

impl Body for Outward {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.held.awaited.as_ref().is_some_and(Awaited::has_failed) {
            return Poll::Ready(Some(Err(Error::HttpResponseIncomplete)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
