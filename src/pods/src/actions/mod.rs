//! The effects that the lifecycle asks for, one file each. They decide nothing: what went wrong is told in the terms
//! of [`wasmnode_core::pod::Event`], and the lifecycle says what happens next.

mod enter;
mod environment;
pub(crate) mod exit;
mod files;
mod mounts;
pub(crate) mod pull;
pub(crate) mod release;
pub(crate) mod sandbox;
pub(crate) mod start;
pub(crate) mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod volumes;

use std::time::Duration;

/// First and longest pause between attempts of what has to succeed for a pod to end.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Pauses between attempts, doubling.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(RETRY.0)
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY.1);
    }
}
