//! Volumes first, then the sandbox, then the containers (contract section 16.1).

use jiff::{SignedDuration, Timestamp};

use super::body::{Body, Setup, after};
use super::terminating::{self, Cause};
use super::{Action, Event, Pod, image};
use crate::{Record, Severity};

/// First and longest delay before a sandbox that could not be made is tried again.
pub(super) const SANDBOX_RETRY: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(10), SignedDuration::from_secs(60));

/// Failed mounts are tried again after 500 ms doubling to 2 m 2 s (contract section 10.1).
pub(super) fn mount(body: &mut Body, actions: &mut Vec<Action>) {
    body.mount = Setup::asked(SignedDuration::from_millis(500), SignedDuration::from_secs(122));
    actions.push(Action::Mount);
}

fn create_sandbox(body: &mut Body, actions: &mut Vec<Action>) {
    body.sandbox = Setup::asked(SANDBOX_RETRY.0, SANDBOX_RETRY.1);
    actions.push(Action::CreateSandbox);
}

pub(super) fn step(mut body: Body, now: Timestamp, event: Event, actions: &mut Vec<Action>) -> Pod {
    match event {
        Event::Desired(desired) => {
            let deleted = desired.deletion.is_some();
            body.update(desired, actions);
            if deleted {
                return terminating::begin(body, Cause::Deleted, now, actions);
            }
        }
        Event::Gone => return terminating::begin(body, Cause::Gone, now, actions),
        Event::End(end) => return terminating::end(body, end, now, actions),
        Event::Mounted(result) => {
            if mounted(&mut body, now, result, actions) {
                return start_all(body, now, actions);
            }
        }
        Event::SandboxReady(Err(message)) if body.mount.in_flight() => unresolved(&mut body, now, &message, actions),
        Event::SandboxReady(result) => {
            if sandbox_ready(&mut body, now, result, actions) {
                return start_all(body, now, actions);
            }
        }
        Event::Tick => {
            if body.mount.retry(now) {
                actions.push(Action::Mount);
            }
            if body.sandbox.retry(now) {
                actions.push(Action::CreateSandbox);
            }
        }
        // Nothing of the kind was asked for yet.
        Event::Pulling { .. }
        | Event::Pulled { .. }
        | Event::Started { .. }
        | Event::Exited { .. }
        | Event::SandboxRemoved
        | Event::Unmounted => {}
    }
    Pod::Preparing(body)
}

/// Takes the answer to a mount; true when the sandbox is there already, since it outlived an earlier agent.
fn mounted(body: &mut Body, now: Timestamp, result: Result<(), String>, actions: &mut Vec<Action>) -> bool {
    if !body.mount.answered(now, result.is_ok()) {
        return false;
    }
    match result {
        Ok(()) if body.sandbox == Setup::Done => return true,
        Ok(()) => create_sandbox(body, actions),
        Err(message) => actions.push(Action::Record(Record::pod(Severity::Warning, "FailedMount", message))),
    }
    false
}

/// Where volumes belong follows from the sandbox that the pod will have: mounting waits as the sandbox would.
fn unresolved(body: &mut Body, now: Timestamp, message: &str, actions: &mut Vec<Action>) {
    let retry_at = after(now, body.unresolved.next_delay());
    if body.mount.put_off(retry_at) {
        actions.push(Action::Record(no_sandbox(message)));
    }
}

fn no_sandbox(message: &str) -> Record {
    let message = format!("Failed to create pod sandbox: {message}");
    Record::pod(Severity::Warning, "FailedCreatePodSandBox", message)
}

fn sandbox_ready(body: &mut Body, now: Timestamp, result: Result<(), String>, actions: &mut Vec<Action>) -> bool {
    let ok = result.is_ok();
    let expected = body.sandbox.answered(now, ok);
    if let (true, Err(message)) = (expected, result) {
        actions.push(Action::Record(no_sandbox(&message)));
    }
    expected && ok
}

fn start_all(mut body: Body, now: Timestamp, actions: &mut Vec<Action>) -> Pod {
    for index in 0..body.containers.len() {
        image::begin(&mut body, index, now, actions);
    }
    Pod::Running(body)
}
