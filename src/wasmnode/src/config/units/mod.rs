//! Durations and sizes as Kubernetes writes them in configuration files.

mod bytes;
mod duration;

pub(crate) use bytes::Bytes;
pub(crate) use duration::GoDuration;

/// Text that is neither a duration nor a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidUnit {
    #[error("{0:?} is not a duration such as 10s, 5m or 1h30m")]
    Duration(String),
    #[error("{0:?} is not a number of bytes such as 4096, 64Mi or 1G")]
    Bytes(String),
}
