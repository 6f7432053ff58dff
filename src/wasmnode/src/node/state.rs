//! The node as admission and pod statuses see it: the API server's labels and taints with this node's own amounts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wasmnode_cluster::NodeView as RegisteredNode;
use wasmnode_core::ledger::{NodeView, Taint};
use wasmnode_core::node::{NodeFacts, Resources};
use wasmnode_core::pod::NodeAddresses;
use wasmnode_core::quantity::Milli;
use wasmnode_pods::NodeState;

/// Keeps the receivers of `state` up to date with both sources.
pub(crate) async fn follow(
    mut facts: watch::Receiver<NodeFacts>,
    registered: RegisteredNode,
    state: watch::Sender<NodeState>,
    shutdown: CancellationToken,
) {
    let mut node = registered.subscribe();
    let forever = async {
        loop {
            let new = derive(&facts.borrow_and_update(), node.borrow_and_update().as_deref());
            state.send_if_modified(|old| {
                let changed = *old != new;
                *old = new;
                changed
            });
            tokio::select! {
                Ok(()) = facts.changed() => {}
                Ok(()) = node.changed() => {}
                else => return,
            }
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

/// Until the node is registered, what it will be registered with.
pub(crate) fn derive(facts: &NodeFacts, node: Option<&Node>) -> NodeState {
    let labels = node.map_or_else(|| facts.labels.clone(), |node| node.metadata.labels.clone().unwrap_or_default());
    let taints = match node {
        Some(node) => node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default(),
        None => &facts.taints,
    };
    let taint = |taint: &k8s_openapi::api::core::v1::Taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint.effect.clone(),
    };
    NodeState {
        view: NodeView {
            name: facts.name.clone(),
            labels,
            taints: taints.iter().map(taint).collect(),
            allocatable: amounts(facts.capacity.less(facts.reserved)),
        },
        addresses: NodeAddresses { ips: facts.addresses.iter().map(ToString::to_string).collect() },
    }
}

fn amounts(resources: Resources) -> BTreeMap<String, Milli> {
    let whole = |amount: u64| Milli(i128::from(amount) * 1000);
    BTreeMap::from([
        ("cpu".to_owned(), Milli(i128::from(resources.cpu_millis))),
        ("memory".to_owned(), whole(resources.memory)),
        ("ephemeral-storage".to_owned(), whole(resources.ephemeral_storage)),
        ("pods".to_owned(), whole(resources.pods)),
    ])
}
