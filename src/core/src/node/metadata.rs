//! The Node object as it is created, and what of an existing one's labels and taints differs.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::{NodeFacts, status};

/// Keeps the node out of cloud load balancers' target lists.
pub(super) const EXCLUDE_FROM_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Tells the attach-detach controller that it attaches volumes for this node.
const CONTROLLER_ATTACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";

/// Labels that follow the configuration on an existing node too; others are set at creation only, because an
/// administrator may have changed them since (contract section 1.1). The last one is ours: a node that was made by
/// hand must not get an external load balancer's traffic either.
const SYNCED: [&str; 12] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    EXCLUDE_FROM_LOAD_BALANCERS,
];

/// The object to create.
pub fn new_node(facts: &NodeFacts, now: Timestamp) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            labels: Some(facts.labels.clone()),
            annotations: Some([(CONTROLLER_ATTACH.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: (!facts.taints.is_empty()).then(|| facts.taints.clone()),
            provider_id: facts.provider_id.clone(),
            ..NodeSpec::default()
        }),
        status: Some(status(facts, None, now)),
    }
}

/// Strategic merge patch that brings an existing node's labels and annotations up to date; `None` when they are.
/// Taints are not in it: a node may not change them.
pub fn metadata_patch(facts: &NodeFacts, existing: &Node) -> Option<Value> {
    let labels = existing.metadata.labels.as_ref();
    let stale =
        |key: &&str| facts.labels.get(*key).filter(|value| labels.and_then(|all| all.get(*key)) != Some(*value));
    let labels: Map<String, Value> = SYNCED
        .iter()
        .filter_map(|key| stale(key).map(|value| ((*key).to_owned(), Value::String(value.clone()))))
        .collect();
    let annotation = existing.metadata.annotations.as_ref().and_then(|all| all.get(CONTROLLER_ATTACH));
    let mut metadata = Map::new();
    if !labels.is_empty() {
        metadata.insert("labels".to_owned(), Value::Object(labels));
    }
    if annotation.is_none_or(|value| value != "true") {
        metadata.insert("annotations".to_owned(), json!({ CONTROLLER_ATTACH: "true" }));
    }
    (!metadata.is_empty()).then(|| json!({ "metadata": metadata }))
}

/// Configured taints that an existing node lacks.
pub fn missing_taints<'a>(facts: &'a NodeFacts, existing: &Node) -> Vec<&'a Taint> {
    let present = existing.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let same = |a: &Taint, b: &Taint| {
        a.key == b.key && a.effect == b.effect && a.value.as_deref().unwrap_or("") == b.value.as_deref().unwrap_or("")
    };
    facts.taints.iter().filter(|wanted| !present.iter().any(|taint| same(wanted, taint))).collect()
}

/// What to do about them, for a condition and an event.
pub(super) fn missing_taints_message(node: &str, missing: &[&Taint]) -> String {
    let taints: Vec<String> = missing.iter().map(|taint| show(taint)).collect();
    let taints = taints.join(" ");
    format!(
        "the node existed without {taints} and a node may not change its own taints: run kubectl taint node {node} \
         {taints}, or delete the Node so that it is registered again"
    )
}

fn show(taint: &Taint) -> String {
    match taint.value.as_deref() {
        Some(value) if !value.is_empty() => format!("{}={value}:{}", taint.key, taint.effect),
        _ => format!("{}:{}", taint.key, taint.effect),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::node::facts::tests::facts;

    fn node() -> Node {
        new_node(&facts(), Timestamp::from_second(1).unwrap())
    }

    #[test]
    fn a_node_is_created_with_labels_taints_and_status() {
        let node = serde_json::to_value(node()).unwrap();
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/arch"], "wasm32-wasi");
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "wasi");
        assert_eq!(node["metadata"]["labels"][EXCLUDE_FROM_LOAD_BALANCERS], "");
        let taint = |effect: &str| json!({"key": "kubernetes.io/arch", "value": "wasm32-wasi", "effect": effect});
        assert_eq!(node["spec"]["taints"], json!([taint("NoSchedule"), taint("NoExecute")]));
        assert_eq!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    }

    #[test]
    fn an_up_to_date_node_is_left_alone() {
        assert_eq!(metadata_patch(&facts(), &node()), None);
    }

    #[test]
    fn only_synced_labels_follow_the_configuration() {
        let mut facts = facts();
        facts.labels.insert("pool".to_owned(), "b".to_owned());
        facts.labels.insert("kubernetes.io/hostname".to_owned(), "other".to_owned());
        let mut existing = node();
        existing.metadata.labels.as_mut().unwrap().insert("pool".to_owned(), "a".to_owned());
        existing.metadata.labels.as_mut().unwrap().remove(EXCLUDE_FROM_LOAD_BALANCERS);
        existing.metadata.annotations = None;
        assert_eq!(
            metadata_patch(&facts, &existing),
            Some(json!({"metadata": {
                "labels": {"kubernetes.io/hostname": "other", EXCLUDE_FROM_LOAD_BALANCERS: ""},
                "annotations": {CONTROLLER_ATTACH: "true"},
            }}))
        );
    }

    #[test]
    fn missing_taints_are_named() {
        let mut existing = node();
        assert!(missing_taints(&facts(), &existing).is_empty());
        existing.spec.as_mut().unwrap().taints = None;
        let facts = facts();
        let missing = missing_taints(&facts, &existing);
        assert_eq!(missing.len(), 2);
        assert!(missing_taints_message("wasm-1", &missing).contains(
            "kubectl taint node wasm-1 kubernetes.io/arch=wasm32-wasi:NoSchedule kubernetes.io/arch=wasm32-wasi:NoExecute"
        ));
    }
}
