//! Resource lists, and what a pod as a whole requests.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::notes::Notes;
use crate::desired::Container;
use crate::quantity::{self, Milli};

const NOT_A_QUANTITY: &str = "not a quantity, such as `500m` or `64Mi`";

/// One quantity; refuses what does not parse.
pub(super) fn one(quantity: &Quantity, path: String, notes: &mut Notes) -> Option<Milli> {
    let parsed = quantity::parse(quantity);
    if parsed.is_none() {
        notes.refuse(path, NOT_A_QUANTITY);
    }
    parsed
}

/// A resource list; refuses what does not parse.
pub(super) fn list(
    list: Option<&BTreeMap<String, Quantity>>,
    path: &str,
    notes: &mut Notes,
) -> BTreeMap<String, Milli> {
    list.into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), one(value, format!("{path}.{name}"), notes)?)))
        .collect()
}

/// The containers' sum, replaced by the pod's own requests where those are set, plus overhead (kubelet contract
/// section 4.1).
pub(super) fn pod_requests(spec: &v1::PodSpec, containers: &[Container], notes: &mut Notes) -> BTreeMap<String, Milli> {
    let mut sum = BTreeMap::new();
    for container in containers {
        add(&mut sum, &container.requests);
    }
    let own = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    sum.extend(list(own, "spec.resources.requests", notes).into_iter().filter(|(name, _)| is_pod_level(name)));
    add(&mut sum, &list(spec.overhead.as_ref(), "spec.overhead", notes));
    sum
}

/// The resources that Kubernetes lets a pod as a whole ask for.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn add(sum: &mut BTreeMap<String, Milli>, more: &BTreeMap<String, Milli>) {
    for (name, value) in more {
        let total: &mut Milli = sum.entry(name.clone()).or_default();
        total.0 = total.0.saturating_add(value.0);
    }
}
