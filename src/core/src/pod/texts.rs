//! Reasons and messages of the kubelet contract, sections 4.5, 4.6 and 6.

use jiff::SignedDuration;

use super::{Exit, ExitCause};
use crate::desired::Unsupported;
use crate::{PodRef, Record, Severity, run_id};

/// What stands before a run id in containerID, and before the version in containerRuntimeVersion.
pub const CONTAINER_ID_PREFIX: &str = "wasmtime://";

/// What the exit of a container says that was lost with the agent that ran it.
pub(super) const LOST: &str = "cause unknown, the agent was restarted";

/// Final state of a container that has none when its pod ends (contract section 4.11).
pub(super) const NOT_LOCATED: &str = "The container could not be located when the pod was terminated";

/// Why a pod ended with its node (contract section 4.12).
pub(super) const SHUTDOWN: &str = "Pod was terminated in response to imminent node shutdown.";

/// containerID of one run. A pod has one sandbox only.
pub(super) fn container_id(pod: &PodRef, container: &str, attempt: u32) -> String {
    format!("{CONTAINER_ID_PREFIX}{}", run_id(&pod.sandbox_id(0), container, attempt))
}

/// The event about a field that has no effect.
pub(super) fn not_honoured(field: &Unsupported) -> Record {
    let message = format!("{} is not honoured on this node: {}", field.path, field.why);
    Record::pod(Severity::Warning, "UnsupportedField", message)
}

pub(super) fn exit_reason(exit: &Exit) -> &'static str {
    match exit.cause {
        ExitCause::OutOfMemory => "OOMKilled",
        ExitCause::Lost => "Unknown",
        ExitCause::NotStarted => "StartError",
        ExitCause::Ended if exit.code == 0 => "Completed",
        ExitCause::Ended => "Error",
    }
}

pub(super) fn back_off_restarting(container: &str, pod: &PodRef) -> String {
    format!("Back-off restarting failed container {container} in pod {pod}")
}

pub(super) fn crash_loop(delay: SignedDuration, container: &str, pod: &PodRef) -> String {
    format!("back-off {} restarting failed container={container} pod={pod}", go_duration(delay))
}

/// The delay that [`crash_loop`] speaks of.
pub(super) fn crash_loop_delay(message: &str) -> Option<SignedDuration> {
    message.strip_prefix("back-off ")?.split(' ').next()?.parse().ok()
}

pub(super) fn pulled(image: &str, size_bytes: u64, timing: Option<(SignedDuration, SignedDuration)>) -> String {
    match timing {
        Some((pull, waiting)) => format!(
            "Successfully pulled image {image:?} in {} ({} including waiting). Image size: {size_bytes} bytes.",
            go_duration(pull),
            go_duration(waiting)
        ),
        None => format!("Container image {image:?} already present on machine and can be accessed by the pod"),
    }
}

/// A duration as Go prints it, to the millisecond: `350ms`, `1.2s`, `1m40s`, `5m0s`.
pub(super) fn go_duration(duration: SignedDuration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    seconds.truncate(seconds.trim_end_matches('0').trim_end_matches('.').len());
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        let cases = [
            (0, "0s"),
            (350, "350ms"),
            (1200, "1.2s"),
            (10_000, "10s"),
            (100_000, "1m40s"),
            (300_000, "5m0s"),
            (3_600_500, "1h0m0.5s"),
        ];
        for (millis, text) in cases {
            let delay = SignedDuration::from_millis(millis);
            assert_eq!(go_duration(delay), text);
            let pod = PodRef { namespace: "n".to_owned(), name: "p".to_owned(), uid: "u".to_owned() };
            assert_eq!(crash_loop_delay(&crash_loop(delay, "c", &pod)), Some(delay));
        }
    }
}
