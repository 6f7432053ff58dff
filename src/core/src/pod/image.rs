//! From "should run" to "is being started": the image of one container.

use jiff::{SignedDuration, Timestamp};

use super::body::{Body, after};
use super::container::Phase;
use super::texts;
use super::{Action, PullError, PullErrorKind, Pulled};
use crate::Severity::{Normal, Warning};

/// `ErrImagePull` is shown this long before it becomes `ImagePullBackOff`; the kubelet does so at its next sync.
const SHOW_ERROR: SignedDuration = SignedDuration::from_secs(5);

/// How often the manifest of a foreign image is looked at again: often enough for a fixed tag, never a storm.
const FOREIGN_RETRY: SignedDuration = SignedDuration::from_mins(5);

/// A container that waited for its pod: fetch its image, unless it has ended for good or must wait longer.
pub(super) fn begin(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
    let container = &mut body.containers[index];
    match container.phase {
        Phase::CrashLoop { until, .. } if until > now => {}
        Phase::Waiting | Phase::CrashLoop { .. } => pull(body, index, actions),
        Phase::Pulling { .. }
        | Phase::PullFailed { .. }
        | Phase::Starting
        | Phase::StartFailed { .. }
        | Phase::Running { .. }
        | Phase::Ended => {}
    }
}

/// Each start asks for the image anew, as its policy says.
pub(super) fn pull(body: &mut Body, index: usize, actions: &mut Vec<Action>) {
    let image = image_of(body, &body.containers[index].name);
    let container = &mut body.containers[index];
    let before = std::mem::replace(&mut container.phase, Phase::Pulling { announced: false });
    if matches!(before, Phase::PullFailed { .. } | Phase::StartFailed { .. } | Phase::CrashLoop { .. }) {
        container.held = Some(before);
    }
    container.changed = false;
    actions.push(Action::Pull { container: container.name.clone(), image });
}

/// The registry is being read: once per pull.
pub(super) fn pulling(body: &mut Body, name: &str, actions: &mut Vec<Action>) {
    let Some(container) = body.container_mut(name) else { return };
    if !matches!(container.phase, Phase::Pulling { announced: false }) {
        return;
    }
    container.phase = Phase::Pulling { announced: true };
    let message = format!("Pulling image {:?}", image_of(body, name));
    body.record(actions, Normal, "Pulling", name, message);
}

/// The pull ended.
pub(super) fn pulled(
    body: &mut Body,
    name: &str,
    image: &str,
    now: Timestamp,
    result: Result<Pulled, PullError>,
    actions: &mut Vec<Action>,
) {
    let Some(index) = body.index(name) else { return };
    if !matches!(body.containers[index].phase, Phase::Pulling { .. }) || image != image_of(body, name) {
        return;
    }
    match result {
        Ok(pulled) => start(body, index, now, pulled, actions),
        Err(error) => failed(body, index, now, error, actions),
    }
}

fn start(body: &mut Body, index: usize, now: Timestamp, pulled: Pulled, actions: &mut Vec<Action>) {
    let name = body.containers[index].name.clone();
    let image = image_of(body, &name);
    let message = texts::pulled(&image, pulled.size_bytes, pulled.timing);
    body.record(actions, Normal, "Pulled", &name, message);
    let container = &mut body.containers[index];
    container.pull.reset();
    container.told = None;
    (container.image, container.image_id) = (image, pulled.image_id);
    container.asked_at = now;
    container.attempt = container.next_attempt();
    container.ran = true;
    container.phase = Phase::Starting;
    actions.push(Action::Start { container: name, attempt: container.attempt });
}

fn failed(body: &mut Body, index: usize, now: Timestamp, error: PullError, actions: &mut Vec<Action>) {
    let name = body.containers[index].name.clone();
    let image = image_of(body, &name);
    match error.kind {
        PullErrorKind::NotWasm => tell_once(body, index, &image, &error, actions),
        PullErrorKind::Failed => {
            body.record(
                actions,
                Warning,
                "Failed",
                &name,
                format!("Failed to pull image {image:?}: {}", error.message),
            );
            body.record(actions, Warning, "Failed", &name, "Error: ErrImagePull");
        }
        PullErrorKind::NeverPull => {
            body.record(actions, Warning, "ErrImageNeverPull", &name, error.message.clone());
            body.record(actions, Warning, "Failed", &name, "Error: ErrImageNeverPull");
        }
        PullErrorKind::InvalidName => {
            body.record(actions, Warning, "InspectFailed", &name, error.message.clone());
            body.record(actions, Warning, "Failed", &name, "Error: InvalidImageName");
        }
    }
    let container = &mut body.containers[index];
    let retry_at = match error.kind {
        PullErrorKind::NotWasm => Some(after(now, FOREIGN_RETRY)),
        PullErrorKind::Failed | PullErrorKind::NeverPull => Some(after(now, container.pull.next_delay())),
        // Only another image in the spec helps.
        PullErrorKind::InvalidName => None,
    };
    let backs_off = matches!(error.kind, PullErrorKind::NotWasm | PullErrorKind::Failed);
    let announce_at = backs_off.then(|| after(now, SHOW_ERROR));
    container.phase = Phase::PullFailed { error, backing_off: false, announce_at, retry_at };
}

/// A foreign image never becomes ours by waiting, so its event is not repeated with every look at its manifest.
fn tell_once(body: &mut Body, index: usize, image: &str, error: &PullError, actions: &mut Vec<Action>) {
    let container = &mut body.containers[index];
    if container.told.as_ref() == Some(&error.message) {
        return;
    }
    container.told = Some(error.message.clone());
    let name = container.name.clone();
    body.record(actions, Warning, "Failed", &name, format!("Failed to pull image {image:?}: {}", error.message));
}

/// Time passed for a container whose image could not be had.
pub(super) fn tick(body: &mut Body, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
    let Phase::PullFailed { error, backing_off, announce_at, retry_at } = &mut body.containers[index].phase else {
        return;
    };
    if retry_at.is_some_and(|at| at <= now) {
        return pull(body, index, actions);
    }
    if announce_at.is_none_or(|at| at > now) {
        return;
    }
    (*backing_off, *announce_at) = (true, None);
    let quiet = error.kind == PullErrorKind::NotWasm;
    let name = body.containers[index].name.clone();
    if !quiet {
        let message = format!("Back-off pulling image {:?}", image_of(body, &name));
        body.record(actions, Normal, "BackOff", &name, message);
        body.record(actions, Warning, "Failed", &name, "Error: ImagePullBackOff");
    }
}

pub(super) fn image_of(body: &Body, name: &str) -> String {
    body.desired.container(name).map(|container| container.image.clone()).unwrap_or_default()
}
