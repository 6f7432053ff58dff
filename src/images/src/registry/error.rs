//! What can go wrong with a registry, told apart as far as pulling acts on it.

use std::error::Error;
use std::time::Duration;

use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// 404: another credential may see it.
    #[error("not found")]
    NotFound,
    /// 401 or 403, or no token: another credential may help.
    #[error("{0}")]
    Denied(String),
    /// Content that is not what its name says.
    #[error("digest mismatch: expected {expected}, got {actual}")]
    Digest { expected: Digest, actual: Digest },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Other(String),
}

impl RegistryError {
    /// Whether the next credential is worth a try.
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self, Self::NotFound | Self::Denied(_))
    }
}

impl From<reqwest::Error> for RegistryError {
    fn from(err: reqwest::Error) -> Self {
        // Redirects to object stores carry signatures in their URL: never in a message.
        Self::Other(with_causes(&err.without_url()))
    }
}

/// reqwest says "error sending request"; why is in its sources.
fn with_causes(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
