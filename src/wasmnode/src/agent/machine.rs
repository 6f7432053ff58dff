//! Whether the machine itself is going down.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

use super::runners::SYSTEMD;

/// The answer comes from systemd's memory.
const ANSWERED: Duration = Duration::from_secs(5);

/// Asked when the agent was told to stop: only systemd knows why. Without it the agent never knows.
pub(super) async fn is_shutting_down() -> bool {
    if !Path::new(SYSTEMD).is_dir() {
        return false;
    }
    let mut command = Command::new("systemctl");
    command.arg("is-system-running").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(ANSWERED, command.output()).await {
        // Its status says something only where the state is `running`.
        Ok(Ok(output)) => is_stopping(&output.stdout),
        Ok(Err(error)) => {
            warn!(%error, "Cannot ask whether the machine shuts down");
            false
        }
        Err(_) => {
            warn!("Whether the machine shuts down is not known: systemd does not answer");
            false
        }
    }
}

fn is_stopping(answer: &[u8]) -> bool {
    answer.trim_ascii() == b"stopping"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_state_is_the_end_of_the_machine() {
        for (answer, stopping) in [("stopping\n", true), ("running\n", false), ("degraded\n", false), ("", false)] {
            assert_eq!(is_stopping(answer.as_bytes()), stopping, "{answer:?}");
        }
    }
}
