use k8s_openapi::api::core::v1;
use serde_json::json;

use super::*;
use crate::desired::parse;

fn pod() -> Desired {
    let pod: v1::Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "p", "namespace": "ns", "uid": "u-1",
            "labels": {"app": "web", "b": "2"},
            "annotations": {"note": "two\nlines \"quoted\"", "a[b]c": "odd"},
        },
        "spec": {
            "nodeName": "wasm-1",
            "serviceAccountName": "robot",
            "containers": [
                {"name": "a", "image": "i", "resources": {
                    "limits": {"cpu": "1250m", "memory": "64Mi"},
                    "requests": {"cpu": "100m", "memory": "32Mi", "ephemeral-storage": "1"},
                }},
                {"name": "b", "image": "i", "resources": {"limits": {"cpu": "0"}}},
            ],
        },
    }))
    .expect("a pod");
    parse(&pod)
}

fn check(value: &DownwardValue, own: Option<&str>) -> Result<String, String> {
    let desired = pod();
    let allocatable =
        BTreeMap::from([("cpu".to_owned(), Milli(3500)), ("memory".to_owned(), Milli(1024 * 1024 * 1024 * 1000))]);
    let facts = Facts {
        host_ips: &["10.0.0.5".to_owned(), "fd00::5".to_owned()],
        pod_ips: &["10.1.0.9".to_owned()],
        allocatable: &allocatable,
    };
    let own = own.and_then(|name| desired.container(name));
    evaluate(&desired, own, value, &facts).map_err(|error| error.to_string())
}

#[test]
fn fields() {
    let cases = [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['missing']", ""),
        ("metadata.annotations['a[b]c']", "odd"),
        ("metadata.labels", "app=\"web\"\nb=\"2\""),
        ("metadata.annotations", "a[b]c=\"odd\"\nnote=\"two\\nlines \\\"quoted\\\"\""),
        ("spec.nodeName", "wasm-1"),
        ("spec.serviceAccountName", "robot"),
        ("status.hostIP", "10.0.0.5"),
        ("status.hostIPs", "10.0.0.5,fd00::5"),
        ("status.podIP", "10.1.0.9"),
        ("status.podIPs", "10.1.0.9"),
    ];
    for (path, expected) in cases {
        assert_eq!(check(&DownwardValue::Field(path.to_owned()), Some("a")), Ok(expected.to_owned()), "{path}");
    }
}

#[test]
fn unknown_fields_are_errors() {
    for path in ["metadata.other", "spec.nodeName['x']", "['x']", "", "metadata.labels.app"] {
        let expected = Err(format!("unsupported fieldPath: {path}"));
        assert_eq!(check(&DownwardValue::Field(path.to_owned()), None), expected, "{path}");
    }
}

#[test]
fn an_unknown_address_is_an_error() {
    let facts = Facts { host_ips: &[], pod_ips: &[], allocatable: &BTreeMap::new() };
    for path in ["status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"] {
        let value = DownwardValue::Field(path.to_owned());
        assert!(matches!(evaluate(&pod(), None, &value, &facts), Err(DownwardError::NoAddress(_))), "{path}");
    }
}

fn reference(container: Option<&str>, kind: ResourceKind, name: &str, divisor: i128) -> DownwardValue {
    let container = container.map(str::to_owned);
    DownwardValue::Resource(Resource { container, kind, name: name.to_owned(), divisor: Milli(divisor) })
}

#[test]
fn resources_round_up_and_default_to_the_nodes() {
    use ResourceKind::{Limit, Request};
    let cases = [
        ("a", Limit, "cpu", 1000, "2"),
        ("a", Limit, "cpu", 1, "1250"),
        ("a", Limit, "cpu", 500, "3"),
        ("a", Limit, "memory", 1000, "67108864"),
        ("a", Limit, "memory", 1024 * 1024 * 1000, "64"),
        ("a", Limit, "memory", 100 * 1024 * 1024 * 1000, "1"),
        ("a", Request, "cpu", 1000, "1"),
        ("a", Request, "memory", 1_000_000 * 1000, "34"),
        ("a", Request, "ephemeral-storage", 1000, "1"),
        ("a", Limit, "hugepages-2Mi", 1000, "0"),
        ("b", Limit, "cpu", 1000, "4"),
        ("b", Limit, "memory", 1024 * 1024 * 1000, "1024"),
        ("b", Limit, "ephemeral-storage", 1000, "0"),
        ("b", Request, "memory", 1000, "0"),
    ];
    for (container, kind, name, divisor, expected) in cases {
        let expected = Ok(expected.to_owned());
        assert_eq!(check(&reference(None, kind, name, divisor), Some(container)), expected, "{container} {name}");
        assert_eq!(check(&reference(Some(container), kind, name, divisor), None), expected, "{container} {name}");
    }
}

#[test]
fn resources_of_a_container_that_is_not_there() {
    let error = check(&reference(Some("zz"), ResourceKind::Limit, "cpu", 1), Some("a"));
    assert_eq!(error, Err("container zz not found".to_owned()));
}

#[test]
fn quotes_as_go_does() {
    let cases = [
        ("plain", r#""plain""#),
        ("it's", r#""it's""#),
        ("\x07\x08\x0c\r\x0b\t\\", r#""\a\b\f\r\v\t\\""#),
        ("\x01\x7f", r#""\x01\x7f""#),
        ("grüße 中文 €", r#""grüße 中文 €""#),
        ("e\u{301}", "\"e\u{301}\""),
        ("\u{a0}\u{200b}\u{feff}", r#""\u00a0\u200b\ufeff""#),
        ("\u{e0001}", r#""\U000e0001""#),
    ];
    for (text, expected) in cases {
        assert_eq!(quoted(text), expected);
    }
}
