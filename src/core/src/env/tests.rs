use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use super::*;
use crate::desired::parse;

/// Objects of namespace `ns`: ConfigMap `map`, Secret `secret`, ConfigMap `forbidden`, and Services.
struct World {
    config_maps: BTreeMap<String, Fetched<ConfigMap>>,
    secrets: BTreeMap<String, Fetched<Secret>>,
    services: Vec<Arc<Service>>,
}

impl World {
    fn new() -> Self {
        let map = object(json!({"data": {"color": "blue", "size": "$(color)"}, "binaryData": {"bin": "AAE="}}));
        let secret = object(json!({"data": {"password": "czNjcmV0", "blob": "/w=="}}));
        let text = object(json!({"data": {"user": "cm9ib3Q="}}));
        let service = object(json!({
            "metadata": {"namespace": "default", "name": "kubernetes"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]},
        }));
        let forbidden = Err(ObjectError::Forbidden("configmaps \"forbidden\" is forbidden".to_owned()));
        Self {
            config_maps: BTreeMap::from([("map".to_owned(), Ok(map)), ("forbidden".to_owned(), forbidden)]),
            secrets: BTreeMap::from([("secret".to_owned(), Ok(secret)), ("text".to_owned(), Ok(text))]),
            services: vec![service],
        }
    }

    fn resolve(&self, container: &Value) -> Result<Environment, EnvError> {
        let facts = Facts { host_ips: &[], pod_ips: &["10.1.0.9".to_owned()], allocatable: &BTreeMap::new() };
        let sources = EnvSources {
            config_maps: &self.config_maps,
            secrets: &self.secrets,
            services: Some(&self.services),
            facts,
        };
        let desired = pod(container, false);
        resolve(&desired, &desired.containers[0], &sources)
    }
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("an object"))
}

fn pod(container: &Value, host_network: bool) -> Desired {
    let mut container = container.clone();
    container["name"] = json!("app");
    let pod: v1::Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {"nodeName": "wasm-1", "hostNetwork": host_network, "containers": [container]},
    }))
    .expect("a pod");
    parse(&pod)
}

/// The variables without those of Services and HOSTNAME.
fn declared(container: &Value) -> Result<Vec<(String, String)>, String> {
    let environment = World::new().resolve(container).map_err(|error| error.to_string())?;
    let own = |(name, _): &(String, String)| !name.starts_with("KUBERNETES_") && name != "HOSTNAME";
    Ok(environment.into_vars().into_iter().filter(own).collect())
}

#[test]
fn variables_in_order() {
    let cases = [
        ("nothing", json!({}), vec![]),
        ("empty values stay", json!({"env": [{"name": "A"}]}), vec![("A", "")]),
        (
            "later wins, and earlier are seen",
            json!({"env": [
                {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(LATER)"}, {"name": "A", "value": "$(A)2"},
                {"name": "LATER", "value": "x"},
            ]}),
            vec![("A", "12"), ("B", "1$(LATER)"), ("LATER", "x")],
        ),
        (
            "envFrom with prefix, only text, not expanded",
            json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "map"}}, {"secretRef": {"name": "text"}}]}),
            vec![("P_color", "blue"), ("P_size", "$(color)"), ("user", "robot")],
        ),
        (
            "env overrides envFrom and refers to it",
            json!({
                "envFrom": [{"configMapRef": {"name": "map"}}],
                "env": [{"name": "color", "value": "dark $(color)"}],
            }),
            vec![("color", "dark blue"), ("size", "$(color)")],
        ),
        (
            "services can be referred to",
            json!({"env": [{"name": "API", "value": "https://$(KUBERNETES_SERVICE_HOST)"}]}),
            vec![("API", "https://10.96.0.1")],
        ),
        (
            "keys, fields and resources",
            json!({
                "resources": {"limits": {"memory": "1Mi"}},
                "env": [
                    {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "color"}}},
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
                    {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Ki"}}},
                ],
            }),
            vec![("F", "10.1.0.9"), ("K", "blue"), ("R", "1024"), ("S", "s3cret")],
        ),
        (
            "optional objects and keys leave the variable as it was",
            json!({
                "envFrom": [
                    {"configMapRef": {"name": "none", "optional": true}},
                    {"secretRef": {"name": "none", "optional": true}},
                ],
                "env": [
                    {"name": "A", "value": "kept"},
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "no", "optional": true}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": true}}},
                ],
            }),
            vec![("A", "kept")],
        ),
    ];
    for (what, container, expected) in cases {
        let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(declared(&container), Ok(expected), "{what}");
    }
}

