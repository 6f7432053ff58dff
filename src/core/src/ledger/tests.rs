use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use super::*;
use crate::desired::parse;

fn node() -> NodeView {
    let amounts =
        [("cpu", 2000), ("memory", 1_000_000), ("ephemeral-storage", 5000), ("pods", 3000), ("a.b/gpu", 1000)];
    let labels = [("kubernetes.io/os", "wasi"), ("kubernetes.io/hostname", "wasm-1"), ("rank", "7")];
    NodeView {
        name: "wasm-1".to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        taints: ["NoSchedule", "NoExecute"].map(taint).into(),
        allocatable: amounts.map(|(name, amount)| (name.to_owned(), Milli(amount))).into(),
    }
}

fn taint(effect: &str) -> Taint {
    let (key, value, effect) = ("kubernetes.io/arch".to_owned(), "wasm32-wasi".to_owned(), effect.to_owned());
    Taint { key, value, effect }
}

fn pod(name: &str, uid: &str, spec: &Value) -> Desired {
    let mut whole = json!({"tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "i"}]});
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    let pod: v1::Pod =
        serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": name, "uid": uid}, "spec": whole}))
            .expect("a pod");
    parse(&pod)
}

fn requesting(name: &str, requests: &Value) -> Desired {
    pod(name, name, &json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]}))
}

fn check(ledger: &mut Ledger, desired: &Desired) -> Result<(), (String, String)> {
    match ledger.admit(desired, &node()) {
        Admission::Admitted => Ok(()),
        Admission::Refused(refusal) => Err((refusal.reason, refusal.message)),
        Admission::Wait(pod) => Err(("Wait".to_owned(), pod.uid)),
    }
}

fn refused(reason: &str, message: &str) -> Result<(), (String, String)> {
    Err((reason.to_owned(), message.to_owned()))
}

#[test]
fn resources_in_the_kubelets_words() {
    let mut ledger = Ledger::new();
    let first = requesting("a", &json!({"cpu": "1500m", "memory": "600"}));
    assert_eq!(check(&mut ledger, &first), Ok(()));
    let cases = [
        (json!({"cpu": "501m"}), "cpu", "501, used: 1500, capacity: 2000"),
        (json!({"memory": "401", "cpu": "0"}), "memory", "401, used: 600, capacity: 1000"),
        (json!({"cpu": "1", "memory": "1Gi"}), "cpu", "1000, used: 1500, capacity: 2000"),
        (json!({"ephemeral-storage": "6"}), "ephemeral-storage", "6, used: 0, capacity: 5"),
        (json!({"hugepages-2Mi": "2Mi"}), "hugepages-2Mi", "2097152, used: 0, capacity: 0"),
        (json!({"a.b/gpu": "2"}), "a.b/gpu", "2, used: 0, capacity: 1"),
    ];
    for (requests, resource, numbers) in cases {
        let message = format!("Node didn't have enough resource: {resource}, requested: {numbers}");
        let expected = refused(&format!("OutOf{resource}"), &message);
        assert_eq!(check(&mut ledger, &requesting("b", &requests)), expected, "{requests}");
    }
    assert_eq!(ledger.len(), 1);
    let fits = requesting("b", &json!({"cpu": "500m", "memory": "400", "elsewhere.io/thing": "9", "odd": "9"}));
    assert_eq!(check(&mut ledger, &fits), Ok(()));
    assert_eq!((ledger.used("cpu"), ledger.used("memory")), (2000, 1000));
}

#[test]
fn the_number_of_pods() {
    let mut ledger = Ledger::new();
    for name in ["a", "b", "c"] {
        assert_eq!(check(&mut ledger, &pod(name, name, &json!({}))), Ok(()));
    }
    let message = "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3";
    assert_eq!(check(&mut ledger, &pod("d", "d", &json!({}))), refused("OutOfpods", message));
    ledger.release(&pod("a", "a", &json!({})).pod);
    assert_eq!(check(&mut ledger, &pod("d", "d", &json!({}))), Ok(()));
}

fn affinity(requirements: &Value, fields: &Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": requirements, "matchFields": fields}],
    }}}})
}

