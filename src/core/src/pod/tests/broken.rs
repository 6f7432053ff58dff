//! Each property fails on a transition that is broken on purpose: a check that cannot fail checks nothing.

use jiff::{SignedDuration, Timestamp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::checks::Violation;
use super::properties::{op, play, play_in, policy};
use super::world::{Op, Step, World};
use crate::pod::container::Phase;
use crate::pod::{Action, Event, Pod, Prior};

/// Plays seeded scripts until one breaks a property of that name.
fn breaks(name: &str, step: Step) {
    breaks_in(name, |policy, script| play(step, policy, script));
}

fn breaks_in(name: &str, play: impl Fn(&str, &[Op]) -> Result<(), Violation>) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let scripts = (policy(), proptest::collection::vec(op(), 0..80));
    for _ in 0..5000 {
        let (policy, script) = scripts.new_tree(&mut runner).unwrap().current();
        if let Err(Violation(broken, _)) = play(policy, &script)
            && broken == name
        {
            return;
        }
    }
    panic!("no script showed that {name:?} is broken");
}

fn with(change: impl Fn(&mut Vec<Action>), pod: Pod, now: Timestamp, event: Event) -> (Pod, Vec<Action>) {
    let (pod, mut actions) = pod.step(now, event);
    change(&mut actions);
    (pod, actions)
}

#[test]
fn starting_a_deleted_pod_is_seen() {
    breaks("nothing starts after the end", |pod, now, event| {
        with(
            |actions| {
                if actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                    actions.push(Action::Pull { container: "a".to_owned(), image: String::new() });
                }
            },
            pod,
            now,
            event,
        )
    });
}

#[test]
fn an_agent_that_forgets_what_runs_is_seen() {
    breaks_in("a container has one run at a time", |policy, script| {
        play_in(World::telling(Pod::step, |prior| Prior { live: [].into(), ..prior }, policy)?, script)
    });
}

#[test]
fn an_agent_that_forgets_a_sandbox_is_seen() {
    breaks_in("volumes outlive runs", |policy, script| {
        play_in(World::telling(Pod::step, |prior| Prior { sandbox: false, ..prior }, policy)?, script)
    });
}

#[test]
fn unmounting_under_a_run_is_seen() {
    breaks("volumes outlive runs", |pod, now, event| {
        with(
            |actions| {
                if actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                    actions.insert(0, Action::Unmount);
                }
            },
            pod,
            now,
            event,
        )
    });
}

#[test]
fn removing_the_sandbox_under_a_run_is_seen() {
    breaks("sandbox outlives runs", |pod, now, event| {
        with(
            |actions| {
                if actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                    actions.insert(0, Action::RemoveSandbox);
                }
            },
            pod,
            now,
            event,
        )
    });
}

#[test]
fn releasing_early_is_seen() {
    breaks("release comes last", |pod, now, event| {
        with(
            |actions| {
                if actions.contains(&Action::Unmount) {
                    actions.push(Action::Release { delete: true });
                }
            },
            pod,
            now,
            event,
        )
    });
}

#[test]
fn never_killing_is_seen() {
    breaks("a deleted pod is released in time", |pod, now, event| {
        with(|actions| actions.retain(|action| !matches!(action, Action::Kill { .. })), pod, now, event)
    });
}

#[test]
fn never_killing_what_the_node_ends_is_seen() {
    breaks("an ended pod is over in time", |pod, now, event| {
        with(|actions| actions.retain(|action| !matches!(action, Action::Kill { .. })), pod, now, event)
    });
}

#[test]
fn using_a_number_twice_is_seen() {
    breaks("attempts are never reused", |pod, now, event| {
        with(
            |actions| {
                for action in actions {
                    if let Action::Start { attempt, .. } = action {
                        *attempt = 0;
                    }
                }
            },
            pod,
            now,
            // The answer carries the number that the real transition gave, so that the history goes on.
            match event {
                Event::Started { container, result, .. } => {
                    let attempt = 0;
                    Event::Started { container, attempt, result }
                }
                other => other,
            },
        )
    });
}

#[test]
fn an_event_that_counts_twice_is_seen() {
    breaks("repeat", |pod, now, event| {
        let again = matches!(event, Event::Exited { .. });
        with(
            |actions| {
                if again {
                    actions.push(Action::Kill { container: "a".to_owned(), attempt: 0 });
                }
            },
            pod,
            now,
            event,
        )
    });
}

#[test]
fn a_deadline_that_stays_behind_is_seen() {
    breaks("deadlines lie ahead", |pod, now, event| match event {
        Event::Tick => (pod, Vec::new()),
        other => pod.step(now, other),
    });
}

#[test]
fn coming_back_from_a_final_phase_is_seen() {
    breaks("a terminal phase never changes", |pod, now, event| match (pod, event) {
        (Pod::Finished(mut body), Event::Desired(desired)) => {
            body.containers[0].current = None;
            body.frozen = None;
            body.desired = desired;
            (Pod::Finished(body), Vec::new())
        }
        (pod, event) => pod.step(now, event),
    });
}

#[test]
fn forgetting_a_restart_is_seen() {
    breaks("restart counts never fall", |pod, now, event| {
        let (mut pod, actions) = pod.step(now + SignedDuration::ZERO, event);
        if let Pod::Running(body) = &mut pod
            && body.containers[0].attempt > 1
        {
            body.containers[0].attempt = 0;
        }
        (pod, actions)
    });
}

#[test]
fn a_final_phase_over_a_live_run_is_seen() {
    breaks("a terminal phase means that nothing runs", |pod, now, event| {
        let (pod, actions) = pod.step(now, event);
        match pod {
            Pod::Running(mut body) if actions.is_empty() => {
                for container in &mut body.containers {
                    container.phase = Phase::Ended;
                    container.current = container.current.take().or_else(|| container.previous.clone());
                }
                (Pod::Running(body), actions)
            }
            other => (other, actions),
        }
    });
}

#[test]
fn opening_a_final_container_again_is_seen() {
    breaks("a container that ended for good is not opened again", |pod, now, event| {
        let (mut pod, actions) = pod.step(now, event);
        if let Pod::Running(body) = &mut pod
            && actions.is_empty()
            && let Some(ended) = body.containers.iter_mut().find(|c| c.phase == Phase::Ended)
        {
            ended.phase = Phase::CrashLoop { until: now + SignedDuration::from_hours(1), delay: SignedDuration::ZERO };
        }
        (pod, actions)
    });
}
