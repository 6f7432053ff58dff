use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::desired::{
    Container, DownwardItem, DownwardValue, EnvValue, FileSource, Item, NodeTerm, Projection, PullPolicy, Resource,
    ResourceKind, RestartRule, Toleration, VolumeSource,
};
use crate::quantity::Milli;

fn desired(spec: Value) -> Desired {
    let pod = json!({"metadata": {"namespace": "ns", "name": "p", "uid": "u"}, "spec": spec});
    parse(&serde_json::from_value(pod).expect("a pod"))
}

/// A pod with one container.
fn with_container(fields: Value) -> Desired {
    let mut container = json!({"name": "app", "image": "registry/app:1"});
    merge(&mut container, fields);
    desired(json!({"containers": [container]}))
}

fn with_spec(fields: Value) -> Desired {
    let mut spec = json!({"containers": [{"name": "app", "image": "registry/app:1"}]});
    merge(&mut spec, fields);
    desired(spec)
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().cloned().unwrap_or_default() {
        into[key] = value;
    }
}

fn app(fields: Value) -> Container {
    with_container(fields).containers.remove(0)
}

fn paths(list: &[crate::desired::Unsupported]) -> Vec<&str> {
    list.iter().map(|entry| entry.path.as_str()).collect()
}

#[test]
fn an_empty_pod_is_parsed() {
    let desired = parse(&v1::Pod::default());
    assert_eq!((desired.pod.name.as_str(), desired.containers.len()), ("", 0));
    assert_eq!((desired.refused, desired.reported), (vec![], vec![]));
}

#[test]
fn defaults_are_the_api_servers() {
    let desired = with_container(json!({}));
    assert_eq!(desired.restart_policy, RestartPolicy::Always);
    assert_eq!(desired.grace_seconds, 30);
    assert_eq!(desired.service_account, "default");
    assert!(desired.enable_service_links);
    assert_eq!(desired.node_affinity, None);
    let container = &desired.containers[0];
    assert_eq!(container.termination_message_path, "/dev/termination-log");
    assert!(!container.termination_message_from_log);
    assert_eq!(container.restart_policy, None);
}

#[test]
fn pull_policy_follows_the_tag() {
    use PullPolicy::{Always, IfNotPresent, Never};
    let digest = format!("host:5000/a@sha256:{}", "0".repeat(64));
    let cases = [
        (json!({"image": "a"}), Always),
        (json!({"image": "a:latest"}), Always),
        (json!({"image": "host:5000/a"}), Always),
        (json!({"image": "host:5000/a:1"}), IfNotPresent),
        (json!({"image": digest}), IfNotPresent),
        (json!({"image": "a", "imagePullPolicy": "Never"}), Never),
        (json!({"image": "a", "imagePullPolicy": "IfNotPresent"}), IfNotPresent),
        (json!({"image": "a:1", "imagePullPolicy": "Always"}), Always),
    ];
    for (fields, expected) in cases {
        assert_eq!(app(fields.clone()).pull_policy, expected, "{fields}");
    }
}

#[test]
fn metadata_and_deletion() {
    let pod = json!({
        "metadata": {
            "namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "7", "generation": 3,
            "labels": {"a": "1"}, "annotations": {"b": "2"},
            "deletionTimestamp": "2026-01-02T03:04:05Z", "deletionGracePeriodSeconds": 0,
        },
        "spec": {"containers": [], "terminationGracePeriodSeconds": -5},
    });
    let desired = parse(&serde_json::from_value(pod).expect("a pod"));
    assert_eq!(desired.pod.to_string(), "p_ns(u)");
    assert_eq!((desired.resource_version.as_str(), desired.generation), ("7", Some(3)));
    assert_eq!((desired.labels.len(), desired.annotations.len()), (1, 1));
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    assert_eq!(desired.deletion, Some(Deletion { at, grace_seconds: 0 }));
    assert_eq!(desired.grace_seconds, 1);
}

