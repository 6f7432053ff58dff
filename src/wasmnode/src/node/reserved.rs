//! What pods do not get of the machine.

use std::collections::BTreeMap;

use wasmnode_core::node::Resources;
use wasmnode_core::quantity;

use crate::config::file::NodeConfiguration;

/// Below this much available memory a node is under memory pressure: the kubelet's `memory.available<100Mi`.
pub(crate) const LEAST_MEMORY: u64 = 100 << 20;
/// One part in so many of the disk: the kubelet's `nodefs.available<10%`.
pub(crate) const LEAST_DISK_PART: u64 = 10;

/// Reservations of the configuration and the thresholds that pressure begins at, as the kubelet subtracts them.
pub(super) fn reserved(file: &NodeConfiguration, disk: u64) -> Resources {
    let (agent, system) = (amounts(&file.kube_reserved), amounts(&file.system_reserved));
    Resources {
        cpu_millis: agent.cpu_millis.saturating_add(system.cpu_millis),
        memory: agent.memory.saturating_add(system.memory).saturating_add(LEAST_MEMORY),
        ephemeral_storage: agent
            .ephemeral_storage
            .saturating_add(system.ephemeral_storage)
            .saturating_add(disk / LEAST_DISK_PART),
        pods: 0,
    }
}

fn amounts(resources: &BTreeMap<String, String>) -> Resources {
    // The configuration was checked: every amount parses and none is negative.
    let amount = |name: &str| resources.get(name).and_then(|text| quantity::parse_str(text)).unwrap_or_default();
    let whole = |name| u64::try_from(amount(name).value()).unwrap_or(0);
    Resources {
        cpu_millis: u64::try_from(amount("cpu").millis()).unwrap_or(0),
        memory: whole("memory"),
        ephemeral_storage: whole("ephemeral-storage"),
        pods: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_and_thresholds_add_up() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let file = NodeConfiguration {
            kube_reserved: map(&[("cpu", "500m"), ("memory", "1Gi")]),
            system_reserved: map(&[("cpu", "1"), ("ephemeral-storage", "1k")]),
            ..NodeConfiguration::default()
        };
        let reserved = reserved(&file, 10_000);
        assert_eq!(reserved.cpu_millis, 1500);
        assert_eq!(reserved.memory, (1 << 30) + LEAST_MEMORY);
        assert_eq!(reserved.ephemeral_storage, 2000);
    }
}
