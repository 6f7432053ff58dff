//! Single decisions and the texts that go with them.

use std::sync::Arc;

use jiff::Timestamp;

use super::play::{IMAGE, Play, pull};
use super::{at, deleted, mk_desired};
use crate::pod::{Action, Event, Exit, ExitCause, NodeAddresses, Pod, Prior, PullError, PullErrorKind};
use crate::{Record, Severity};

#[test]
fn a_pod_becomes_ready_and_says_each_step() {
    let mut play = Play::new("Always", &["c"]);
    assert_eq!(play.actions, [Action::Mount]);
    assert_eq!((play.phase(), play.waiting(0).0.as_str()), ("Pending", "ContainerCreating"));
    assert_eq!(play.condition("PodReadyToStartContainers").0, "False");
    play.send(Event::Mounted(Ok(())));
    assert_eq!(play.actions, [Action::CreateSandbox]);
    play.send(Event::SandboxReady(Ok(())));
    assert_eq!(play.actions, [pull(IMAGE)]);
    assert_eq!(play.condition("PodReadyToStartContainers").0, "True");
    play.send(Event::Pulling { container: "c".to_owned() });
    assert_eq!(play.records(), ["Pulling Pulling image \"registry.test/app:1\""]);
    play.pulled("c");
    assert_eq!(
        play.records(),
        ["Pulled Container image \"registry.test/app:1\" already present on machine and can be accessed by the pod"]
    );
    play.send(Event::Started { container: "c".to_owned(), attempt: 0, result: Ok(at(0)) });
    assert_eq!(play.records(), ["Created Container created", "Started Container started"]);
    assert_eq!((play.phase(), play.condition("Ready").0.as_str()), ("Running", "True"));
}

#[test]
fn phases_follow_policy_and_exit_codes() {
    let cases = [
        ("Always", 0, "Running"),
        ("Always", 1, "Running"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 1, "Running"),
        ("Never", 0, "Succeeded"),
        ("Never", 1, "Failed"),
    ];
    for (policy, code, phase) in cases {
        let mut play = Play::new(policy, &["c"]);
        play.prepare().run("c", 0).exit("c", 0, code);
        assert_eq!(play.phase(), phase, "{policy} {code}");
    }
}

#[test]
fn one_waiting_container_keeps_the_pod_pending() {
    let mut play = Play::new("Never", &["a", "b"]);
    play.prepare().run("a", 0);
    assert_eq!(play.phase(), "Pending");
    play.exit("a", 0, 0);
    assert_eq!(play.phase(), "Pending");
    play.run("b", 0);
    assert_eq!(play.phase(), "Running");
}

#[test]
fn the_first_restart_is_immediate_and_the_second_waits() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare().run("c", 0).exit("c", 0, 3);
    assert_eq!(play.effects(), [&pull(IMAGE)]);
    assert_eq!(play.terminated(0), (3, "Error".to_owned()));
    play.run("c", 1).exit("c", 1, 3);
    assert_eq!(play.records(), ["BackOff Back-off restarting failed container c in pod web_default(uid-1)"]);
    assert_eq!(
        play.waiting(0),
        ("CrashLoopBackOff".to_owned(), "back-off 10s restarting failed container=c pod=web_default(uid-1)".to_owned())
    );
    let status = &play.status.container_statuses.as_ref().unwrap()[0];
    assert_eq!((status.restart_count, status.last_state.clone().unwrap().terminated.unwrap().exit_code), (1, 3));
    play.wait_to(9);
    assert!(play.effects().is_empty());
    play.wait_to(10);
    assert_eq!(play.effects(), [&pull(IMAGE)]);
}