#[test]
fn container_fields() {
    let container = app(json!({
        "command": ["c"], "args": ["a"], "workingDir": "/w", "stdin": true, "stdinOnce": true, "tty": true,
        "restartPolicy": "Never",
        "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}},
            {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, 1]}},
            {"action": "Restart"},
        ],
        "terminationMessagePath": "/tmp/log", "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"readOnlyRootFilesystem": true, "runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true, "mountPropagation": "None"}],
    }));
    assert_eq!((container.command, container.args), (vec!["c".to_owned()], vec!["a".to_owned()]));
    assert_eq!(container.working_dir.as_deref(), Some("/w"));
    assert!(container.stdin && container.stdin_once && container.tty && container.read_only_root);
    assert_eq!(container.restart_policy, Some(RestartPolicy::Never));
    let rules = [RestartRule { in_set: true, codes: vec![42] }, RestartRule { in_set: false, codes: vec![0, 1] }];
    assert_eq!(container.restart_rules, rules);
    assert_eq!(container.termination_message_path, "/tmp/log");
    assert!(container.termination_message_from_log);
    assert_eq!((container.mounts[0].path.as_str(), container.mounts[0].read_only), ("/v", true));
}

#[test]
fn requests_are_the_sum_or_the_pods_own_plus_overhead() {
    let two = json!([
        {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Ki"}, "limits": {"cpu": "1"}}},
        {"name": "b", "resources": {"requests": {"cpu": "200m", "ephemeral-storage": "5"}}},
    ]);
    let own = json!({"requests": {"cpu": "1", "ephemeral-storage": "99"}});
    let overhead = json!({"cpu": "10m", "memory": "1"});
    let cases = [
        (json!({"containers": two}), [300, 1_024_000, 5000]),
        (json!({"containers": two, "overhead": overhead}), [310, 1_025_000, 5000]),
        (json!({"containers": two, "overhead": overhead, "resources": own}), [1010, 1_025_000, 5000]),
    ];
    for (spec, [cpu, memory, storage]) in cases {
        let expected = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)];
        let expected: BTreeMap<String, Milli> =
            expected.into_iter().map(|(name, amount)| (name.to_owned(), Milli(amount))).collect();
        assert_eq!(desired(spec.clone()).requests, expected, "{spec}");
    }
}

#[test]
fn scheduling_fields() {
    let spec = json!({
        "containers": [], "nodeSelector": {"a": "b"}, "os": {"name": "linux"}, "nodeName": "n",
        "tolerations": [
            {"key": "k", "value": "v", "effect": "NoExecute"}, {"operator": "Exists"},
            {"key": "k", "operator": "Gt", "value": "1"},
        ],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "k", "operator": "Foo", "values": ["v"]}]}, {},
        ]}}},
    });
    let desired = desired(spec);
    let key = || Some("k".to_owned());
    let tolerations = [
        Toleration { key: key(), exists: false, value: "v".to_owned(), effect: Some("NoExecute".to_owned()) },
        Toleration { key: None, exists: true, value: String::new(), effect: None },
    ];
    assert_eq!(desired.tolerations, tolerations);
    let terms: Vec<NodeTerm> = desired.node_affinity.expect("terms");
    assert_eq!((terms.len(), terms[0].labels[0].operator), (1, crate::desired::Operator::Unknown));
    assert_eq!((desired.os.as_deref(), desired.node_name.as_str()), (Some("linux"), "n"));
}

#[test]
fn environment_references() {
    let container = app(json!({
        "envFrom": [{"prefix": "P_", "secretRef": {"name": "s", "optional": true}}, {}],
        "env": [
            {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "B", "value": "", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
            {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "0"}}},
        ],
    }));
    assert_eq!((container.env_from.len(), container.env_from[0].optional), (1, true));
    let resource = |kind, name: &str, divisor| {
        let (container, name) = (None, name.to_owned());
        EnvValue::Downward(DownwardValue::Resource(Resource { container, kind, name, divisor: Milli(divisor) }))
    };
    let values: Vec<EnvValue> = container.env.into_iter().map(|var| var.value).collect();
    let expected = [
        EnvValue::Literal("x".to_owned()),
        EnvValue::Downward(DownwardValue::Field("metadata.name".to_owned())),
        resource(ResourceKind::Request, "cpu", 1),
        resource(ResourceKind::Limit, "memory", 1000),
    ];
    assert_eq!(values, expected);
}

fn volume(source: Value) -> VolumeSource {
    let mut volume = json!({"name": "v"});
    merge(&mut volume, source);
    with_spec(json!({"volumes": [volume]})).volumes.remove(0).source
}

fn files(name: &str) -> FileSource {
    FileSource { name: name.to_owned(), optional: false, items: None }
}

