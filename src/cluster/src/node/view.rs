//! The Node as last seen, shared by those who need its UID, address range or status.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;

/// The Node as the API server last showed it; none until it is registered, and after it was deleted.
#[derive(Clone)]
pub struct NodeView(Arc<watch::Sender<Option<Arc<Node>>>>);

impl Default for NodeView {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl NodeView {
    /// The Node now.
    pub fn current(&self) -> Option<Arc<Node>> {
        self.0.borrow().clone()
    }

    /// For waiting for changes.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Node>>> {
        self.0.subscribe()
    }

    /// UID of the Node, once it is registered.
    pub async fn registered(&self) -> String {
        let mut changes = self.subscribe();
        loop {
            if let Some(uid) = uid(changes.borrow_and_update().as_deref()) {
                return uid.to_owned();
            }
            // Cannot end: `self` holds the sender.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until there is a Node of another UID.
    pub(crate) async fn other_than(&self, old: &str) {
        let mut changes = self.subscribe();
        let other = |node: &Option<Arc<Node>>| uid(node.as_deref()).is_some_and(|uid| uid != old);
        if changes.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The API server showed this Node. Answers and watch events overtake each other: an older one is ignored.
    pub(crate) fn observe(&self, node: Node) {
        self.0.send_if_modified(|current| {
            let newer = current.as_deref().is_none_or(|current| supersedes(&node, current));
            if newer {
                *current = Some(Arc::new(node));
            }
            newer
        });
    }

    /// As [`NodeView::observe`], for answers to requests about the Node that stood then: they do not bring a deleted
    /// one back.
    pub(crate) fn refresh(&self, node: Node) {
        if uid(self.current().as_deref()) == uid(Some(&node)) {
            self.observe(node);
        }
    }

    /// The API server has no such Node any more.
    pub(crate) fn gone(&self) {
        self.0.send_replace(None);
    }
}

fn uid(node: Option<&Node>) -> Option<&str> {
    node?.metadata.uid.as_deref()
}

/// Resource versions count up within one object's life; where they are no numbers, the last one seen wins.
fn supersedes(new: &Node, old: &Node) -> bool {
    let version =
        |node: &Node| node.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
    match (version(new), version(old)) {
        (Some(new_version), Some(old_version)) if new.metadata.uid == old.metadata.uid => new_version > old_version,
        _ => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::node;

    fn version(view: &NodeView) -> Option<String> {
        view.current().and_then(|node| node.metadata.resource_version.clone())
    }

    #[test]
    fn the_newest_wins_and_the_dead_stay_dead() {
        let view = NodeView::default();
        view.refresh(node("n", "u1", "1"));
        assert_eq!(version(&view), None);
        view.observe(node("n", "u1", "10"));
        view.observe(node("n", "u1", "9"));
        assert_eq!(version(&view).as_deref(), Some("10"));
        view.refresh(node("n", "u1", "11"));
        assert_eq!(version(&view).as_deref(), Some("11"));
        view.gone();
        view.refresh(node("n", "u1", "12"));
        assert_eq!(version(&view), None);
        view.observe(node("n", "u2", "3"));
        assert_eq!(version(&view).as_deref(), Some("3"));
    }
}
