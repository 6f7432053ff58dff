//! Arithmetic of requests against what the node has.

use std::collections::BTreeMap;

use crate::quantity::Milli;

/// Resources in the units of admission: CPU in thousandths, everything else in whole units, rounded up per pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Amounts(BTreeMap<String, i64>);

/// A resource that does not suffice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) resource: String,
    pub(super) requested: i64,
    pub(super) used: i64,
    pub(super) capacity: i64,
}

/// The first resource that does not suffice: pods, then cpu, memory and ephemeral storage, then the rest by name.
pub(super) fn shortage(wanted: &Amounts, used: &Amounts, pods: i64, allocatable: &Amounts) -> Option<Shortage> {
    let capacity = allocatable.get("pods");
    if pods >= capacity {
        return Some(Shortage { resource: "pods".to_owned(), requested: 1, used: pods, capacity });
    }
    let basic = ["cpu", "memory", "ephemeral-storage"];
    let rest = wanted.0.keys().map(String::as_str).filter(|name| is_counted(name, allocatable));
    basic.into_iter().chain(rest).find_map(|name| short_of(name, wanted, used, allocatable))
}

fn short_of(name: &str, wanted: &Amounts, used: &Amounts, allocatable: &Amounts) -> Option<Shortage> {
    let (requested, used, capacity) = (wanted.get(name), used.get(name), allocatable.get(name));
    let short = requested > 0 && requested > capacity.saturating_sub(used);
    short.then(|| Shortage { resource: name.to_owned(), requested, used, capacity })
}

/// Extended resources (`example.com/thing`) that the node does not know belong to the cluster, and are not asked about.
fn is_counted(name: &str, allocatable: &Amounts) -> bool {
    name.starts_with("hugepages-") || name.contains('/') && allocatable.0.contains_key(name)
}

impl Amounts {
    pub(super) fn of(resources: &BTreeMap<String, Milli>) -> Self {
        let amount = |(name, value): (&String, &Milli)| {
            let amount = if name == "cpu" { value.millis() } else { value.value() };
            // The API server refuses negative requests; one that slipped through must not make room.
            (name.clone(), amount.max(0))
        };
        Self(resources.iter().map(amount).collect())
    }

    pub(super) fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (name, amount) in &more.0 {
            let total = self.0.entry(name.clone()).or_default();
            *total = total.saturating_add(*amount);
        }
    }

    pub(super) fn subtract(&mut self, less: &Self) {
        for (name, amount) in &less.0 {
            let total = self.0.entry(name.clone()).or_default();
            *total = total.saturating_sub(*amount);
        }
        self.0.retain(|_, total| *total != 0);
    }
}
