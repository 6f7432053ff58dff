#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use serde_json::{Value, json};
use wasmnode_core::desired::parse;
use wasmnode_core::downward::Facts;
use wasmnode_core::{ObjectError, ObjectRef, Objects, PodRef, Token, TokenRequest, Tokens};

use super::*;
use crate::fixtures::{pod_json, pod_layout, texts};

/// One ConfigMap `m`, one Secret `s`, and a token.
struct Shelf;

#[async_trait]
impl Objects for Shelf {
    fn register(&self, _pod: &PodRef, _references: &[ObjectRef]) {}
    fn release(&self, _pod: &PodRef) {}

    async fn config_map(&self, _namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        let binary = BTreeMap::from([("b".to_owned(), ByteString(vec![0xff]))]);
        let map = ConfigMap { data: Some(texts(&[("k", "map")])), binary_data: Some(binary), ..ConfigMap::default() };
        let missing = ObjectError::NotFound { kind: "configmap", name: name.to_owned() };
        if name == "m" { Ok(Arc::new(map)) } else { Err(missing) }
    }

    async fn secret(&self, _namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        let data = BTreeMap::from([("k".to_owned(), ByteString(b"secret".to_vec()))]);
        match name {
            "s" => Ok(Arc::new(Secret { data: Some(data), ..Secret::default() })),
            "down" => Err(ObjectError::Unavailable("no answer".to_owned())),
            _ => Err(ObjectError::NotFound { kind: "secret", name: name.to_owned() }),
        }
    }

    fn services(&self, _namespaces: &[&str]) -> Option<Vec<Arc<Service>>> {
        None
    }

    async fn runtime_handler(&self, _class: &str) -> Result<String, ObjectError> {
        Ok(String::new())
    }
}

#[async_trait]
impl Tokens for Shelf {
    async fn token(&self, request: &TokenRequest) -> Result<Token, ObjectError> {
        let value = format!("{:?} for {}", request.audience, request.service_account);
        Ok(Token { value, expires_at: Timestamp::MAX })
    }

    fn release(&self, _pod: &PodRef) {}
}

/// Sets up one volume `v` of the pod and says where it is.
pub(crate) async fn set_up_volume(pod: &PodLayout, source: &Value) -> Result<PathBuf, String> {
    let mut spec = pod_json("p", "u");
    spec["spec"]["volumes"] = json!([source]);
    spec["spec"]["volumes"][0]["name"] = json!("v");
    let desired = parse(&serde_json::from_value(spec).unwrap());
    let ips = ["10.0.0.5".to_owned()];
    let facts = Facts { host_ips: &ips, pod_ips: &ips, allocatable: &BTreeMap::new() };
    let sources = Sources { desired: &desired, objects: &Shelf, tokens: &Shelf, facts };
    set_up(&sources, pod, Timestamp::UNIX_EPOCH).await?;
    Ok(host_path(pod, &desired.volumes[0]))
}

/// Sets up one volume and says what is in it: path, content and mode.
async fn set_up_in(top: &Path, source: &Value) -> Result<Vec<(String, String, u32)>, String> {
    set_up_volume(&pod_layout(top, "p", "u"), source).await.map(|volume| files(&volume))
}

fn files(volume: &Path) -> Vec<(String, String, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(volume).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = volume.join(&name);
        if !name.starts_with("..") && path.is_file() {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            found.push((name, String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(), mode));
        }
    }
    found.sort();
    found
}

fn expected(files: &[(&str, &str, u32)]) -> Result<Vec<(String, String, u32)>, String> {
    Ok(files.iter().map(|(name, text, mode)| ((*name).to_owned(), (*text).to_owned(), *mode)).collect())
}

