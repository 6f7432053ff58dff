//! File work off the runtime's threads: a slow disk must not hold up other pods.

use std::io;

/// Runs `work` on a thread that may block. A panic in it is the caller's panic.
pub(crate) async fn io<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(e) => Err(io::Error::other(e)),
        },
    }
}
