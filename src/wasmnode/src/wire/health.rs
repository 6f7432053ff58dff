//! Health, as the node's own facts tell it.

use tokio::sync::watch;
use wasmnode_core::node::NodeFacts;
use wasmnode_server::Health;

use crate::admin::SHUTTING_DOWN;

/// Fails when the node cannot run pods; one that ends them on purpose is well. That the agent's own tasks live needs no check: the end of one ends the process.
pub(crate) struct NodeHealth(pub(crate) watch::Receiver<NodeFacts>);

impl Health for NodeHealth {
    fn failing(&self) -> Vec<(String, String)> {
        let facts = self.0.borrow();
        let problems = facts.problems.iter().filter(|problem| *problem != SHUTTING_DOWN);
        problems.map(|problem| ("runtime".to_owned(), problem.clone())).collect()
    }
}
