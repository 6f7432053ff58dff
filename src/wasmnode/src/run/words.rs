//! Pod statuses in plain words.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, PodStatus};

/// Reasons to wait that only a change of the cluster could end; here is none.
const FATAL: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// States that nothing was running in.
const NEVER_RAN: [&str; 2] = ["ContainerStatusUnknown", NOT_STARTED];

/// The one of a program that is not in the image; it will not appear there.
const NOT_STARTED: &str = "StartError";

/// What is said of a program that the memory limit ended, and that could not say anything itself.
pub(super) const OUT_OF_MEMORY: &str = "it wanted more memory than its limit";

/// What a new status says that the one before did not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Lines for the user, each with the container that it is about.
    pub(super) lines: Vec<(String, String)>,
    /// Runs whose output begins: container and attempt.
    pub(super) begun: Vec<(String, u32)>,
    /// Why the pod will never start.
    pub(super) failure: Option<String>,
}

/// Compares two statuses of a pod.
pub(super) fn changes(old: Option<&PodStatus>, new: &PodStatus) -> Said {
    let mut said = Said::default();
    for container in new.container_statuses.iter().flatten() {
        let before = old.and_then(|old| old.container_statuses.iter().flatten().find(|c| c.name == container.name));
        compare(before, container, &mut said);
    }
    let rejected = new.phase.as_deref() == Some("Failed") && new.reason.is_some();
    if rejected && old.is_none_or(|old| old.reason != new.reason) {
        said.failure = said.failure.or_else(|| new.message.clone());
    }
    said
}

fn compare(old: Option<&ContainerStatus>, new: &ContainerStatus, said: &mut Said) {
    let Some(state) = &new.state else { return };
    let (was, is) = (old.map(Seen::of).unwrap_or_default(), Seen::of(new));
    let runs = was.runs..is.runs;
    said.begun.extend(runs.clone().map(|attempt| (new.name.clone(), attempt)));
    let mut say = |text: String| said.lines.push((new.name.clone(), text));
    if !runs.is_empty() {
        say("started".to_owned());
    }
    if let Some(ended) = is.ended.filter(|_| is.ends > was.ends) {
        say(end(ended));
    }
    if let Some(message) = not_started(new) {
        said.failure.get_or_insert(message);
    }
    let Some(waiting) = &state.waiting else { return };
    let (reason, message) =
        (waiting.reason.as_deref().unwrap_or_default(), waiting.message.clone().unwrap_or_default());
    if FATAL.contains(&reason) {
        said.failure.get_or_insert(message);
    } else if reason == "CrashLoopBackOff" && !was.backs_off {
        let delay = message.strip_prefix("back-off ").and_then(|rest| rest.split(' ').next()).unwrap_or("a while");
        say(format!("waits {delay} before it is started again"));
    }
}

fn not_started(status: &ContainerStatus) -> Option<String> {
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let mut ended = states.filter_map(|state| state.terminated.as_ref());
    ended
        .find(|ended| ended.reason.as_deref() == Some(NOT_STARTED))
        .map(|ended| ended.message.clone().unwrap_or_default())
}

fn ran(ended: &ContainerStateTerminated) -> bool {
    ended.reason.as_deref().is_none_or(|reason| !NEVER_RAN.contains(&reason))
}

/// What a status knows of a container's runs. Workers may be faster than whoever looks.
#[derive(Default)]
struct Seen<'a> {
    /// Runs that were started so far, and those that ended.
    runs: u32,
    ends: u32,
    ended: Option<&'a ContainerStateTerminated>,
    backs_off: bool,
}

impl<'a> Seen<'a> {
    fn of(status: &'a ContainerStatus) -> Self {
        let attempt = u32::try_from(status.restart_count).unwrap_or_default();
        let now = status.state.as_ref();
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let waiting = now.and_then(|state| state.waiting.as_ref());
        // While a container waits, its last state is that of the run that is counted last.
        let ended = now.and_then(|state| state.terminated.as_ref()).or_else(|| waiting.and(last));
        let ended = ended.filter(|ended| ran(ended));
        let runs =
            if ended.is_some() || now.is_some_and(|state| state.running.is_some()) { attempt + 1 } else { attempt };
        let ends = if ended.is_some() { attempt + 1 } else { attempt };
        let backs_off = waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
        Self { runs, ends, ended, backs_off }
    }
}