#[tokio::test]
async fn each_kind_holds_what_it_should() {
    let cases = [
        (json!({ "configMap": { "name": "m" } }), expected(&[("b", "\u{fffd}", 0o644), ("k", "map", 0o644)])),
        (
            json!({ "configMap": { "name": "m", "defaultMode": 0o440, "items": [{ "key": "k", "path": "x", "mode": 0o600 }] } }),
            expected(&[("x", "map", 0o600)]),
        ),
        (json!({ "secret": { "secretName": "s", "defaultMode": 0o400 } }), expected(&[("k", "secret", 0o400)])),
        (json!({ "secret": { "secretName": "none", "optional": true } }), expected(&[])),
        (
            json!({ "secret": { "secretName": "s", "optional": true, "items": [{ "key": "none", "path": "x" }] } }),
            expected(&[]),
        ),
        (
            json!({ "downwardAPI": { "items": [{ "path": "name", "fieldRef": { "fieldPath": "metadata.name" } }] } }),
            expected(&[("name", "p", 0o644)]),
        ),
        (
            json!({ "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "audience": "me" } },
                { "configMap": { "name": "m", "items": [{ "key": "k", "path": "both" }] } },
                { "secret": { "name": "s", "items": [{ "key": "k", "path": "both" }] } },
            ] } }),
            expected(&[("both", "secret", 0o644), ("token", "Some(\"me\") for default", 0o644)]),
        ),
        (json!({ "emptyDir": {} }), expected(&[])),
        (json!({ "emptyDir": { "medium": "Memory" } }), expected(&[])),
    ];
    for (source, expected) in cases {
        let top = tempfile::tempdir().unwrap();
        assert_eq!(set_up_in(top.path(), &source).await, expected, "{source}");
    }
}

#[tokio::test]
async fn what_is_missing_is_named_as_the_kubelet_does() {
    let cases = [
        (json!({ "configMap": { "name": "x" } }), "configmap \"x\" not found"),
        (json!({ "secret": { "secretName": "x" } }), "secret \"x\" not found"),
        (json!({ "secret": { "secretName": "down", "optional": true } }), "no answer"),
        (
            json!({ "configMap": { "name": "m", "items": [{ "key": "z", "path": "z" }] } }),
            "configmap references non-existent config key: z",
        ),
        (
            json!({ "secret": { "secretName": "s", "items": [{ "key": "z", "path": "z" }] } }),
            "references non-existent secret key: z",
        ),
        (
            json!({ "projected": { "sources": [{ "secret": { "name": "x" } }, { "configMap": { "name": "y" } }] } }),
            "[secret \"x\" not found, configmap \"y\" not found]",
        ),
    ];
    for (source, text) in cases {
        let top = tempfile::tempdir().unwrap();
        let error = set_up_in(top.path(), &source).await.unwrap_err();
        assert_eq!(error, format!("MountVolume.SetUp failed for volume \"v\" : {text}"), "{source}");
    }
    let top = tempfile::tempdir().unwrap();
    let error = set_up_in(top.path(), &json!({ "nfs": { "server": "x", "path": "/" } })).await.unwrap_err();
    assert!(error.contains("not supported"), "{error}");
}

#[tokio::test]
async fn volumes_are_where_they_belong_and_go_with_the_pod() {
    use std::os::unix::fs::PermissionsExt;
    let top = tempfile::tempdir().unwrap();
    set_up_in(top.path(), &json!({ "emptyDir": {} })).await.unwrap();
    let volume = top.path().join("state/groups/node/pods/u/volumes/v");
    assert_eq!(std::fs::metadata(&volume).unwrap().permissions().mode() & 0o777, 0o777);
    std::fs::write(volume.join("mine"), "").unwrap();
    set_up_in(top.path(), &json!({ "emptyDir": {} })).await.unwrap();
    assert!(volume.join("mine").exists(), "what the pod wrote stays");
    set_up_in(top.path(), &json!({ "secret": { "secretName": "s" } })).await.unwrap();
    assert!(top.path().join("run/groups/node/pods/u/volumes/v/k").exists());

    std::os::unix::fs::symlink("/etc", volume.join("planted")).unwrap();
    let pod = pod_layout(top.path(), "p", "u");
    tear_down(&pod).unwrap();
    tear_down(&pod).unwrap();
    assert!(!volume.exists() && !top.path().join("run/groups/node/pods/u").exists());
    assert!(Path::new("/etc").exists());
}
