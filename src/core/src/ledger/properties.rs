//! Random admissions and releases: the node is never overcommitted, and what was released is free again.

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use super::*;
use crate::desired::parse;

/// `name` of a few, so that names collide; `uid` likewise.
#[derive(Debug, Clone)]
enum Step {
    Admit { name: u8, uid: u8, cpu: i128, memory: i128 },
    Release { name: u8, uid: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let admit = (0..6_u8, 0..3_u8, 0..1500_i128, 0..900_000_i128).prop_map(|(name, uid, cpu, memory)| Step::Admit {
        name,
        uid,
        cpu,
        memory,
    });
    let release = (0..6_u8, 0..3_u8).prop_map(|(name, uid)| Step::Release { name, uid });
    prop::collection::vec(prop_oneof![2 => admit, 1 => release], 0..60)
}

fn pod(name: u8, uid: u8) -> PodRef {
    PodRef { namespace: "ns".to_owned(), name: format!("p{name}"), uid: format!("u{name}-{uid}") }
}

fn desired(pod: PodRef, cpu: i128, memory: i128) -> Desired {
    let mut desired = parse(&Pod::default());
    desired.pod = pod;
    desired.requests = [("cpu".to_owned(), Milli(cpu)), ("memory".to_owned(), Milli(memory))].into();
    desired
}

fn node() -> NodeView {
    let allocatable = [("cpu", 3000), ("memory", 2_000_000), ("pods", 4000)];
    let allocatable = allocatable.map(|(name, amount)| (name.to_owned(), Milli(amount))).into();
    NodeView { allocatable, ..NodeView::default() }
}

/// What the ledger must hold, kept the slow way.
type Model = BTreeMap<PodRef, (i64, i64)>;

fn apply(ledger: &mut Ledger, model: &mut Model, step: &Step) {
    match *step {
        Step::Admit { name, uid, cpu, memory } => {
            let desired = desired(pod(name, uid), cpu, memory);
            let holder = model.keys().find(|held| held.name == desired.pod.name).cloned();
            match ledger.admit(&desired, &node()) {
                Admission::Admitted => {
                    assert!(holder.is_none_or(|held| held == desired.pod));
                    model.entry(desired.pod).or_insert_with(|| (Milli(cpu).millis(), Milli(memory).value()));
                }
                Admission::Wait(old) => assert_eq!(Some(old), holder),
                Admission::Refused(_) => assert_eq!(holder, None),
            }
        }
        Step::Release { name, uid } => {
            ledger.release(&pod(name, uid));
            model.remove(&pod(name, uid));
        }
    }
}

proptest! {
    #[test]
    fn never_overcommitted_and_nothing_lost(steps in steps()) {
        let (mut ledger, mut model) = (Ledger::new(), Model::new());
        for step in &steps {
            apply(&mut ledger, &mut model, step);
            prop_assert_eq!(ledger.len(), model.len());
            prop_assert_eq!(ledger.used("cpu"), model.values().map(|(cpu, _)| cpu).sum::<i64>());
            prop_assert_eq!(ledger.used("memory"), model.values().map(|(_, memory)| memory).sum::<i64>());
            prop_assert!(ledger.len() <= 4 && ledger.used("cpu") <= 3000 && ledger.used("memory") <= 2000);
        }
        model.keys().for_each(|pod| ledger.release(pod));
        prop_assert!(ledger.is_empty());
        prop_assert_eq!((ledger.used("cpu"), ledger.used("memory")), (0, 0));
    }
}
