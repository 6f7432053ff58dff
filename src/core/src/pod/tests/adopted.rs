//! Pods that outlived the agent, and runs that did not outlive their process.

use super::at;
use super::deleted;
use super::play::{IMAGE, Play, pull};
use crate::pod::{Action, Event, Exit, ExitCause, LiveRun, Pod, Prior, Settings, StartError, StartErrorReason};

fn exit(code: i32, cause: ExitCause, message: &str, second: i64) -> Exit {
    Exit { code, cause, message: message.to_owned(), started_at: at(0), finished_at: at(second) }
}

fn live(attempt: u32) -> LiveRun {
    LiveRun { attempt, started_at: at(0) }
}

/// What is left of a pod whose containers were in that status.
fn left(before: &Play, live: &[(&str, LiveRun)], exits: &[(&str, u32, Exit)]) -> Prior {
    Prior {
        status: Some(before.status.clone()),
        highest_log: [].into(),
        sandbox: true,
        live: live.iter().map(|(name, run)| ((*name).to_owned(), *run)).collect(),
        exits: exits.iter().map(|(name, attempt, exit)| ((*name).to_owned(), (*attempt, exit.clone()))).collect(),
    }
}

fn running(policy: &str, containers: &[&str]) -> Play {
    let mut play = Play::new(policy, containers);
    play.prepare();
    for name in containers {
        play.run(name, 0);
    }
    play
}

#[test]
fn what_lives_goes_on_without_a_word() {
    let before = running("Always", &["c"]);
    let mut play = Play::continued(before.desired.clone(), left(&before, &[("c", live(0))], &[]));
    assert_eq!((play.actions.as_slice(), &play.status), ([].as_slice(), &before.status));
    play.exit("c", 0, 3);
    assert_eq!(play.effects(), [&pull(IMAGE)]);
    play.run("c", 1);
    assert_eq!(play.status.container_statuses.as_ref().unwrap()[0].restart_count, 1);
}

#[test]
fn what_waited_goes_on_beside_what_lives() {
    let mut before = Play::new("Always", &["a", "c"]);
    before.prepare().run("a", 0);
    let play = Play::continued(before.desired.clone(), left(&before, &[("a", live(0))], &[]));
    assert_eq!((play.effects(), play.phase()), (vec![&pull(IMAGE)], "Pending"));
    assert!(play.records().is_empty());
}

#[test]
fn what_ended_meanwhile_ended_as_it_did() {
    let ended = exit(7, ExitCause::Ended, "why", 5);
    for (policy, phase) in [("Always", "Running"), ("OnFailure", "Running"), ("Never", "Failed")] {
        let before = running(policy, &["c"]);
        let play = Play::continued(before.desired.clone(), left(&before, &[], &[("c", 0, ended.clone())]));
        assert_eq!((play.phase(), play.terminated(0)), (phase, (7, "Error".to_owned())), "{policy}");
        let next = if policy == "Never" { Action::RemoveSandbox } else { Action::Mount };
        assert_eq!(play.actions, [next], "{policy}");
    }
    let before = running("Never", &["a", "c"]);
    let play = Play::continued(before.desired.clone(), left(&before, &[("a", live(0))], &[("c", 0, ended)]));
    assert_eq!((play.phase(), play.terminated(1).0), ("Running", 7));
}

#[test]
fn a_sandbox_that_is_there_is_not_made_again() {
    let before = running("Always", &["c"]);
    let ended = exit(7, ExitCause::Ended, "", 5);
    let mut play = Play::continued(before.desired.clone(), left(&before, &[], &[("c", 0, ended)]));
    play.send(Event::Mounted(Ok(())));
    assert_eq!(play.effects(), [&pull(IMAGE)]);
}

#[test]
fn an_exit_that_was_told_is_not_told_again() {
    let mut before = running("Always", &["c"]);
    before.exit("c", 0, 7);
    let ended = exit(7, ExitCause::Ended, "", 0);
    let play = Play::continued(before.desired.clone(), left(&before, &[], &[("c", 0, ended.clone())]));
    assert_eq!(play.status.container_statuses, before.status.container_statuses);
    // As it is shown while it backs off, and as an older one.
    before.run("c", 1).exit("c", 1, 7);
    for attempt in [1, 0] {
        let exits = [("c", attempt, ended.clone())];
        let play = Play::continued(before.desired.clone(), left(&before, &[], &exits));
        assert_eq!(play.status.container_statuses, before.status.container_statuses, "attempt {attempt}");
    }
}