fn end(ended: &ContainerStateTerminated) -> String {
    let code = ended.exit_code;
    let mut text = match ended.reason.as_deref() {
        Some("OOMKilled") => format!("ended with exit code {code}: {OUT_OF_MEMORY}"),
        _ => format!("ended with exit code {code}"),
    };
    // A trap's backtrace follows in what the program printed.
    if let Some(message) = ended.message.as_deref().and_then(|message| message.trim().lines().next()) {
        text.push_str(": ");
        text.push_str(message);
    }
    text
}

/// The exit codes of the containers that ran, in the order of the spec.
pub(super) fn exit_codes(status: &PodStatus) -> Vec<i32> {
    let states = status.container_statuses.iter().flatten().filter_map(|container| container.state.as_ref());
    let ended = states.filter_map(|state| state.terminated.as_ref());
    ended.filter(|ended| ran(ended)).map(|ended| ended.exit_code).collect()
}

/// Whether a pod will do nothing more.
pub(super) fn is_over(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// Restarts of all containers.
pub(super) fn restarts(status: &PodStatus) -> u32 {
    let counts = status.container_statuses.iter().flatten().map(|container| container.restart_count);
    u32::try_from(counts.sum::<i32>()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(restarts: i32, state: &Value, last: &Value) -> PodStatus {
        let container = json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last });
        serde_json::from_value(json!({ "phase": "Running", "containerStatuses": [container] })).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    fn ended(code: i32, reason: &str, message: &str) -> Value {
        json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } })
    }

    #[test]
    fn a_life_in_words() {
        let (none, running) = (json!({}), json!({ "running": {} }));
        let trap = ended(134, "Error", "unreachable\n");
        let back_off = waiting("CrashLoopBackOff", "back-off 10s restarting failed container=c pod=p");
        let killed = "ended with exit code 137: it wanted more memory than its limit";
        // restarts, state, last state → lines, runs that begin
        type Step<'a> = (i32, Value, Value, &'a [&'a str], &'a [u32]);
        let life: [Step<'_>; 7] = [
            (0, waiting("ContainerCreating", ""), none.clone(), &[], &[]),
            (0, running.clone(), none.clone(), &["started"], &[0]),
            (0, running.clone(), none.clone(), &[], &[]),
            (0, trap.clone(), none, &["ended with exit code 134: unreachable"], &[]),
            (0, back_off.clone(), trap.clone(), &["waits 10s before it is started again"], &[]),
            (0, back_off, trap.clone(), &[], &[]),
            (2, ended(137, "OOMKilled", ""), trap, &["started", killed], &[1, 2]),
        ];
        let mut old: Option<PodStatus> = None;
        for (restarts, state, last, lines, begun) in life {
            let new = status(restarts, &state, &last);
            let said = changes(old.as_ref(), &new);
            let lines: Vec<_> = lines.iter().map(|line| ("c".to_owned(), (*line).to_owned())).collect();
            assert_eq!(said.lines, lines, "{state}");
            assert_eq!(said.begun, begun.iter().map(|n| ("c".to_owned(), *n)).collect::<Vec<_>>(), "{state}");
            old = Some(new);
        }
        let last = old.unwrap();
        assert_eq!((exit_codes(&last), restarts(&last)), (vec![137], 2));
    }

    #[test]
    fn a_short_life_is_not_missed() {
        let back_off = waiting("CrashLoopBackOff", "back-off 10s x");
        let said = changes(None, &status(0, &back_off, &ended(1, "Error", "")));
        assert_eq!(said.begun, [("c".to_owned(), 0)]);
        let lines = ["started", "ended with exit code 1", "waits 10s before it is started again"];
        assert_eq!(said.lines, lines.map(|line| ("c".to_owned(), line.to_owned())));
    }

    #[test]
    fn what_can_never_start_is_a_failure() {
        let none = json!({});
        let said = changes(None, &status(0, &waiting("ErrImagePull", "no such image"), &none));
        assert_eq!(said.failure.as_deref(), Some("no such image"));
        let rejected = json!({ "phase": "Failed", "reason": "OutOfmemory", "message": "Pod was rejected: x" });
        let said = changes(None, &serde_json::from_value(rejected).unwrap());
        assert_eq!(said.failure.as_deref(), Some("Pod was rejected: x"));
        let absent = status(0, &ended(128, "StartError", "exec: \"x\": not found"), &none);
        let said = changes(None, &absent);
        assert_eq!((said.failure.as_deref(), exit_codes(&absent)), (Some("exec: \"x\": not found"), vec![]));
        assert_eq!((said.lines, said.begun), (vec![], vec![]));
        let never = status(0, &ended(137, "ContainerStatusUnknown", ""), &none);
        assert_eq!((changes(None, &never), exit_codes(&never)), (Said::default(), vec![]));
    }
}