#[test]
fn volumes_by_kind() {
    let item = Item { key: "k".to_owned(), path: "p".to_owned(), mode: Some(0o400) };
    let name = DownwardValue::Field("metadata.name".to_owned());
    let cases = [
        (json!({}), VolumeSource::EmptyDir { memory: false, size_limit: None }),
        (json!({"emptyDir": {}}), VolumeSource::EmptyDir { memory: false, size_limit: None }),
        (
            json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
            VolumeSource::EmptyDir { memory: true, size_limit: Some(1 << 20) },
        ),
        (json!({"emptyDir": {"sizeLimit": "0"}}), VolumeSource::EmptyDir { memory: false, size_limit: None }),
        (
            json!({"emptyDir": {"medium": "HugePages"}}),
            VolumeSource::Unsupported("emptyDir with medium HugePages".to_owned()),
        ),
        (json!({"configMap": {"name": "m", "items": []}}), VolumeSource::ConfigMap(files("m"), 0o644)),
        (
            json!({"secret": {
                "secretName": "s", "optional": true, "defaultMode": 256,
                "items": [{"key": "k", "path": "p", "mode": 256}],
            }}),
            VolumeSource::Secret(FileSource { name: "s".to_owned(), optional: true, items: Some(vec![item]) }, 0o400),
        ),
        (
            json!({"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
            VolumeSource::Downward(vec![DownwardItem { path: "name".to_owned(), value: name, mode: None }], 0o644),
        ),
        (json!({"hostPath": {"path": "/"}}), VolumeSource::Unsupported("hostPath".to_owned())),
        (json!({"ephemeral": {}}), VolumeSource::Unsupported("ephemeral".to_owned())),
        (
            json!({"persistentVolumeClaim": {"claimName": "c"}}),
            VolumeSource::Unsupported("persistentVolumeClaim".to_owned()),
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(volume(source.clone()), expected, "{source}");
    }
}

#[test]
fn the_volume_that_every_pod_has() {
    let source = volume(json!({"projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        {"clusterTrustBundle": {"path": "x"}},
        {},
    ]}}));
    let value = DownwardValue::Field("metadata.namespace".to_owned());
    let expected = vec![
        Projection::Token { audience: None, expiration_seconds: 3607, path: "token".to_owned() },
        Projection::ConfigMap(files("kube-root-ca.crt")),
        Projection::Downward(vec![DownwardItem { path: "namespace".to_owned(), value, mode: None }]),
        Projection::Unsupported("clusterTrustBundle".to_owned()),
    ];
    assert_eq!(source, VolumeSource::Projected(expected, 0o644));
}

#[test]
fn refused_fields_of_the_pod() {
    let cases = [
        (json!({"initContainers": [{"name": "i"}]}), "spec.initContainers"),
        (json!({"activeDeadlineSeconds": 5}), "spec.activeDeadlineSeconds"),
        (json!({"hostPID": true}), "spec.hostPID"),
        (json!({"hostIPC": true}), "spec.hostIPC"),
        (json!({"shareProcessNamespace": true}), "spec.shareProcessNamespace"),
        (json!({"setHostnameAsFQDN": true}), "spec.setHostnameAsFQDN"),
        (json!({"hostnameOverride": "x"}), "spec.hostnameOverride"),
        (json!({"resourceClaims": [{"name": "c"}]}), "spec.resourceClaims"),
        (json!({"securityContext": {"sysctls": [{"name": "a", "value": "1"}]}}), "spec.securityContext.sysctls"),
        (json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}), "spec.securityContext.windowsOptions"),
        (json!({"restartPolicy": "Sometimes"}), "spec.restartPolicy"),
        (json!({"overhead": {"cpu": "much"}}), "spec.overhead.cpu"),
        (json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "big"}}]}), "spec.volumes[v].emptyDir.sizeLimit"),
        (
            json!({"volumes": [{"name": "v", "downwardAPI": {"items": [
                {"path": "p", "resourceFieldRef": {"resource": "limits.gpu"}},
            ]}}]}),
            "spec.volumes[v].downwardAPI.items[0].resourceFieldRef.resource",
        ),
    ];
    for (fields, path) in cases {
        assert_eq!(paths(&with_spec(fields.clone()).refused), [path], "{fields}");
    }
}

