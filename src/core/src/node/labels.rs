//! Labels and taints that keep other people's pods away, and which labels a node may give itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;

/// Value of the arch label and of the taints: what workloads for wasm nodes have selected and tolerated since Krustlet.
const ARCH: &str = "wasm32-wasi";

/// Value of the os label. Not `linux`: the node selector of kube-proxy's and CNI's DaemonSets, which tolerate every
/// taint, is all that keeps them off.
const OS: &str = "wasi";

/// Labels of the kubernetes.io domain that NodeRestriction lets a node set, besides the two domains below.
const ALLOWED: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];

/// Domains whose labels a node may set freely.
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// A label that cannot be set. The API server would refuse the whole Node for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// NodeRestriction refuses it.
    #[error(
        "node label {0:?} may not be set by a node itself: remove it from the configuration and let an administrator set it"
    )]
    Reserved(String),
    /// Not a label.
    #[error("node label {key:?}={value:?} is not a valid label: {why}")]
    Syntax {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Labels of every node of this agent, before `--node-labels` (which override them).
pub fn default_labels(hostname: &str) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/hostname", hostname),
        ("kubernetes.io/os", OS),
        ("kubernetes.io/arch", ARCH),
        ("beta.kubernetes.io/os", OS),
        ("beta.kubernetes.io/arch", ARCH),
        // No load balancer in front of the cluster may send traffic here: there is no kube-proxy.
        (super::metadata::EXCLUDE_FROM_LOAD_BALANCERS, ""),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Taints of every node of this agent unless configured otherwise.
pub fn default_taints() -> Vec<Taint> {
    ["NoSchedule", "NoExecute"]
        .into_iter()
        .map(|effect| Taint {
            key: "kubernetes.io/arch".to_owned(),
            value: Some(ARCH.to_owned()),
            effect: effect.to_owned(),
            time_added: None,
        })
        .collect()
}

/// Refuses labels that the API server would refuse (contract section 14).
///
/// # Errors
/// The first label that is not valid or that NodeRestriction does not let a node set.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), LabelError> {
    for (key, value) in labels {
        if let Some(why) = syntax(key, value) {
            return Err(LabelError::Syntax { key: key.clone(), value: value.clone(), why });
        }
        if reserved(key) {
            return Err(LabelError::Reserved(key.clone()));
        }
    }
    Ok(())
}

fn reserved(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    if below(domain, "node-restriction.kubernetes.io") {
        return true;
    }
    let theirs = below(domain, "kubernetes.io") || below(domain, "k8s.io");
    theirs && !ALLOWED.contains(&key) && !ALLOWED_DOMAINS.iter().any(|allowed| below(domain, allowed))
}

fn below(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn syntax(key: &str, value: &str) -> Option<&'static str> {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    if !word(name) {
        return Some(
            "the key's name is at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit",
        );
    }
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Some("the key's prefix is a DNS name of at most 253 characters");
    }
    let valid = value.is_empty() || word(value);
    (!valid).then_some(
        "the value is at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit",
    )
}

fn word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inner) && edge(text.chars().next()) && edge(text.chars().next_back())
}

fn is_domain(text: &str) -> bool {
    let label =
        |part: &str| word(part) && !part.contains(['_', '.']) && !part.contains(|c: char| c.is_ascii_uppercase());
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), LabelError> {
        check_labels(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn what_a_node_may_set() {
        assert_eq!(check_labels(&default_labels("wasm-1")), Ok(()));
        for key in
            ["pool", "example.com/pool", "node.kubernetes.io/x", "a.kubelet.kubernetes.io/x", "mykubernetes.io/x"]
        {
            assert_eq!(check(key, "v"), Ok(()), "{key}");
        }
        for key in [
            "node-role.kubernetes.io/worker",
            "node-restriction.kubernetes.io/x",
            "a.node-restriction.kubernetes.io/x",
            "kubernetes.io/x",
            "k8s.io/x",
            "a.k8s.io/x",
        ] {
            assert_eq!(check(key, "v"), Err(LabelError::Reserved(key.to_owned())), "{key}");
        }
        for (key, value) in
            [("", ""), ("a b", ""), ("-a", ""), ("Example_x/a", ""), ("a/b/c", ""), ("a", "x y"), ("a", "-")]
        {
            assert!(matches!(check(key, value), Err(LabelError::Syntax { .. })), "{key}={value}");
        }
    }
}
