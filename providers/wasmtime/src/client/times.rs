//! How long a guest waits, within bounds.

use std::future::Future;
use std::time::Duration;

use wasmtime_wasi_http::{Error, RequestOptions};

/// Where the guest says nothing.
const DEFAULT: Times = Times {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(600),
    between_bytes: Duration::from_secs(600),
};

/// Whatever the guest says.
const LONGEST: Times = Times {
    connect: Duration::from_secs(60),
    first_byte: Duration::from_secs(3600),
    between_bytes: Duration::from_secs(3600),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Until there is a connection, with name lookup and TLS.
    pub(super) connect: Duration,
    /// Until the head of the response.
    pub(super) first_byte: Duration,
    /// Between two pieces of its body.
    pub(super) between_bytes: Duration,
}

impl Times {
    pub(super) fn of(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let bounded = |asked: Option<Duration>, default, longest| asked.unwrap_or(default).min(longest);
        Self {
            connect: bounded(options.connect_timeout, DEFAULT.connect, LONGEST.connect),
            first_byte: bounded(options.first_byte_timeout, DEFAULT.first_byte, LONGEST.first_byte),
            between_bytes: bounded(options.between_bytes_timeout, DEFAULT.between_bytes, LONGEST.between_bytes),
        }
    }
}

/// `late` where it takes longer than that.
pub(super) async fn within<T>(
    time: Duration,
    late: Error,
    what: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(time, what).await.unwrap_or(Err(late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_choose_within_bounds() {
        assert_eq!(Times::of(None), DEFAULT);
        let connect_timeout = Some(Duration::from_secs(1));
        let first_byte_timeout = Some(Duration::MAX);
        let options = RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout: None };
        let expected = Times { connect: Duration::from_secs(1), first_byte: LONGEST.first_byte, ..DEFAULT };
        assert_eq!(Times::of(Some(options)), expected);
    }
}