fn key_ref(kind: &str, name: &str, key: &str, optional: bool) -> Value {
    json!({"env": [{"name": "V", "valueFrom": {kind: {"name": name, "key": key, "optional": optional}}}]})
}

#[test]
fn what_is_missing_is_said_in_the_kubelets_words() {
    let cases = [
        (key_ref("configMapKeyRef", "none", "k", false), "configmap \"none\" not found"),
        (key_ref("secretKeyRef", "none", "k", false), "secret \"none\" not found"),
        (key_ref("configMapKeyRef", "map", "no", false), "couldn't find key no in ConfigMap ns/map"),
        (key_ref("configMapKeyRef", "map", "bin", false), "couldn't find key bin in ConfigMap ns/map"),
        (key_ref("secretKeyRef", "secret", "no", false), "couldn't find key no in Secret ns/secret"),
        (key_ref("configMapKeyRef", "forbidden", "k", true), "configmaps \"forbidden\" is forbidden"),
        (json!({"envFrom": [{"configMapRef": {"name": "none"}}]}), "configmap \"none\" not found"),
        (json!({"envFrom": [{"secretRef": {"name": "none"}}]}), "secret \"none\" not found"),
        (
            json!({"envFrom": [{"prefix": "P_", "secretRef": {"name": "secret"}}]}),
            "the value of variable P_blob is not UTF-8 text without NUL: mount it as a file instead",
        ),
        (
            json!({"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "spec.other"}}}]}),
            "unsupported fieldPath: spec.other",
        ),
    ];
    for (container, expected) in cases {
        assert_eq!(declared(&container), Err(expected.to_owned()), "{container}");
    }
}

#[test]
fn services_that_were_never_read_are_waited_for() {
    let facts = Facts { host_ips: &[], pod_ips: &[], allocatable: &BTreeMap::new() };
    let sources = EnvSources { config_maps: &BTreeMap::new(), secrets: &BTreeMap::new(), services: None, facts };
    let desired = pod(&json!({}), false);
    assert_eq!(resolve(&desired, &desired.containers[0], &sources), Err(EnvError::ServicesUnread));
}

#[test]
fn variables_that_double_each_other_are_bounded() {
    let mut env = vec![json!({"name": "V0", "value": "0123456789"})];
    for step in 1..64 {
        let before = format!("$(V{})", step - 1);
        env.push(json!({"name": format!("V{step}"), "value": before.repeat(2)}));
    }
    let error = World::new().resolve(&json!({"env": env})).expect_err("too large");
    assert_eq!(error, EnvError::TooLarge("app".to_owned()));
}

#[test]
fn arguments_are_expanded_with_everything_but_hostname() {
    let container = json!({"env": [{"name": "A", "value": "1"}]});
    let environment = World::new().resolve(&container).expect("resolves");
    let args = ["$(A)", "$$(A)", "$(KUBERNETES_SERVICE_PORT)", "$(HOSTNAME)", "$(NONE)"].map(str::to_owned);
    let expected = ["1", "$(A)", "443", "$(HOSTNAME)", "$(NONE)"].map(str::to_owned);
    assert_eq!(environment.expand(&args), Ok(expected.to_vec()));
}

#[test]
fn arguments_are_bounded() {
    let container = json!({"env": [{"name": "A", "value": "x".repeat(MAX_BYTES / 2)}]});
    let environment = World::new().resolve(&container).expect("resolves");
    assert!(environment.expand(&["$(A)".to_owned(), "$(A)".to_owned()]).is_ok());
    let three = vec!["$(A)".to_owned(); 3];
    assert_eq!(environment.expand(&three), Err(EnvError::TooLarge("app".to_owned())));
}

#[test]
fn hostname_is_the_pods_the_nodes_or_what_the_container_says() {
    let hostname = |container: &Value, host_network: bool| {
        let facts = Facts { host_ips: &[], pod_ips: &[], allocatable: &BTreeMap::new() };
        let sources =
            EnvSources { config_maps: &BTreeMap::new(), secrets: &BTreeMap::new(), services: Some(&[]), facts };
        let desired = pod(container, host_network);
        let environment = resolve(&desired, &desired.containers[0], &sources).expect("resolves");
        environment.into_vars()
    };
    let of = |value: &str| vec![("HOSTNAME".to_owned(), value.to_owned())];
    assert_eq!(hostname(&json!({}), false), of("p"));
    assert_eq!(hostname(&json!({}), true), of("wasm-1"));
    assert_eq!(hostname(&json!({"env": [{"name": "HOSTNAME", "value": "mine"}]}), true), of("mine"));
}