#[test]
fn image_errors_are_shown_and_tried_again() {
    let mut play = Play::new("Always", &["c"]);
    let error = |kind| PullError { kind, message: "boom".to_owned() };
    play.prepare();
    let fail = |kind| Event::Pulled { container: "c".to_owned(), image: IMAGE.to_owned(), result: Err(error(kind)) };
    play.send(fail(PullErrorKind::Failed));
    assert_eq!(play.waiting(0), ("ErrImagePull".to_owned(), "boom".to_owned()));
    assert_eq!(
        play.records(),
        ["Failed Failed to pull image \"registry.test/app:1\": boom", "Failed Error: ErrImagePull"]
    );
    play.wait_to(6);
    let message = "Back-off pulling image \"registry.test/app:1\": ErrImagePull: boom".to_owned();
    assert_eq!(play.waiting(0), ("ImagePullBackOff".to_owned(), message));
    assert_eq!(
        play.records(),
        ["BackOff Back-off pulling image \"registry.test/app:1\"", "Failed Error: ImagePullBackOff"]
    );
    play.wait_to(10);
    assert_eq!(play.effects(), [&pull(IMAGE)]);
    play.send(fail(PullErrorKind::InvalidName));
    assert_eq!((play.waiting(0).0.as_str(), play.pod.as_ref().unwrap().next_deadline()), ("InvalidImageName", None));
}

#[test]
fn a_foreign_image_makes_one_event_however_often_it_is_looked_at() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare();
    let mut events = 0;
    for look in 0..5 {
        play.now = look * 301;
        if look > 0 {
            play.send(Event::Tick);
            assert_eq!(play.effects(), [&pull(IMAGE)]);
        }
        let message = "\"x\" is for linux/amd64, not WebAssembly".to_owned();
        let error = PullError { kind: PullErrorKind::NotWasm, message };
        play.send(Event::Pulled { container: "c".to_owned(), image: IMAGE.to_owned(), result: Err(error) });
        events += play.records().len();
        play.now += 6;
        play.send(Event::Tick);
        events += play.records().len();
        assert_eq!((play.phase(), play.waiting(0).0.as_str()), ("Pending", "ImagePullBackOff"));
    }
    assert_eq!(events, 1);
}

#[test]
fn deletion_stops_kills_and_gives_back_in_order() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare().run("c", 0);
    play.delete(3);
    assert_eq!(play.records(), ["Killing Stopping container c"]);
    assert_eq!(play.effects(), [&Action::Stop { container: "c".to_owned(), attempt: 0 }]);
    play.wait_to(2);
    assert!(play.effects().is_empty());
    play.wait_to(3);
    assert_eq!(play.effects(), [&Action::Kill { container: "c".to_owned(), attempt: 0 }]);
    play.exit("c", 0, 137);
    assert_eq!((play.phase(), play.effects()), ("Failed", vec![&Action::RemoveSandbox]));
    assert_eq!(play.condition("Ready"), ("False".to_owned(), "PodFailed".to_owned()));
    play.send(Event::SandboxRemoved);
    assert_eq!(play.effects(), [&Action::Unmount]);
    play.send(Event::Unmounted);
    assert_eq!(play.effects(), [&Action::Release { delete: true }]);
    assert!(play.pod.as_ref().unwrap().is_released());
}

#[test]
fn a_second_delete_may_only_shorten_the_grace() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare().run("c", 0);
    play.delete(30).delete(60);
    let deadline = |play: &Play| play.pod.as_ref().unwrap().next_deadline();
    assert_eq!(deadline(&play), Some(at(30)));
    play.delete(2);
    assert_eq!(deadline(&play), Some(at(2)));
}

#[test]
fn a_pod_deleted_before_it_ran_ends_failed_with_the_kubelets_words() {
    let mut play = Play::new("Always", &["c"]);
    play.delete(30);
    assert_eq!((play.phase(), play.terminated(0)), ("Failed", (137, "ContainerStatusUnknown".to_owned())));
    assert!(play.effects().is_empty(), "the mount is under way");
    play.send(Event::Mounted(Ok(())));
    assert_eq!(play.effects(), [&Action::Unmount]);
}

#[test]
fn completion_gives_back_and_waits_for_the_deletion() {
    let mut play = Play::new("Never", &["c"]);
    play.prepare().run("c", 0).exit("c", 0, 0);
    assert_eq!((play.effects(), play.phase()), (vec![&Action::RemoveSandbox], "Succeeded"));
    play.send(Event::SandboxRemoved).send(Event::Unmounted);
    assert!(play.effects().is_empty());
    assert_eq!(play.condition("ContainersReady").1, "PodCompleted");
    play.delete(30);
    assert_eq!(play.effects(), [&Action::Release { delete: true }]);
}

