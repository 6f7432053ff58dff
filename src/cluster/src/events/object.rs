//! The Event object (contract section 16.2).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use wasmnode_core::{PodRef, Record, Severity};

use crate::api::truncated;

/// Source component, and what `kubectl describe` shows in its From column. The kubelet's name, because consumers
/// select events by it: the conformance tests, for one, list pod events with `source=kubelet`.
const COMPONENT: &str = "kubelet";

/// Longest message; events.k8s.io allows as much, and texts from guests and registries can be of any length.
const MESSAGE_LIMIT: usize = 1024;

/// Object names have at most 253 characters, and the time takes 17 of an event's.
const NAME_LIMIT: usize = 236;

/// An event about a pod or one of its containers.
pub(super) fn about_pod(node: &str, pod: &PodRef, resource_version: &str, record: Record, now: Timestamp) -> Event {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let involved = ObjectReference {
        kind: Some("Pod".to_owned()),
        api_version: Some("v1".to_owned()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        resource_version: some(resource_version),
        field_path: record.container.map(|name| format!("spec.containers{{{name}}}")),
    };
    event(node, involved, record.severity, &record.reason, &record.message, now)
}

/// An event about the node; those live in the namespace `default`.
pub(super) fn about_node(node: &str, severity: Severity, reason: &str, message: String, now: Timestamp) -> Event {
    let involved = ObjectReference {
        kind: Some("Node".to_owned()),
        api_version: Some("v1".to_owned()),
        name: Some(node.to_owned()),
        ..ObjectReference::default()
    };
    event(node, involved, severity, reason, &message, now)
}

fn event(
    node: &str,
    involved: ObjectReference,
    severity: Severity,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Event {
    let kind = match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    Event {
        metadata: ObjectMeta {
            name: Some(name(involved.name.as_deref().unwrap_or_default(), now)),
            namespace: Some(involved.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        involved_object: involved,
        type_: Some(kind.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(truncated(message, MESSAGE_LIMIT).to_owned()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: Some(node.to_owned()) }),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(node.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        ..Event::default()
    }
}

/// `OBJECT.<hexadecimal nanoseconds>`.
pub(super) fn name(object: &str, now: Timestamp) -> String {
    // What is left of a cut name must still end in a letter or digit.
    format!("{}.{:x}", truncated(object, NAME_LIMIT).trim_end_matches(['-', '.']), now.as_nanosecond())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod_ref;

    #[test]
    fn an_event_is_the_kubelets() {
        let now: Timestamp = "2026-11-22T10:00:00.123456789Z".parse().unwrap();
        let record = Record::container(Severity::Normal, "Started", "c", "Container started");
        let event = about_pod("wasm-1", &pod_ref("p", "POD-UID"), "123", record, now);
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "p.18ea55ac55d70d15", "namespace": "ns"},
                "involvedObject": {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "POD-UID", "apiVersion": "v1",
                    "resourceVersion": "123", "fieldPath": "spec.containers{c}"},
                "reason": "Started", "message": "Container started",
                "source": {"component": "kubelet", "host": "wasm-1"},
                "firstTimestamp": "2026-11-22T10:00:00Z", "lastTimestamp": "2026-11-22T10:00:00Z",
                "count": 1, "type": "Normal", "reportingComponent": "kubelet", "reportingInstance": "wasm-1",
            })
        );
    }

    #[test]
    fn node_events_have_no_uid_and_long_texts_are_cut() {
        let event = about_node("wasm-1", Severity::Warning, "Rebooted", "x".repeat(5000), Timestamp::UNIX_EPOCH);
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(
            serde_json::to_value(&event.involved_object).unwrap(),
            json!({"kind": "Node", "apiVersion": "v1", "name": "wasm-1"})
        );
        assert_eq!(event.message.unwrap().len(), MESSAGE_LIMIT);
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert!(name(&"n".repeat(253), now).len() <= 253);
        let cut = name(&format!("{}-.{}", "n".repeat(NAME_LIMIT - 2), "n".repeat(10)), now);
        assert!(cut.starts_with(&format!("{}.", "n".repeat(NAME_LIMIT - 2))), "{cut}");
    }
}