#[test]
fn rules_about_the_node() {
    let needs = |key: &str, operator: &str, values: &[&str]| {
        affinity(&json!([{"key": key, "operator": operator, "values": values}]), &json!([]))
    };
    let named = |operator: &str, value: &str| {
        affinity(&json!([]), &json!([{"key": "metadata.name", "operator": operator, "values": [value]}]))
    };
    let tolerating = |toleration: Value| json!({"tolerations": [toleration]});
    let arch = "kubernetes.io/arch";
    let cases = [
        (json!({}), None),
        (json!({"nodeName": "wasm-1"}), None),
        (json!({"nodeName": "other"}), Some("NodeName")),
        (json!({"nodeSelector": {"rank": "7"}}), None),
        (json!({"nodeSelector": {"rank": "8"}}), Some("NodeAffinity")),
        (json!({"nodeSelector": {"missing": ""}}), Some("NodeAffinity")),
        (json!({"nodeSelector": {"kubernetes.io/os": "wasi"}}), None),
        (json!({"nodeSelector": {"kubernetes.io/os": "linux"}}), Some("PodOSSelectorNodeLabelDoesNotMatch")),
        (json!({"os": {"name": "linux"}}), None),
        (json!({"os": {"name": "windows"}}), Some("PodOSNotSupported")),
        (needs("rank", "In", &["6", "7"]), None),
        (needs("rank", "In", &["6"]), Some("NodeAffinity")),
        (needs("rank", "NotIn", &["6"]), None),
        (needs("rank", "NotIn", &["7"]), Some("NodeAffinity")),
        (needs("missing", "NotIn", &["7"]), None),
        (needs("rank", "Exists", &[]), None),
        (needs("missing", "Exists", &[]), Some("NodeAffinity")),
        (needs("missing", "DoesNotExist", &[]), None),
        (needs("rank", "Gt", &["6"]), None),
        (needs("rank", "Gt", &["7"]), Some("NodeAffinity")),
        (needs("rank", "Lt", &["8"]), None),
        (needs("rank", "Lt", &["x"]), Some("NodeAffinity")),
        (needs("rank", "Resembles", &["7"]), Some("NodeAffinity")),
        (named("In", "wasm-1"), None),
        (named("NotIn", "wasm-1"), Some("NodeAffinity")),
        (named("In", "other"), Some("NodeAffinity")),
        (named("Exists", ""), Some("NodeAffinity")),
        (affinity(&json!([]), &json!([])), Some("NodeAffinity")),
        (json!({"tolerations": []}), Some("TaintToleration")),
        (tolerating(json!({"key": arch, "value": "wasm32-wasi", "effect": "NoExecute"})), None),
        (tolerating(json!({"key": arch, "operator": "Equal", "value": "wasm32-wasi"})), None),
        (tolerating(json!({"key": arch, "operator": "Exists"})), None),
        (tolerating(json!({"key": arch, "operator": "Exists", "effect": "NoSchedule"})), Some("TaintToleration")),
        (tolerating(json!({"key": arch, "value": "other"})), Some("TaintToleration")),
        (tolerating(json!({"key": arch, "operator": "Gt", "value": "1"})), Some("TaintToleration")),
    ];
    for (spec, expected) in cases {
        let found = check(&mut Ledger::new(), &pod("p", "u", &spec));
        assert_eq!(found.err().map(|(reason, _)| reason).as_deref(), expected, "{spec}");
    }
}

#[test]
fn texts_of_the_rules_about_the_node() {
    let cases = [
        (
            json!({"nodeSelector": {"x": "y"}}),
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (json!({"nodeName": "x"}), "Predicate NodeName failed: node(s) didn't match the requested node name"),
        (
            json!({"tolerations": []}),
            "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
        ),
        (json!({"os": {"name": "windows"}}), "Failed to admit pod as the OS field doesn't match node OS"),
        (
            json!({"nodeSelector": {"kubernetes.io/os": "linux"}}),
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ),
    ];
    for (spec, expected) in cases {
        let found = check(&mut Ledger::new(), &pod("p", "u", &spec));
        assert_eq!(found.err().map(|(_, message)| message).as_deref(), Some(expected));
    }
}

#[test]
fn a_name_is_one_pods_at_a_time() {
    let mut ledger = Ledger::new();
    let (old, new) = (pod("p", "old", &json!({})), pod("p", "new", &json!({})));
    assert_eq!(check(&mut ledger, &old), Ok(()));
    assert_eq!(check(&mut ledger, &old), Ok(()), "asking again changes nothing");
    assert_eq!(ledger.admit(&new, &node()), Admission::Wait(old.pod.clone()));
    ledger.release(&new.pod);
    assert_eq!(ledger.admit(&new, &node()), Admission::Wait(old.pod.clone()), "only the old one's release counts");
    ledger.release(&old.pod);
    assert_eq!(check(&mut ledger, &new), Ok(()));
    assert_eq!(ledger.readmit(&old), Admission::Wait(new.pod));
}

#[test]
fn what_an_earlier_agent_admitted_counts_even_where_it_does_not_fit_any_more() {
    let mut ledger = Ledger::new();
    let big = requesting("big", &json!({"cpu": "100"}));
    assert_eq!(ledger.readmit(&big), Admission::Admitted);
    assert_eq!(ledger.readmit(&big), Admission::Admitted);
    assert_eq!(ledger.used("cpu"), 100_000);
    let message = "Node didn't have enough resource: cpu, requested: 1, used: 100000, capacity: 2000";
    assert_eq!(check(&mut ledger, &requesting("b", &json!({"cpu": "1m"}))), refused("OutOfcpu", message));
    ledger.release(&big.pod);
    assert!(ledger.is_empty());
    assert_eq!(ledger.used("cpu"), 0);
}

#[test]
fn a_name_is_held_by_what_still_runs() {
    let mut ledger = Ledger::new();
    let (old, new) = (pod("web", "old", &json!({})), pod("web", "new", &json!({})));
    ledger.hold(&old.pod);
    assert_eq!(check(&mut ledger, &new), Err(("Wait".to_owned(), "old".to_owned())));
    ledger.hold(&new.pod);
    ledger.release(&new.pod);
    assert_eq!(check(&mut ledger, &new), Err(("Wait".to_owned(), "old".to_owned())));
    ledger.release(&old.pod);
    assert_eq!(check(&mut ledger, &new), Ok(()));
    ledger.hold(&old.pod);
    assert_eq!((ledger.len(), check(&mut ledger, &new)), (1, Ok(())), "a name that is taken stays");
}

#[test]
fn a_node_that_shuts_down_takes_no_more_pods() {
    let mut ledger = Ledger::new();
    let old = pod("old", "old", &json!({}));
    assert_eq!(check(&mut ledger, &old), Ok(()));
    ledger.close();
    assert_eq!(check(&mut ledger, &old), Ok(()), "it was admitted");
    let message = "Pod was rejected as the node is shutting down.";
    assert_eq!(check(&mut ledger, &pod("new", "new", &json!({}))), refused("NodeShutdown", message));
    let windows = pod("other", "other", &json!({"os": {"name": "windows"}}));
    let reason = check(&mut ledger, &windows).err().map(|(reason, _)| reason);
    assert_eq!(reason.as_deref(), Some("PodOSNotSupported"), "the first reason counts");
}