#[test]
fn an_exit_that_overtakes_its_start_counts_once() {
    let mut play = Play::new("Never", &["c"]);
    play.prepare().pulled("c").exit("c", 0, 0);
    assert_eq!(play.phase(), "Succeeded");
    let before = play.pod.clone();
    play.send(Event::Started { container: "c".to_owned(), attempt: 0, result: Ok(at(0)) });
    assert_eq!((play.pod.clone(), play.actions.len()), (before, 0));
}

#[test]
fn what_ran_under_an_earlier_agent_is_lost_and_starts_again_by_policy() {
    for (policy, phase, next) in
        [("Always", "Pending", Some(3)), ("OnFailure", "Pending", Some(3)), ("Never", "Failed", None)]
    {
        let mut before = Play::new(policy, &["c"]);
        before.prepare();
        let prior_log = [("c".to_owned(), 2)].into();
        before.run("c", 0);
        let prior = Prior { status: Some(before.status.clone()), highest_log: prior_log, ..Prior::default() };
        let mut play = Play::continued(before.desired.clone(), prior);
        if next.is_some() {
            play.prepare().pulled("c");
        }
        let started = play.effects().into_iter().find_map(|action| match action {
            Action::Start { attempt, .. } => Some(*attempt),
            _ => None,
        });
        assert_eq!(started, next, "{policy}");
        assert_eq!(play.terminated(0), (255, "Unknown".to_owned()), "{policy}");
        if next.is_none() {
            assert_eq!(play.phase(), phase, "{policy}");
        }
    }
}

#[test]
fn a_finished_pod_stays_as_it_was_written() {
    let mut before = Play::new("Never", &["c"]);
    before.prepare().run("c", 0).exit("c", 0, 5);
    let written = before.status.clone();
    let play = Play::continued(
        before.desired.clone(),
        Prior { status: Some(written.clone()), highest_log: [].into(), ..Prior::default() },
    );
    assert_eq!(play.status, written);
    assert_eq!(play.effects(), [&Action::Unmount], "what a dead agent may have left is given back");
}

#[test]
fn a_changed_image_restarts_the_container_whatever_the_policy() {
    let mut play = Play::new("Never", &["c"]);
    play.prepare().run("c", 0);
    let mut changed = play.desired.clone();
    changed.containers[0].image = "registry.test/app:2".to_owned();
    play.send(Event::Desired(Arc::new(changed)));
    assert_eq!(play.records(), ["Killing Container c definition changed, will be restarted"]);
    play.exit("c", 0, 143);
    assert_eq!(play.effects(), [&pull("registry.test/app:2")]);
}

#[test]
fn memory_and_loss_have_reasons_of_their_own() {
    for (cause, code, reason) in [(ExitCause::OutOfMemory, 137, "OOMKilled"), (ExitCause::Lost, 255, "Unknown")] {
        let mut play = Play::new("Never", &["c"]);
        let now: Timestamp = at(0);
        play.prepare().run("c", 0).exit_as(
            "c",
            0,
            Exit { code, cause, message: "why".to_owned(), started_at: now, finished_at: now },
        );
        assert_eq!(play.terminated(0), (code, reason.to_owned()));
    }
}

#[test]
fn a_refused_pod_is_failed_until_it_is_deleted() {
    let desired = Arc::new(mk_desired("Always", &["c"]));
    let (pod, actions) =
        Pod::refused(at(0), desired.clone(), Prior::default(), "OutOfcpu".to_owned(), "no cpu".to_owned());
    assert_eq!(actions, [Action::Record(Record::pod(Severity::Warning, "OutOfcpu", "no cpu"))]);
    let status = pod.status(at(0), &NodeAddresses::default(), None);
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref(), status.message.as_deref()),
        (Some("Failed"), Some("OutOfcpu"), Some("Pod was rejected: no cpu"))
    );
    let (pod, actions) = pod.step(at(1), Event::Desired(deleted(&desired, at(1), 30)));
    assert_eq!((pod.is_released(), actions), (true, vec![Action::Release { delete: true }]));
}
