//! The strategic merge patch from the status that stands to the one wanted. What is not in it stays as it is:
//! conditions of others, claims, the nominated node.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use serde_json::{Map, Value, json};

/// Fields that this node owns and that are cleared when a status comes without them.
const CLEARED: [&str; 7] = [
    "reason",
    "message",
    "podIP",
    "podIPs",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
];

/// Fields that this node sets and never clears.
const KEPT: [&str; 8] =
    ["phase", "hostIP", "hostIPs", "startTime", "observedGeneration", "qosClass", "resources", "allocatedResources"];

/// Lists that merge by address: sent alone, an address that is no longer there would stay.
const MERGED_BY_ADDRESS: [&str; 2] = ["podIPs", "hostIPs"];

/// Conditions of this node that are only there while they hold.
const PASSING: [&str; 3] = ["PodResizePending", "PodResizeInProgress", "AllContainersRestarting"];

/// The body of the PATCH, with the UID that it holds for; `None` when the pod has that status already.
pub(super) fn patch(known: &Pod, wanted: &PodStatus) -> Option<Value> {
    let stands = known.status.clone().unwrap_or_default();
    let mut patch = changed_fields(&stands, wanted);
    let before = stands.conditions.unwrap_or_default();
    let conditions = changed_conditions(&before, wanted.conditions.as_deref().unwrap_or_default());
    if !conditions.is_empty() {
        let order = wanted.conditions.iter().flatten().map(|condition| json!({ "type": condition.type_ }));
        patch.insert("$setElementOrder/conditions".to_owned(), order.collect());
        patch.insert("conditions".to_owned(), Value::Array(conditions));
    }
    (!patch.is_empty()).then(|| json!({ "metadata": { "uid": known.metadata.uid }, "status": patch }))
}

fn changed_fields(old: &PodStatus, new: &PodStatus) -> Map<String, Value> {
    let old = serde_json::to_value(old).unwrap_or_default();
    let mut new = serde_json::to_value(new).unwrap_or_default();
    let mut patch = Map::new();
    for field in CLEARED.iter().chain(&KEPT) {
        if pruned(&old[*field]) == pruned(&new[*field]) {
            continue;
        }
        let mut value = new[*field].take();
        if value.is_null() && KEPT.contains(field) {
            continue;
        }
        if let Some(list) = value.as_array_mut().filter(|_| MERGED_BY_ADDRESS.contains(field)) {
            list.push(json!({ "$patch": "replace" }));
        }
        patch.insert((*field).to_owned(), value);
    }
    patch
}

/// Without what the API server leaves out when it answers: nulls, and empty lists, objects and texts.
fn pruned(value: &Value) -> Value {
    let pruned = match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), pruned(value)));
            Value::Object(fields.filter(|(_, value)| !value.is_null()).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        other => other.clone(),
    };
    if is_empty(&pruned) { Value::Null } else { pruned }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn changed_conditions(old: &[PodCondition], new: &[PodCondition]) -> Vec<Value> {
    let find = |kind: &str| old.iter().find(|condition| condition.type_ == kind);
    let changed = new.iter().filter_map(|condition| changed_condition(find(&condition.type_), condition));
    let over =
        PASSING.iter().filter(|kind| find(kind).is_some() && new.iter().all(|condition| condition.type_ != **kind));
    changed.chain(over.map(|kind| json!({ "$patch": "delete", "type": kind }))).collect()
}

/// A condition merges with the one that stands: what it no longer says must be taken back.
fn changed_condition(old: Option<&PodCondition>, new: &PodCondition) -> Option<Value> {
    let mut value = json!(new);
    let old = old.map(|old| json!(old)).unwrap_or_default();
    if pruned(&old) == pruned(&value) {
        return None;
    }
    let fields = value.as_object_mut()?;
    for (key, _) in old.as_object().into_iter().flatten() {
        fields.entry(key.clone()).or_insert(Value::Null);
    }
    fields.entry("lastProbeTime").or_insert(Value::Null);
    Some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn known(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "POD-UID"}, "status": status})).unwrap()
    }

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    fn container(state: &Value) -> Value {
        json!({"name": "c", "state": state, "ready": true, "restartCount": 0, "image": "i", "imageID": ""})
    }

    #[test]
    fn an_equal_status_is_not_sent() {
        let stands = json!({"phase": "Running", "qosClass": "BestEffort", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [
                {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "example.com/gate", "status": "True"}],
            "containerStatuses": [{"name": "c", "state": {"running": {}}, "lastState": {}, "ready": true,
                "restartCount": 0, "image": "i", "imageID": ""}]});
        let wanted = json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "message": "",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [container(&json!({"running": {}}))], "initContainerStatuses": []});
        assert_eq!(patch(&known(stands), &status(wanted)), None);
    }

    #[test]
    fn what_changed_is_sent_and_what_is_over_is_cleared() {
        let stands = json!({"phase": "Pending", "reason": "Waiting", "nominatedNodeName": "n", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"},
                {"type": "PodResizePending", "status": "True"},
                {"type": "DisruptionTarget", "status": "True"}]});
        let wanted = json!({"phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container(&json!({"running": {}}))]});
        assert_eq!(
            patch(&known(stands), &status(wanted)).unwrap(),
            json!({"metadata": {"uid": "POD-UID"}, "status": {
                "phase": "Running",
                "reason": null,
                "podIP": "10.0.0.2",
                "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "replace"}],
                "$setElementOrder/conditions": [{"type": "Ready"}],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": null, "message": null, "lastProbeTime": null},
                    {"$patch": "delete", "type": "PodResizePending"}],
                "containerStatuses": [container(&json!({"running": {}}))],
            }})
        );
    }

    #[test]
    fn a_status_without_them_keeps_start_and_addresses_of_the_host() {
        let stands = json!({"startTime": "2026-01-01T00:00:00Z", "hostIP": "10.0.0.5", "phase": "Pending"});
        let sent = patch(&known(stands), &status(json!({"phase": "Failed"}))).unwrap();
        assert_eq!(sent["status"], json!({"phase": "Failed"}));
    }
}