#[test]
fn refused_fields_of_a_container() {
    let mount = |field: &str| json!({"volumeMounts": [{"name": "v", "mountPath": "/v", field: "x"}]});
    let source = |source: Value| json!({"env": [{"name": "V", "valueFrom": source}]});
    let cases = [
        (json!({"livenessProbe": {"exec": {"command": ["x"]}}}), "livenessProbe"),
        (json!({"readinessProbe": {"periodSeconds": 1}}), "readinessProbe"),
        (json!({"startupProbe": {"tcpSocket": {"port": 1}}}), "startupProbe"),
        (json!({"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}), "lifecycle"),
        (json!({"volumeDevices": [{"name": "v", "devicePath": "/d"}]}), "volumeDevices"),
        (json!({"securityContext": {"privileged": true}}), "securityContext.privileged"),
        (json!({"resources": {"claims": [{"name": "c"}]}}), "resources.claims"),
        (json!({"resources": {"limits": {"memory": "lots"}}}), "resources.limits.memory"),
        (json!({"resources": {"requests": {"cpu": "1x"}}}), "resources.requests.cpu"),
        (json!({"restartPolicyRules": [{"action": "RestartAllContainers"}]}), "restartPolicyRules[0].action"),
        (json!({"imagePullPolicy": "Maybe"}), "imagePullPolicy"),
        (json!({"restartPolicy": "Maybe"}), "restartPolicy"),
        (mount("subPath"), "volumeMounts[v].subPath"),
        (mount("subPathExpr"), "volumeMounts[v].subPathExpr"),
        (source(json!({"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v"}})), "env[V].valueFrom.fileKeyRef"),
        (source(json!({"resourceFieldRef": {"resource": "cpu"}})), "env[V].valueFrom.resourceFieldRef.resource"),
        (
            source(json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "x"}})),
            "env[V].valueFrom.resourceFieldRef.divisor",
        ),
    ];
    for (fields, path) in cases {
        let expected = format!("spec.containers[app].{path}");
        assert_eq!(paths(&with_container(fields.clone()).refused), [expected], "{fields}");
    }
}

#[test]
fn reported_fields() {
    let pod = [
        (json!({"ephemeralContainers": [{"name": "e"}]}), "spec.ephemeralContainers"),
        (json!({"dnsConfig": {"nameservers": ["10.0.0.1"]}}), "spec.dnsConfig"),
        (json!({"dnsPolicy": "None"}), "spec.dnsPolicy"),
        (json!({"hostAliases": [{"ip": "10.0.0.1"}]}), "spec.hostAliases"),
        (json!({"resources": {"limits": {"memory": "1Gi"}}}), "spec.resources.limits"),
        (json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1"}}]}), "spec.volumes[v].emptyDir.sizeLimit"),
    ];
    for (fields, path) in pod {
        assert_eq!(paths(&with_spec(fields.clone()).reported), [path], "{fields}");
    }
    let container = [
        (json!({"ports": [{"containerPort": 80, "hostPort": 8080}]}), "ports[80].hostPort"),
        (json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}}), "resources.limits"),
    ];
    for (fields, path) in container {
        let expected = format!("spec.containers[app].{path}");
        assert_eq!(paths(&with_container(fields.clone()).reported), [expected], "{fields}");
    }
}

/// What the API server and its admission write into every pod must not be taken for a wish.
#[test]
fn a_pod_as_the_api_server_fills_it_in_is_accepted_whole() {
    let desired = desired(json!({
        "containers": [{
            "name": "app", "image": "registry/app:1", "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "securityContext": {
                "allowPrivilegeEscalation": false, "privileged": false, "runAsNonRoot": true,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [{
                "name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": true,
            }],
        }],
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "hostname": "p-0", "subdomain": "p",
        "nodeName": "wasm-1", "preemptionPolicy": "PreemptLowerPriority", "priority": 0, "restartPolicy": "Always",
        "schedulerName": "default-scheduler", "securityContext": {"fsGroup": 1000}, "hostUsers": false,
        "serviceAccount": "default", "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}],
        "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": []}}],
    }));
    assert_eq!((desired.refused, desired.reported), (vec![], vec![]));
}

#[test]
fn critical_pods_are_told_by_their_priority() {
    let cases = [(None, false), (Some(0), false), (Some(1_999_999_999), false), (Some(2_000_000_000), true)];
    for (priority, critical) in cases {
        assert_eq!(with_spec(json!({"priority": priority})).is_critical(), critical, "{priority:?}");
    }
}