#[test]
fn a_back_off_goes_on() {
    let mut before = running("Always", &["c"]);
    before.exit("c", 0, 7).run("c", 1).exit("c", 1, 7);
    let mut play = Play::continued(before.desired.clone(), left(&before, &[], &[]));
    assert_eq!((play.actions.as_slice(), play.waiting(0)), ([Action::Mount].as_slice(), before.waiting(0)));
    play.prepare();
    assert!(play.actions.is_empty());
    assert_eq!(play.pod.as_ref().unwrap().next_deadline(), Some(at(10)));
    play.wait_to(10);
    assert_eq!(play.effects(), [&pull(IMAGE)]);
    play.run("c", 2).exit("c", 2, 7);
    assert_eq!(play.pod.as_ref().unwrap().next_deadline(), Some(at(30)));
}

#[test]
fn a_deleted_pod_is_stopped_with_what_is_left_of_its_grace() {
    // Age of the deletion at the restart, its grace → when the kill is due.
    for (age, grace, due) in [(0, 30, 30), (20, 30, 10), (29, 30, 2), (500, 30, 2)] {
        let mut before = running("Always", &["c"]);
        before.delete(grace);
        let desired = deleted(&before.desired, at(-age), grace);
        let prior = left(&before, &[("c", live(0))], &[]);
        let (pod, actions) = Pod::new(at(0), desired, prior, Settings::default());
        assert!(actions.contains(&Action::Stop { container: "c".to_owned(), attempt: 0 }));
        assert_eq!(pod.next_deadline(), Some(at(due)), "{age} {grace}");
    }
}

#[test]
fn a_finished_pod_that_still_runs_is_stopped() {
    let mut before = running("Never", &["c"]);
    before.exit("c", 0, 0);
    let play = Play::continued(before.desired.clone(), left(&before, &[("c", live(1))], &[]));
    assert_eq!(play.effects(), [&Action::Stop { container: "c".to_owned(), attempt: 1 }]);
    assert_eq!(play.status, before.status);
}

#[test]
fn an_image_that_was_changed_meanwhile_is_noticed() {
    let before = running("Always", &["c"]);
    let mut changed = before.desired.clone();
    changed.containers[0].image = "registry.test/app:2".to_owned();
    let play = Play::continued(changed, left(&before, &[("c", live(0))], &[]));
    assert_eq!(play.effects(), [&Action::Stop { container: "c".to_owned(), attempt: 0 }]);
}

#[test]
fn an_image_that_was_changed_while_the_old_run_goes_on_is_not_forgotten() {
    for policy in ["Always", "Never"] {
        let mut before = running(policy, &["c"]);
        before.desired.containers[0].image = "registry.test/app:2".to_owned();
        before.send(Event::Desired(before.desired.clone().into()));
        assert_eq!(before.status.container_statuses.as_ref().unwrap()[0].image, IMAGE);
        let mut play = Play::continued(before.desired.clone(), left(&before, &[("c", live(0))], &[]));
        assert_eq!(play.effects(), [&Action::Stop { container: "c".to_owned(), attempt: 0 }]);
        play.exit("c", 0, 143);
        assert_eq!(play.effects(), [&pull("registry.test/app:2")]);
        // It ended, and was not started again yet.
        let again = Play::continued(before.desired.clone(), left(&play, &[], &[]));
        assert_eq!(again.effects(), [&Action::Mount], "{policy}");
        if policy == "Never" {
            assert_eq!(again.waiting(0).0, "ContainerCreating", "no final state is shown");
        }
        // It ended while there was no agent.
        let ended = exit(143, ExitCause::Ended, "", 0);
        let again = Play::continued(before.desired.clone(), left(&before, &[], &[("c", 0, ended)]));
        assert_eq!(again.effects(), [&Action::Mount], "{policy}");
    }
}

#[test]
fn a_process_that_lies_about_times_gains_nothing() {
    let mut play = running("Always", &["c"]);
    play.exit("c", 0, 7).run("c", 1);
    play.now = 3;
    let lie = |from, to| Exit { started_at: at(from), ..exit(7, ExitCause::Ended, "", to) };
    play.exit_as("c", 1, lie(-100_000, 100_000));
    let times = |play: &Play| {
        let last = play.status.container_statuses.as_ref().unwrap()[0].last_state.clone().unwrap().terminated.unwrap();
        (last.started_at.unwrap().0, last.finished_at.unwrap().0)
    };
    assert_eq!((play.waiting(0).0.as_str(), times(&play)), ("CrashLoopBackOff", (at(0), at(3))));
    play.wait_to(13).pulled("c");
    play.now = 14;
    play.send(Event::Started { container: "c".to_owned(), attempt: 2, result: Ok(at(-100_000)) });
    play.now = 15;
    play.exit_as("c", 2, lie(20, 10));
    assert_eq!((play.waiting(0).0.as_str(), times(&play)), ("CrashLoopBackOff", (at(15), at(15))));

    let mut before = running("Always", &["c"]);
    before.exit("c", 0, 7).run("c", 1);
    let lies = LiveRun { attempt: 1, started_at: at(-100_000) };
    let mut play = Play::continued(before.desired.clone(), left(&before, &[("c", lies)], &[]));
    let state = play.status.container_statuses.as_ref().unwrap()[0].state.clone().unwrap();
    assert_eq!(state.running.unwrap().started_at.unwrap().0, at(0));
    play.exit_as("c", 1, lie(-100_000, 0));
    assert_eq!(play.status.container_statuses.as_ref().unwrap()[0].restart_count, 1);
}

