//! The one way to wait for something that gives no notice.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two attempts: short beside what a cluster does, long beside what an attempt costs.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls `attempt` until it succeeds and returns what it returned.
///
/// # Errors
/// After `patience`: `what` was waited for, and why the last complete attempt failed.
pub async fn eventually<T, F>(patience: Duration, what: &str, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + patience;
    let mut last = anyhow!("no attempt came to an end");
    while let Ok(outcome) = timeout_at(deadline, attempt()).await {
        match outcome {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
        if Instant::now() + PAUSE >= deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(last.context(format!("{what}: not within {patience:?}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_until_it_succeeds() {
        let attempts = Cell::new(0);
        let outcome = eventually(Duration::from_secs(10), "the third attempt", || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 {
                bail!("attempt {}", attempts.get());
            }
            Ok(attempts.get())
        });
        assert_eq!(outcome.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn says_what_it_waited_for_and_the_last_reason() {
        let never = || async { Err::<(), _>(anyhow!("still Pending")) };
        let error = eventually(Duration::from_secs(1), "pod Running", never).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "pod Running: not within 1s: still Pending");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_is_given_up() {
        let error = eventually(Duration::from_secs(1), "an answer", std::future::pending::<Result<()>>).await;
        assert_eq!(format!("{:#}", error.unwrap_err()), "an answer: not within 1s: no attempt came to an end");
    }
}
