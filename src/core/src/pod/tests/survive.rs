//! A restart of the agent changes nothing for what runs: the same history with and without one ends the same.

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use proptest::prelude::*;

use super::checks::Violation;
use super::properties::policy;
use super::world::{Op, World};
use crate::pod::Pod;

/// Longer than any back-off.
const LONG: i64 = 400;

/// What happens before and after, between which nothing is under way.
fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..400_u16).prop_map(Op::Wait),
        8 => any::<u8>().prop_map(Op::Succeed),
        1 => any::<u8>().prop_map(Op::Fail),
        1 => Just(Op::ChangeImage),
        4 => (any::<u8>(), prop_oneof![Just(0), any::<u8>()]).prop_map(|(index, code)| Op::Exit(index, code)),
    ]
}

/// What is compared: of containers that were started anew only what does not depend on when.
fn digest(status: &PodStatus) -> impl PartialEq + std::fmt::Debug + use<> {
    let container = |status: &ContainerStatus| {
        let state = status.state.clone().unwrap();
        let last = status.last_state.clone().unwrap().terminated.map(|ended| (ended.exit_code, ended.container_id));
        let ended = state.terminated.map(|ended| (ended.exit_code, ended.reason, ended.container_id));
        let waiting = state.waiting.map(|waiting| waiting.reason);
        let run = (status.container_id.clone(), status.image.clone(), status.restart_count);
        (run, state.running.is_some(), ended, waiting, last)
    };
    let containers: Vec<_> = status.container_statuses.iter().flatten().map(container).collect();
    (status.phase.clone(), status.start_time.clone(), containers)
}

/// Runs both histories: `exits` end runs at the moment of the restart.
fn both(policy: &str, before: &[Op], exits: &[(u8, u8)], after: &[Op]) -> Result<(World, World), Violation> {
    let mut worlds = [World::new(Pod::step, policy)?, World::new(Pod::step, policy)?];
    for (restarts, world) in [false, true].into_iter().zip(&mut worlds) {
        before.iter().try_for_each(|op| world.run(*op))?;
        world.settle()?;
        if restarts {
            for (index, code) in exits {
                let alive = world.alive();
                if let Some(index) = usize::from(*index).checked_rem(alive.len()) {
                    world.end_unheard(&alive[index], i32::from(*code));
                }
            }
            world.reboot()?;
        } else {
            exits.iter().try_for_each(|(index, code)| world.run(Op::Exit(*index, *code)))?;
        }
        for op in after {
            for _ in 0..3 {
                world.settle()?;
                world.wait(LONG)?;
            }
            world.settle()?;
            world.run(*op)?;
        }
    }
    let [without, with] = worlds;
    Ok((without, with))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_of_the_agent_changes_nothing(
        policy in policy(),
        before in prop::collection::vec(op(), 0..40),
        exits in prop::collection::vec((any::<u8>(), prop_oneof![Just(0), any::<u8>()]), 0..3),
        after in prop::collection::vec(op(), 1..6),
    ) {
        match both(policy, &before, &exits, &after) {
            Err(Violation(name, detail)) => prop_assert!(false, "{name}: {detail}"),
            Ok((mut without, mut with)) => {
                prop_assert_eq!(digest(without.status()), digest(with.status()));
                without.finish().and_then(|()| with.finish()).map_err(|Violation(name, detail)| {
                    TestCaseError::fail(format!("{name}: {detail}"))
                })?;
                prop_assert_eq!(digest(without.status()), digest(with.status()));
            }
        }
    }
}
