//! Pods that the node ends, as it does when it shuts down.

use jiff::SignedDuration;

use super::play::Play;
use super::{at, deleted};
use crate::pod::{Action, Event, Pod, PodEnd, Prior};

const TEXT: &str = "Pod was terminated in response to imminent node shutdown.";

fn end(play: &mut Play, seconds: i64) -> &mut Play {
    play.send(Event::End(PodEnd::shutdown(SignedDuration::from_secs(seconds))))
}

fn deadline(play: &Play) -> Option<i64> {
    play.pod.as_ref().unwrap().next_deadline().map(|due| due.duration_since(at(0)).as_secs())
}

fn running(grace_seconds: i64) -> Play {
    let mut desired = Play::new("Always", &["c"]).desired;
    desired.grace_seconds = grace_seconds;
    let mut play = Play::continued(desired, Prior::default());
    play.prepare().run("c", 0);
    play
}

fn reason(play: &Play) -> (Option<&str>, Option<&str>) {
    (play.status.reason.as_deref(), play.status.message.as_deref())
}

#[test]
fn a_pod_that_ends_with_its_node_says_so_when_nothing_of_it_runs() {
    let mut play = running(30);
    end(&mut play, 10);
    assert_eq!(play.records(), ["Killing Stopping container c"]);
    assert_eq!(play.effects(), [&Action::Stop { container: "c".to_owned(), attempt: 0 }]);
    assert_eq!((play.phase(), reason(&play)), ("Running", (None, None)));
    assert!(play.status.conditions.iter().flatten().all(|condition| condition.type_ != "DisruptionTarget"));
    play.wait_to(10);
    assert_eq!(play.effects(), [&Action::Kill { container: "c".to_owned(), attempt: 0 }]);
    // Whatever the container makes of it.
    play.exit("c", 0, 0);
    assert_eq!((play.phase(), reason(&play)), ("Failed", (Some("Terminated"), Some(TEXT))));
    assert_eq!(play.condition("Ready"), ("False".to_owned(), "PodFailed".to_owned()));
    assert_eq!(play.condition("DisruptionTarget"), ("True".to_owned(), "TerminationByKubelet".to_owned()));
    let conditions = play.status.conditions.clone().unwrap();
    let disruption = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
    assert_eq!(disruption.message.as_deref(), Some(TEXT));

    play.send(Event::SandboxRemoved).send(Event::Unmounted);
    let said = play.status.clone();
    assert!(matches!(play.pod, Some(Pod::Finished(_))));
    assert!(play.effects().is_empty());
    play.delete(30);
    assert_eq!(play.effects(), [&Action::Release { delete: true }]);
    assert_eq!((play.phase(), &play.status), ("Failed", &said));
}

#[test]
fn its_grace_is_the_shorter_one_and_two_seconds_at_least() {
    for (own, nodes, seconds) in [(30, 10, 10), (5, 10, 5), (30, 0, 2), (0, 10, 2)] {
        let mut play = running(own);
        end(&mut play, nodes);
        assert_eq!(deadline(&play), Some(seconds), "{own} {nodes}");
    }
    let mut play = running(30);
    end(&mut play, 20);
    assert_eq!(deadline(end(&mut play, 25)), Some(20));
    assert_eq!(deadline(end(&mut play, 5)), Some(5));
    assert_eq!(deadline(play.delete(3)), Some(3));
}

#[test]
fn a_pod_that_never_ran_fails_too() {
    let mut play = Play::new("Always", &["c"]);
    end(&mut play, 10);
    assert_eq!((play.phase(), play.terminated(0)), ("Failed", (137, "ContainerStatusUnknown".to_owned())));
    assert_eq!(reason(&play).0, Some("Terminated"));
    play.send(Event::Mounted(Ok(())));
    assert_eq!(play.effects(), [&Action::Unmount]);
    play.send(Event::Unmounted);
    assert_eq!((play.phase(), play.terminated(0).0), ("Failed", 137));
}

#[test]
fn what_ended_by_itself_or_by_its_owner_did_not_end_with_the_node() {
    let mut play = Play::new("Never", &["c"]);
    play.prepare().run("c", 0).exit("c", 0, 0);
    end(&mut play, 10);
    assert_eq!((play.phase(), reason(&play), play.actions.len()), ("Succeeded", (None, None), 0));

    let mut play = running(30);
    play.delete(30);
    end(&mut play, 5);
    assert_eq!((deadline(&play), play.actions.len()), (Some(5), 0));
    play.exit("c", 0, 143);
    assert_eq!((play.phase(), reason(&play)), ("Failed", (None, None)));
}

#[test]
fn a_pod_that_is_deleted_while_it_ends_is_released() {
    let mut play = running(30);
    end(&mut play, 10);
    let desired = deleted(&play.desired, at(0), 30);
    play.send(Event::Desired(desired)).exit("c", 0, 143);
    assert_eq!((play.phase(), reason(&play).0), ("Failed", Some("Terminated")));
    play.send(Event::SandboxRemoved).send(Event::Unmounted);
    assert_eq!(play.effects(), [&Action::Release { delete: true }]);
    assert_eq!((play.phase(), reason(&play).0), ("Failed", Some("Terminated")));
}

#[test]
fn another_agent_leaves_it_as_it_was_written() {
    let mut before = running(30);
    end(&mut before, 10).exit("c", 0, 143);
    let prior = Prior { status: Some(before.status.clone()), ..Prior::default() };
    let play = Play::continued(before.desired.clone(), prior);
    assert_eq!((play.phase(), reason(&play)), ("Failed", (Some("Terminated"), Some(TEXT))));
}
