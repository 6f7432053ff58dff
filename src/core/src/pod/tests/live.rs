//! What happens to pods that live: changes of the spec, repeated attempts, a restarted agent, a clock that is set.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};

use super::at;
use super::play::{IMAGE, Play, pull};
use crate::desired::Unsupported;
use crate::pod::{Action, Event, Prior, PullError, PullErrorKind, StartError, StartErrorReason};

fn container(play: &Play) -> ContainerStatus {
    play.status.container_statuses.as_ref().unwrap()[0].clone()
}

fn fail_pull(play: &mut Play) {
    let result = Err(PullError { kind: PullErrorKind::Failed, message: "boom".to_owned() });
    play.send(Event::Pulled { container: "c".to_owned(), image: IMAGE.to_owned(), result });
}

#[test]
fn a_repeated_attempt_goes_on_showing_why_it_waited() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare();
    fail_pull(&mut play);
    play.wait_to(6).wait_to(10);
    assert_eq!((play.effects(), play.waiting(0).0.as_str()), (vec![&pull(IMAGE)], "ImagePullBackOff"));
    play.pulled("c");
    assert_eq!(play.waiting(0).0, "ImagePullBackOff");
    let result = Err(StartError { reason: StartErrorReason::CreateContainerConfigError, message: "no".to_owned() });
    play.send(Event::Started { container: "c".to_owned(), attempt: 0, result }).wait_to(20);
    assert_eq!((play.effects(), play.waiting(0).0.as_str()), (vec![&pull(IMAGE)], "CreateContainerConfigError"));
    play.run("c", 0).exit("c", 0, 1).run("c", 1).exit("c", 1, 1);
    assert_eq!(play.waiting(0).0, "CrashLoopBackOff");
    play.wait_to(40).pulled("c");
    assert_eq!((play.waiting(0).0.as_str(), container(&play).restart_count), ("CrashLoopBackOff", 1));
    play.send(Event::Started { container: "c".to_owned(), attempt: 2, result: Ok(at(40)) });
    assert!(container(&play).state.unwrap().running.is_some());
}

#[test]
fn another_image_forgets_why_the_one_before_waited() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare();
    fail_pull(&mut play);
    let mut changed = play.desired.clone();
    changed.containers[0].image = "registry.test/app:2".to_owned();
    play.send(Event::Desired(Arc::new(changed)));
    assert_eq!(play.effects(), [&pull("registry.test/app:2")]);
    assert_eq!(play.waiting(0).0, "ContainerCreating");
}

/// The API server refuses to let a container of such a policy run once it was shown as terminated.
#[test]
fn a_container_that_is_opened_again_is_never_shown_as_terminated() {
    for (policy, code) in [("Never", 143), ("Never", 0), ("OnFailure", 0)] {
        let mut play = Play::new(policy, &["c"]);
        play.prepare().run("c", 0);
        let mut changed = play.desired.clone();
        changed.containers[0].image = "registry.test/app:2".to_owned();
        play.send(Event::Desired(Arc::new(changed))).exit("c", 0, code);
        assert_eq!((play.waiting(0).0.as_str(), play.phase()), ("ContainerCreating", "Running"), "{policy} {code}");
        assert_eq!(container(&play).last_state.unwrap().terminated.unwrap().exit_code, code);
    }
}

#[test]
fn fields_that_a_live_pod_gets_are_told_once() {
    for prepared in [false, true] {
        let mut play = Play::new("Always", &["c"]);
        if prepared {
            play.prepare().run("c", 0);
        }
        let mut changed = play.desired.clone();
        changed.reported.push(Unsupported { path: "spec.ephemeralContainers".to_owned(), why: "not started" });
        changed.refused.push(Unsupported { path: "spec.activeDeadlineSeconds".to_owned(), why: "no deadlines" });
        changed.labels.insert("a".to_owned(), "b".to_owned());
        play.send(Event::Desired(Arc::new(changed.clone())));
        assert_eq!(
            play.records(),
            [
                "UnsupportedField spec.ephemeralContainers is not honoured on this node: not started",
                "UnsupportedField spec.activeDeadlineSeconds is not honoured on this node: no deadlines",
            ]
        );
        assert!(play.effects().is_empty());
        play.send(Event::Desired(Arc::new(changed)));
        assert!(play.actions.is_empty());
    }
}

#[test]
fn a_stop_is_given_two_seconds_at_least() {
    let mut play = Play::new("Always", &["c"]);
    play.prepare().run("c", 0).delete(1);
    play.wait_to(1);
    assert!(play.effects().is_empty());
    play.wait_to(2);
    assert_eq!(play.effects(), [&Action::Kill { container: "c".to_owned(), attempt: 0 }]);
}

#[test]
fn a_finished_pod_does_not_repeat_the_conditions_of_others() {
    let mut before = Play::new("Never", &["c"]);
    before.prepare().run("c", 0).exit("c", 0, 5);
    let mut status = before.status.clone();
    let foreign = PodCondition { type_: "example.com/gate".to_owned(), ..PodCondition::default() };
    status.conditions.as_mut().unwrap().push(foreign);
    let play = Play::continued(
        before.desired.clone(),
        Prior { status: Some(status), highest_log: [].into(), ..Prior::default() },
    );
    assert_eq!(play.status, before.status);
}

#[test]
fn a_clock_that_was_set_back_delays_no_restart_and_is_no_busy_loop() {
    let mut before = Play::new("Always", &["c"]);
    before.now = 9000;
    before.prepare().run("c", 0).exit("c", 0, 5);
    let prior = Prior { status: Some(before.status.clone()), highest_log: [].into(), ..Prior::default() };
    let mut play = Play::continued(before.desired.clone(), prior);
    assert_eq!(play.pod.as_ref().unwrap().next_deadline(), None);
    play.prepare();
    assert_eq!(play.effects(), [&pull(IMAGE)]);
}

#[test]
fn a_start_that_failed_takes_back_no_restart() {
    let mut play = Play::continued(
        Play::new("Always", &["c"]).desired,
        Prior { status: None, highest_log: [("c".to_owned(), 4)].into(), ..Prior::default() },
    );
    play.prepare().pulled("c");
    assert_eq!(container(&play).restart_count, 4);
    let result = Err(StartError { reason: StartErrorReason::RunContainerError, message: "no".to_owned() });
    play.send(Event::Started { container: "c".to_owned(), attempt: 5, result });
    assert_eq!(container(&play).restart_count, 4);
}
