//! Random histories keep every property; a failure prints its seed and a shrunken script.

use proptest::prelude::*;

use super::checks::Violation;
use super::world::{Op, Step, World};
use crate::pod::Pod;

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..400_u16).prop_map(Op::Wait),
        12 => any::<u8>().prop_map(Op::Succeed),
        3 => any::<u8>().prop_map(Op::Fail),
        2 => Just(Op::Repeat),
        4 => (any::<u8>(), prop_oneof![Just(0), any::<u8>()]).prop_map(|(index, code)| Op::Exit(index, code)),
        1 => Just(Op::Resend),
        1 => Just(Op::ChangeImage),
        1 => (0..40_u8).prop_map(Op::Delete),
        1 => Just(Op::Gone),
        1 => (0..40_u8).prop_map(Op::End),
        1 => Just(Op::Crash),
        1 => (0..8_u8).prop_map(Op::Restart),
    ]
}

pub(super) fn policy() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")]
}

/// Runs a script to its end, or to the first property that it breaks.
pub(super) fn play(step: Step, policy: &str, script: &[Op]) -> Result<(), Violation> {
    let world = World::new(step, policy)?;
    play_in(world, script)
}

pub(super) fn play_in(mut world: World, script: &[Op]) -> Result<(), Violation> {
    for op in script {
        world.run(*op)?;
    }
    world.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_every_property(policy in policy(), script in prop::collection::vec(op(), 0..80)) {
        if let Err(Violation(name, detail)) = play(Pod::step, policy, &script) {
            prop_assert!(false, "{name}: {detail}");
        }
    }
}
