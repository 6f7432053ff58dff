//! What of a node's status changed, and the patch that says so.

use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus};
use serde_json::{Map, Value, json};

/// Whether there is more to post than heartbeat times.
pub fn status_changed(old: &NodeStatus, new: &NodeStatus) -> bool {
    timeless(old) != timeless(new)
}

fn timeless(status: &NodeStatus) -> NodeStatus {
    let mut status = status.clone();
    let conditions = status.conditions.get_or_insert_default();
    for condition in conditions.iter_mut() {
        condition.last_heartbeat_time = None;
    }
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    status
}

/// Strategic merge patch from `old` to `new`. Conditions merge by type, addresses are replaced as a whole: by
/// type, two addresses of one family would become one.
pub fn status_patch(old: &NodeStatus, new: &NodeStatus) -> Value {
    let mut patch = changed_fields(object(old), &object(new));
    let conditions = new.conditions.as_deref().unwrap_or_default();
    if let Some(addresses) = patch.get_mut("addresses").and_then(Value::as_array_mut) {
        addresses.push(json!({ "$patch": "replace" }));
    }
    let order: Vec<Value> = conditions.iter().map(|condition| json!({ "type": condition.type_ })).collect();
    let changed = changed_conditions(old.conditions.as_deref().unwrap_or_default(), conditions);
    patch.insert("$setElementOrder/conditions".to_owned(), Value::Array(order));
    patch.insert("conditions".to_owned(), Value::Array(changed));
    json!({ "status": patch })
}

fn object(status: &NodeStatus) -> Map<String, Value> {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    value.as_object_mut().map(std::mem::take).unwrap_or_default()
}

/// Top-level fields that differ. An object merges on the server, so what it lost is sent as null.
fn changed_fields(mut old: Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, value) in new.iter().filter(|(key, _)| *key != "conditions") {
        match (old.remove(key), value) {
            (Some(before), after) if before == *after => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                patch.insert(key.clone(), Value::Object(changed_fields(before, after)));
            }
            (_, after) => {
                patch.insert(key.clone(), after.clone());
            }
        }
    }
    old.remove("conditions");
    patch.extend(old.into_iter().map(|(key, _)| (key, Value::Null)));
    patch
}

fn changed_conditions(old: &[NodeCondition], new: &[NodeCondition]) -> Vec<Value> {
    new.iter().filter(|condition| !old.contains(condition)).map(|condition| json!(condition)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::node::facts::tests::facts;
    use crate::node::{new_node, status};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn heartbeats_alone_are_no_change() {
        let node = new_node(&facts(), at(1));
        let before = node.status.clone().unwrap();
        let later = status(&facts(), Some(&node), at(60));
        assert!(!status_changed(&before, &later));
        let patch = status_patch(&before, &later);
        let fields: Vec<&String> = patch["status"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["$setElementOrder/conditions", "conditions"]);
        assert_eq!(patch["status"]["conditions"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn changes_are_sent_and_nothing_else() {
        let node = new_node(&facts(), at(1));
        let before = node.status.clone().unwrap();
        let mut facts = facts();
        facts.system.boot_id = "boot-2".to_owned();
        facts.addresses = vec!["10.0.0.6".parse().unwrap(), "fd00::6".parse().unwrap()];
        let after = status(&facts, Some(&node), at(1));
        assert!(status_changed(&before, &after));
        let patch = status_patch(&before, &after);
        assert_eq!(patch["status"]["nodeInfo"], json!({"bootID": "boot-2"}));
        let addresses = patch["status"]["addresses"].as_array().unwrap();
        assert_eq!(addresses.len(), 4);
        assert_eq!(addresses[3], json!({"$patch": "replace"}));
        assert_eq!(patch["status"]["conditions"], json!([]));
        assert!(patch["status"].get("capacity").is_none());
    }

    #[test]
    fn what_is_gone_is_null() {
        let node = new_node(&facts(), at(1));
        let mut before = node.status.clone().unwrap();
        before.images = Some(vec![Default::default()]);
        before.allocatable.as_mut().unwrap().insert("old".to_owned(), Default::default());
        let after = node.status.unwrap();
        let patch = status_patch(&before, &after);
        assert_eq!(patch["status"]["images"], Value::Null);
        assert_eq!(patch["status"]["allocatable"], json!({"old": null}));
    }
}
