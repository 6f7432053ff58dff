//! One way to ask the API server something: bounded in time, with an error that tells what to do next.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

/// A request that has no answer by then has none. The kubelet's lease client waits as long.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Longest error text kept; a server or proxy may answer with a whole page.
const MESSAGE_LIMIT: usize = 1024;

/// Why a request to the API server failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The API server answered with a failure.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The server's sentence.
        message: String,
    },
    /// There was no answer, or none that could be read.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// There was no answer in time.
    #[error("the API server did not answer within {} s", ANSWER_WITHIN.as_secs())]
    TimedOut,
}

/// Waits for an answer, but not for ever.
pub(crate) async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(ANSWER_WITHIN, request).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_elapsed) => Err(ApiError::TimedOut),
    }
}

impl ApiError {
    /// HTTP status, 0 where there was no answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unreachable(_) | Self::TimedOut => 0,
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// A precondition, such as the UID, does not hold.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409
    }

    /// This node may not do that, or not yet: the authorizer learns of a bound pod a little later than the node.
    pub fn is_forbidden(&self) -> bool {
        self.code() == 403
    }

    /// The same request will fail in the same way for ever.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.code(), 400 | 405 | 413 | 415 | 422)
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { code: status.code, message: shorten(status.message) },
            other => Self::Unreachable(shorten(chain(&other))),
        }
    }
}

impl From<kube::runtime::watcher::Error> for ApiError {
    fn from(error: kube::runtime::watcher::Error) -> Self {
        use kube::runtime::watcher::Error;
        match error {
            Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
                error.into()
            }
            Error::WatchError(status) => Self::Refused { code: status.code, message: shorten(status.message) },
            other @ Error::NoResourceVersion => Self::Unreachable(other.to_string()),
        }
    }
}

/// An error with its causes, on one line. kube and hyper tell only the outermost.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn shorten(text: String) -> String {
    truncated(&text.replace('\n', " "), MESSAGE_LIMIT).to_owned()
}

/// The longest start of `text` that is at most `limit` bytes.
pub(crate) fn truncated(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for() {
        let silent = std::future::pending::<kube::Result<()>>();
        assert_eq!(call(silent).await, Err(ApiError::TimedOut));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(truncated("aé", 2), "a");
        assert_eq!(truncated("aé", 3), "aé");
        assert_eq!(shorten("a\nb".to_owned()), "a b");
    }
}
