//! Node status from facts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeRuntimeHandler, NodeStatus,
    NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::conditions;
use super::facts::{Image, NodeFacts, SystemInfo};
use super::sizes::{binary, decimal, millis};

/// The API server and the scheduler read at most so many names of an image.
const NAMES_PER_IMAGE: usize = 5;

/// The status to post at `now`, given the node as it stands. What others own is kept: their conditions, attached
/// volumes, and extended resources that an administrator advertised.
pub fn status(facts: &NodeFacts, node: Option<&Node>, now: Timestamp) -> NodeStatus {
    let mut status = node.and_then(|node| node.status.clone()).unwrap_or_default();
    status.conditions = Some(conditions(facts, node, &seconds(now)));
    status.capacity = Some(capacity(facts, status.capacity.take()));
    status.allocatable = Some(allocatable(facts, status.capacity.as_ref()));
    status.addresses = Some(addresses(facts));
    status.daemon_endpoints =
        Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(facts.kubelet_port) }) });
    status.node_info = Some(node_info(&facts.system));
    status.images = Some(images(&facts.images, facts.max_images)).filter(|images| !images.is_empty());
    status.runtime_handlers = Some(facts.runtime_handlers.iter().map(|name| handler(name)).collect());
    status
}

/// The API server keeps seconds; comparing with what it has needs the same.
fn seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn capacity(facts: &NodeFacts, previous: Option<BTreeMap<String, Quantity>>) -> BTreeMap<String, Quantity> {
    let mut all = previous.unwrap_or_default();
    all.insert("cpu".to_owned(), millis(facts.capacity.cpu_millis));
    all.insert("memory".to_owned(), binary(facts.capacity.memory));
    all.insert("ephemeral-storage".to_owned(), binary(facts.capacity.ephemeral_storage));
    all.insert("pods".to_owned(), decimal(facts.capacity.pods));
    all
}

fn allocatable(facts: &NodeFacts, capacity: Option<&BTreeMap<String, Quantity>>) -> BTreeMap<String, Quantity> {
    let left = facts.capacity.less(facts.reserved);
    let mut all = capacity.cloned().unwrap_or_default();
    all.insert("cpu".to_owned(), millis(left.cpu_millis));
    all.insert("memory".to_owned(), binary(left.memory));
    all.insert("ephemeral-storage".to_owned(), decimal(left.ephemeral_storage));
    all.insert("pods".to_owned(), decimal(left.pods));
    all
}

fn addresses(facts: &NodeFacts) -> Vec<NodeAddress> {
    let internal = facts.addresses.iter().map(|ip| ("InternalIP", ip.to_string()));
    internal
        .chain([("Hostname", facts.hostname.clone())])
        .map(|(kind, address)| NodeAddress { type_: kind.to_owned(), address })
        .collect()
}

fn node_info(system: &SystemInfo) -> NodeSystemInfo {
    NodeSystemInfo {
        machine_id: system.machine_id.clone(),
        system_uuid: system.system_uuid.clone(),
        boot_id: system.boot_id.clone(),
        kernel_version: system.kernel_version.clone(),
        os_image: system.os_image.clone(),
        container_runtime_version: system.runtime_version.clone(),
        kubelet_version: system.kubelet_version.clone(),
        operating_system: "wasi".to_owned(),
        architecture: "wasm32".to_owned(),
        ..NodeSystemInfo::default()
    }
}

/// The largest images first, the names that tell the scheduler most first: digests, then tags.
fn images(images: &[Image], max: Option<usize>) -> Vec<ContainerImage> {
    let mut sorted: Vec<&Image> = images.iter().filter(|image| !image.names.is_empty()).collect();
    sorted.sort_by(|a, b| (Reverse(a.size), &a.names).cmp(&(Reverse(b.size), &b.names)));
    sorted.truncate(max.unwrap_or(usize::MAX));
    sorted.into_iter().map(reported).collect()
}

fn reported(image: &Image) -> ContainerImage {
    let mut names = image.names.clone();
    names.sort_by_key(|name| (!name.contains('@'), name.clone()));
    names.truncate(NAMES_PER_IMAGE);
    ContainerImage { names: Some(names), size_bytes: Some(i64::try_from(image.size).unwrap_or(i64::MAX)) }
}

/// The default handler's name is empty.
fn handler(name: &str) -> NodeRuntimeHandler {
    NodeRuntimeHandler { name: Some(name.to_owned()), features: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::node::facts::tests::facts;
    use crate::node::new_node;

    fn now() -> Timestamp {
        "2026-11-22T10:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn capacity_and_allocatable_of_others_are_kept() {
        let mut node = new_node(&facts(), now());
        let capacity = node.status.as_mut().unwrap().capacity.as_mut().unwrap();
        capacity.insert("example.com/gpu".to_owned(), Quantity("2".to_owned()));
        let status = serde_json::to_value(status(&facts(), Some(&node), now())).unwrap();
        assert_eq!(
            status["capacity"],
            json!({"cpu": "8", "memory": "16000Mi", "ephemeral-storage": "102687672Ki", "pods": "110", "example.com/gpu": "2"})
        );
        assert_eq!(
            status["allocatable"],
            json!({"cpu": "7500m", "memory": "15900Mi", "ephemeral-storage": "105152176127", "pods": "110", "example.com/gpu": "2"})
        );
    }

    #[test]
    fn node_info_addresses_and_handlers() {
        let status = serde_json::to_value(status(&facts(), None, now())).unwrap();
        assert_eq!(
            status["addresses"],
            json!([{"type": "InternalIP", "address": "10.0.0.5"}, {"type": "Hostname", "address": "wasm-1"}])
        );
        assert_eq!(status["nodeInfo"]["operatingSystem"], "wasi");
        assert_eq!(status["nodeInfo"]["architecture"], "wasm32");
        assert_eq!(status["nodeInfo"]["kubeProxyVersion"], "");
        assert_eq!(status["nodeInfo"]["containerRuntimeVersion"], "wasmtime://48.0.8");
        assert_eq!(status["runtimeHandlers"], json!([{"name": ""}, {"name": "wasm"}, {"name": "wasm-node"}]));
    }

    #[test]
    fn images_are_the_largest_and_digests_come_first() {
        let image = |size, names: &[&str]| Image { size, names: names.iter().map(|&name| name.to_owned()).collect() };
        let all = [
            image(1, &["r/small:1"]),
            image(3, &["r/big:1", "r/big@sha256:1", "r/big:2", "r/big:3", "r/big:4", "r/big:5"]),
            image(9, &[]),
            image(2, &["r/mid:1"]),
        ];
        let shown = images(&all, Some(2));
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0].names.as_ref().unwrap(), &["r/big@sha256:1", "r/big:1", "r/big:2", "r/big:3", "r/big:4"]);
        assert_eq!(shown[1].size_bytes, Some(2));
        assert_eq!(images(&all, None).len(), 3);
    }
}