#[test]
fn a_death_that_takes_several_containers_along_is_told_once() {
    let mut play = running("Always", &["a", "b", "c"]);
    let cause = "runner 4711 of group ns-default was killed by signal 9 (SIGKILL)";
    play.now = 8;
    play.exit_as("a", 0, exit(255, ExitCause::Lost, cause, 8));
    assert_eq!(play.records(), [format!("RunnerLost {cause}")]);
    assert_eq!(play.terminated(0), (255, "Unknown".to_owned()));
    play.now = 9;
    play.exit_as("b", 0, exit(255, ExitCause::Lost, cause, 9));
    assert!(play.records().is_empty());
    play.now = 60;
    play.exit_as("c", 0, exit(255, ExitCause::Lost, cause, 60));
    assert_eq!(play.records(), [format!("RunnerLost {cause}")]);

    let before = running("Never", &["a", "b"]);
    let lost = exit(255, ExitCause::Lost, cause, 8);
    let play = Play::continued(before.desired.clone(), left(&before, &[], &[("a", 0, lost.clone()), ("b", 0, lost)]));
    assert_eq!(play.records(), [format!("RunnerLost {cause}")]);
}

#[test]
fn a_program_that_is_not_there_is_a_run_that_never_began() {
    let text = "exec: \"server\": executable file not found in $PATH";
    let refused = |attempt| Event::Started {
        container: "c".to_owned(),
        attempt,
        result: Err(StartError { reason: StartErrorReason::StartError, message: text.to_owned() }),
    };
    for policy in ["Always", "OnFailure", "Never"] {
        let mut play = Play::new(policy, &["c"]);
        play.prepare().pulled("c");
        play.now = 1;
        play.send(refused(0));
        assert_eq!(play.records(), [format!("Failed Error: {text}")], "{policy}");
        let state = play.status.container_statuses.as_ref().unwrap()[0].state.clone().unwrap().terminated.unwrap();
        assert_eq!((state.exit_code, state.reason.as_deref()), (128, Some("StartError")));
        assert_eq!(state.message.as_deref(), Some(text));
        assert_eq!((state.started_at.unwrap().0.as_second(), state.finished_at.unwrap().0), (0, at(1)));
        if policy == "Never" {
            assert_eq!((play.phase(), play.effects()), ("Failed", vec![&Action::RemoveSandbox]));
            continue;
        }
        assert_eq!(play.effects(), [&pull(IMAGE)]);
        play.pulled("c").send(refused(1));
        assert_eq!(play.waiting(0).0, "CrashLoopBackOff", "it does not count as a long run");
        assert_eq!(play.status.container_statuses.as_ref().unwrap()[0].restart_count, 1);
        assert_eq!(play.pod.as_ref().unwrap().next_deadline(), Some(at(11)));
        let play = Play::continued(play.desired.clone(), left(&play, &[], &[]));
        assert_eq!(play.status.container_statuses.as_ref().unwrap()[0].restart_count, 1);
    }
    let mut play = Play::new("Always", &["c"]);
    play.prepare().pulled("c").delete(30).send(refused(0));
    assert_eq!((play.phase(), play.terminated(0)), ("Failed", (128, "StartError".to_owned())));
}

#[test]
fn a_class_that_is_not_known_is_told_and_the_mount_tried_again() {
    let mut play = Play::new("Always", &["c"]);
    let text = "runtimeclass.node.k8s.io \"x\" not found";
    let mut now = 0;
    for delay in [10, 20, 40, 60, 60] {
        play.send(Event::SandboxReady(Err(text.to_owned())));
        assert_eq!(play.records(), [format!("FailedCreatePodSandBox Failed to create pod sandbox: {text}")]);
        assert_eq!((play.effects(), play.waiting(0).0.as_str()), (vec![], "ContainerCreating"));
        play.send(Event::SandboxReady(Err(text.to_owned())));
        assert!(play.actions.is_empty(), "nobody waits for that");
        now += delay;
        play.wait_to(now - 1);
        assert!(play.effects().is_empty());
        play.wait_to(now);
        assert_eq!(play.effects(), [&Action::Mount]);
    }
    play.prepare();
    assert_eq!(play.effects(), [&pull(IMAGE)]);

    let mut play = Play::new("Always", &["c"]);
    play.delete(30).send(Event::SandboxReady(Err(text.to_owned())));
    assert_eq!(play.effects(), [&Action::Unmount], "what an attempt may have left");
}
