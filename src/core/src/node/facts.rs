//! What is true of this node, gathered by the binary: the input of everything else in this module.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Taint;

use super::NodeFact;

/// Everything that the Node object says about this node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    /// Node name: `--hostname-override` or the lower-case host name; that of the certificate `system:node:NAME`.
    pub name: String,
    /// All labels to create the node with; see [`super::default_labels`].
    pub labels: BTreeMap<String, String>,
    /// Taints to create the node with; a node may not add them later.
    pub taints: Vec<Taint>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
    /// What the machine has.
    pub capacity: Resources,
    /// What is kept from pods: system and agent reservations and eviction thresholds.
    pub reserved: Resources,
    /// Addresses of the node, the preferred family first; each becomes an InternalIP.
    pub addresses: Vec<IpAddr>,
    /// Host name, reported as the address of type Hostname.
    pub hostname: String,
    /// Port of the kubelet API.
    pub kubelet_port: u16,
    /// nodeInfo.
    pub system: SystemInfo,
    /// Images in the store, in any order.
    pub images: Vec<Image>,
    /// `nodeStatusMaxImages`: how many images to report at most; `None`: all.
    pub max_images: Option<usize>,
    /// Runtime handlers that pods may name; `""` is the default one.
    pub runtime_handlers: Vec<String>,
    /// Resources that run short.
    pub pressure: Pressure,
    /// Why the node is not ready, one sentence each without full stop; empty: it is ready.
    pub problems: Vec<String>,
    /// Conditions of this agent's own, after the kubelet's and before Ready.
    pub conditions: Vec<NodeFact>,
}

/// Amounts of the resources that every node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub ephemeral_storage: u64,
    /// Number of pods.
    pub pods: u64,
}

/// Resources that run short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Memory.
    pub memory: bool,
    /// Disk space.
    pub disk: bool,
    /// Process ids.
    pub pid: bool,
}

/// nodeInfo, less the fields that are always the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemInfo {
    /// /etc/machine-id.
    pub machine_id: String,
    /// DMI product UUID, or the machine id where there is none.
    pub system_uuid: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// Pretty name of the operating system.
    pub os_image: String,
    /// `wasmtime://48.x.y`.
    pub runtime_version: String,
    /// `v1.36.x`: version-skew tools parse it.
    pub kubelet_version: String,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// References, digests and tags, in any order.
    pub names: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
}

impl Resources {
    /// What is left of `self` for pods.
    #[must_use]
    pub fn less(self, reserved: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(reserved.cpu_millis),
            memory: self.memory.saturating_sub(reserved.memory),
            ephemeral_storage: self.ephemeral_storage.saturating_sub(reserved.ephemeral_storage),
            pods: self.pods.saturating_sub(reserved.pods),
        }
    }

    /// Names of those that are not known (zero), as the kubelet lists them.
    pub(super) fn missing(self) -> Vec<&'static str> {
        [
            ("cpu", self.cpu_millis),
            ("memory", self.memory),
            ("pods", self.pods),
            ("ephemeral-storage", self.ephemeral_storage),
        ]
        .into_iter()
        .filter_map(|(name, amount)| (amount == 0).then_some(name))
        .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::node::{default_labels, default_taints};

    /// A node as the tests of this module know it.
    pub(crate) fn facts() -> NodeFacts {
        NodeFacts {
            name: "wasm-1".to_owned(),
            labels: default_labels("wasm-1"),
            taints: default_taints(),
            provider_id: None,
            capacity: Resources {
                cpu_millis: 8000,
                memory: 16_384_000 << 10,
                ephemeral_storage: 102_687_672 << 10,
                pods: 110,
            },
            reserved: Resources { cpu_millis: 500, memory: 100 << 20, ephemeral_storage: 1, pods: 0 },
            addresses: vec!["10.0.0.5".parse().expect("an address")],
            hostname: "wasm-1".to_owned(),
            kubelet_port: 10250,
            system: SystemInfo {
                boot_id: "boot-1".to_owned(),
                runtime_version: "wasmtime://48.0.8".to_owned(),
                kubelet_version: "v1.36.3".to_owned(),
                ..SystemInfo::default()
            },
            images: Vec::new(),
            max_images: Some(50),
            runtime_handlers: vec![String::new(), "wasm".to_owned(), "wasm-node".to_owned()],
            pressure: Pressure::default(),
            problems: Vec::new(),
            conditions: vec![NodeFact::isolation(false), NodeFact::node_addresses()],
        }
    }

    #[test]
    fn reservations_never_go_below_zero() {
        let capacity = Resources { cpu_millis: 1000, memory: 10, ephemeral_storage: 10, pods: 1 };
        let reserved = Resources { cpu_millis: 1, memory: 11, ephemeral_storage: 10, pods: 0 };
        assert_eq!(capacity.less(reserved), Resources { cpu_millis: 999, memory: 0, ephemeral_storage: 0, pods: 1 });
        assert_eq!(capacity.less(reserved).missing(), ["memory", "ephemeral-storage"]);
    }
}
