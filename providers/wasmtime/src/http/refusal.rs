//! Answers that no guest gave.

use http::{HeaderValue, Response, StatusCode, header};
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode as Code2;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode as Code3;

/// Why a request has no answer of the guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request has no usable host.
    NoHost,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// All places are taken, or no instance could be had.
    Busy,
    /// The handler did not answer in time.
    TooSlow,
    /// The handler failed; the container's log has the details.
    Failed,
}

/// There is no instance to hand a request to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(super) struct NoInstance {
    pub(super) message: String,
    /// For lack of room, not because of the guest.
    pub(super) full: bool,
}

impl NoInstance {
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        let full = error.downcast_ref::<PoolConcurrencyLimitError>().is_some();
        Self { message: format!("{error:#}"), full }
    }
}

impl Refusal {
    /// What an error that the guest or its instance returned comes to.
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        if error.downcast_ref::<NoInstance>().is_some_and(|none| none.full) {
            return Self::Busy;
        }
        let too_large = matches!(error.downcast_ref(), Some(Code2::HttpRequestBodySize(_)))
            || matches!(error.downcast_ref(), Some(Code3::HttpRequestBodySize(_)));
        if too_large { Self::BodyTooLarge } else { Self::Failed }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NoHost => "the request has no valid host\n",
            Self::BodyTooLarge => "the body is larger than this server takes\n",
            Self::Busy => "too many requests at the same time\n",
            Self::TooSlow => "the handler did not answer in time\n",
            Self::Failed => "the handler failed\n",
        }
    }

    pub(super) fn response(self) -> Response<&'static str> {
        let mut response = Response::new(self.text());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self == Self::Busy {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
