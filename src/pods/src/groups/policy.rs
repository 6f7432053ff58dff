//! Which pods share a process, by the node's settings and their RuntimeClass.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use wasmnode_core::PodRef;

use super::Group;

/// With whom a pod shares a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// With the pods of its namespace.
    Namespace,
    /// With all pods of the node: the least memory.
    Node,
    /// With no other pod.
    Pod,
}

/// What the node's configuration says about isolation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolationPolicy {
    /// `isolation`: of pods without a RuntimeClass and with the handler `wasm`.
    pub default: Isolation,
    /// `allowedIsolation`: what handlers may ask for besides.
    pub allowed: BTreeSet<Isolation>,
    /// `groupUsers`: user ids, and group ids of the same number, that groups get; none: all groups are the agent's own
    /// user, as they must be where the agent may not change users.
    pub users: Option<Range<u32>>,
}

/// Handlers of RuntimeClasses and what each asks for; none: the node's own isolation.
const HANDLERS: [(&str, Option<Isolation>); 4] = [
    ("wasm", None),
    ("wasm-namespace", Some(Isolation::Namespace)),
    ("wasm-node", Some(Isolation::Node)),
    ("wasm-pod", Some(Isolation::Pod)),
];

/// A handler that a pod cannot have here. What follows `Failed to create pod sandbox: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("no runtime for {handler:?} is configured; this node has: {known}")]
    Unknown { handler: String, known: String },
    #[error(
        "runtime handler {handler:?} asks for isolation {asked}, which allowedIsolation of this node does not have: {allowed}"
    )]
    Forbidden { handler: String, asked: Isolation, allowed: String },
}

// === impl Isolation ===

impl Isolation {
    fn group(self, pod: &PodRef) -> Group {
        Group::named(match self {
            Self::Namespace => format!("ns-{}", pod.namespace),
            Self::Node => "node".to_owned(),
            Self::Pod => format!("pod-{}", pod.uid),
        })
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::Node => "node",
            Self::Pod => "pod",
        })
    }
}

// === impl IsolationPolicy ===

impl IsolationPolicy {
    /// Handlers that a RuntimeClass may name on this node, sorted; the empty one always is.
    pub fn handlers(&self) -> impl Iterator<Item = &'static str> {
        let available = HANDLERS.into_iter().filter(|(_, asked)| asked.is_none_or(|asked| self.allows(asked)));
        available.map(|(name, _)| name)
    }

    /// The group of a pod whose RuntimeClass has that handler; empty: none has one.
    pub(crate) fn group(&self, pod: &PodRef, handler: &str) -> Result<Group, Unavailable> {
        self.isolation(handler).map(|isolation| isolation.group(pod))
    }

    fn isolation(&self, handler: &str) -> Result<Isolation, Unavailable> {
        if handler.is_empty() {
            return Ok(self.default);
        }
        match HANDLERS.into_iter().find(|(name, _)| *name == handler) {
            None => {
                let known = self.handlers().collect::<Vec<_>>().join(", ");
                Err(Unavailable::Unknown { handler: handler.chars().take(64).collect(), known })
            }
            Some((_, Some(asked))) if !self.allows(asked) => {
                let allowed = self.allowed.iter().map(Isolation::to_string).collect::<Vec<_>>().join(", ");
                Err(Unavailable::Forbidden { handler: handler.to_owned(), asked, allowed })
            }
            Some((_, asked)) => Ok(asked.unwrap_or(self.default)),
        }
    }

    fn allows(&self, isolation: Isolation) -> bool {
        isolation == self.default || self.allowed.contains(&isolation)
    }
}

impl Default for IsolationPolicy {
    /// The node's defaults, without users.
    fn default() -> Self {
        let allowed = BTreeSet::from([Isolation::Namespace, Isolation::Pod]);
        Self { default: Isolation::Namespace, allowed, users: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pod_ref;

    #[test]
    fn pod_handler_and_policy_make_the_group() {
        let node = IsolationPolicy { default: Isolation::Node, ..IsolationPolicy::default() };
        let only_pod =
            IsolationPolicy { default: Isolation::Pod, allowed: BTreeSet::from([Isolation::Pod]), users: None };
        let cases = [
            (&node, "", Ok("node")),
            (&node, "wasm", Ok("node")),
            (&node, "wasm-node", Ok("node")),
            (&node, "wasm-namespace", Ok("ns-ns")),
            (&node, "wasm-pod", Ok("pod-u")),
            (&IsolationPolicy::default(), "", Ok("ns-ns")),
            (
                &IsolationPolicy::default(),
                "wasm-node",
                Err("runtime handler \"wasm-node\" asks for isolation node, which allowedIsolation of this node does \
                     not have: namespace, pod"),
            ),
            (&only_pod, "wasm", Ok("pod-u")),
            (&only_pod, "runsc", Err("no runtime for \"runsc\" is configured; this node has: wasm, wasm-pod")),
            (
                &node,
                "Wasm",
                Err("no runtime for \"Wasm\" is configured; this node has: wasm, wasm-namespace, wasm-node, wasm-pod"),
            ),
        ];
        for (policy, handler, expected) in cases {
            let found = policy.group(&pod_ref("p", "u"), handler);
            let found = found.as_ref().map(Group::as_str).map_err(ToString::to_string);
            assert_eq!(found, expected.map_err(str::to_owned), "{policy:?} {handler}");
        }
    }
}
