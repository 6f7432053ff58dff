//! Values for tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmnode_core::PodRef;
use wasmnode_core::desired::{Container, Desired, parse};
use wasmnode_logs::beneath::Owner;
use wasmnode_provider_api::{Artifact, ArtifactKind, EngineId, EngineName};

use crate::groups::{Group, Groups, IsolationPolicy};
use crate::images::PulledImage;
use crate::layout::{Layout, PodLayout};

pub(crate) fn layout(top: &Path) -> Layout {
    Layout {
        state_root: top.join("state"),
        memory_root: top.join("run"),
        logs_root: top.join("logs"),
        links_dir: Some(top.join("links")),
    }
}

pub(crate) fn groups(top: &Path) -> Groups {
    Groups::new(layout(top), IsolationPolicy::default())
}

/// That many user ids, where tests may change owners: not without privileges, where files stay the caller's.
#[allow(clippy::unwrap_used)]
pub(crate) fn users(count: u32) -> Option<Range<u32>> {
    let first = 1_900_000_000;
    let file = tempfile::tempfile().unwrap();
    Owner::user(Some(first)).give(&file).is_ok().then(|| first..first + count)
}

/// User and group id of `path` itself, and its mode.
#[allow(clippy::unwrap_used)]
pub(crate) fn access(path: &Path) -> (u32, u32, u32) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

/// A pod of the group `node` whose files are the caller's.
pub(crate) fn pod_layout(top: &Path, name: &str, uid: &str) -> PodLayout {
    Arc::new(layout(top)).pod(&pod_ref(name, uid), &Group::named("node".to_owned()), None)
}

/// What is in a directory, sorted.
#[allow(clippy::unwrap_used)]
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn pod_ref(name: &str, uid: &str) -> PodRef {
    PodRef { namespace: "ns".to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

/// A pod with one container `c` as the API server would send it.
pub(crate) fn pod_json(name: &str, uid: &str) -> Value {
    json!({
        "metadata": { "namespace": "ns", "name": name, "uid": uid, "resourceVersion": "1", "generation": 1 },
        "spec": {
            "nodeName": "wasm-1",
            "enableServiceLinks": false,
            "containers": [{ "name": "c", "image": "example.com/tool:1", "args": [] }],
        },
    })
}

#[allow(clippy::unwrap_used)]
pub(crate) fn desired(name: &str, uid: &str) -> Desired {
    parse(&serde_json::from_value(pod_json(name, uid)).unwrap())
}

pub(crate) fn container(name: &str) -> Container {
    let mut container = desired("p", "u").containers.remove(0);
    name.clone_into(&mut container.name);
    container
}

#[allow(clippy::unwrap_used)]
pub(crate) fn image(title: &str) -> PulledImage {
    let hex = "0".repeat(64);
    PulledImage {
        image_id: format!("example.com/tool@sha256:{hex}"),
        size_bytes: 1,
        timing: None,
        artifact: Ok(Artifact {
            digest: format!("sha256:{hex}"),
            engine: EngineId::new(hex).unwrap(),
            engine_name: EngineName::Base,
            kind: ArtifactKind::Module,
            path: "/tool.cwasm".into(),
        }),
        root: None,
        title: title.to_owned(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        lease: Arc::new(()),
    }
}

/// Texts by name.
pub(crate) fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
