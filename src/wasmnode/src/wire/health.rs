//! Health, as the node's own facts tell it.

use tokio::sync::watch;
use wasmnode_core::node::NodeFacts;
use wasmnode_server::Health;

/// Fails when the node is not ready. That the agent's own tasks live needs no check: the end of one ends the process.
pub(crate) struct NodeHealth(pub(crate) watch::Receiver<NodeFacts>);

impl Health for NodeHealth {
    fn failing(&self) -> Vec<(String, String)> {
        self.0.borrow().problems.iter().map(|problem| ("runtime".to_owned(), problem.clone())).collect()
    }
}
