//! Tolerations and node affinity.

use k8s_openapi::api::core::v1;

use super::non_empty;
use crate::desired::{NodeRequirement, NodeTerm, Operator, Toleration};

/// Leaves out those that never match: operators other than `Equal` and `Exists` need a gate that is off by default.
pub(super) fn tolerations(tolerations: &[v1::Toleration]) -> Vec<Toleration> {
    tolerations.iter().filter_map(toleration).collect()
}

fn toleration(toleration: &v1::Toleration) -> Option<Toleration> {
    let exists = match toleration.operator.as_deref() {
        None | Some("" | "Equal") => false,
        Some("Exists") => true,
        Some(_) => return None,
    };
    Some(Toleration {
        key: non_empty(toleration.key.clone()),
        exists,
        value: toleration.value.clone().unwrap_or_default(),
        effect: non_empty(toleration.effect.clone()),
    })
}

/// The required node affinity. A term without requirements matches no node, and so is left out.
pub(super) fn required_affinity(affinity: Option<&v1::Affinity>) -> Option<Vec<NodeTerm>> {
    let node = affinity?.node_affinity.as_ref()?;
    let selector = node.required_during_scheduling_ignored_during_execution.as_ref()?;
    let terms = selector.node_selector_terms.iter().map(term);
    Some(terms.filter(|term| !term.labels.is_empty() || !term.fields.is_empty()).collect())
}

fn term(term: &v1::NodeSelectorTerm) -> NodeTerm {
    let requirements =
        |list: &Option<Vec<v1::NodeSelectorRequirement>>| list.iter().flatten().map(requirement).collect();
    NodeTerm { labels: requirements(&term.match_expressions), fields: requirements(&term.match_fields) }
}

fn requirement(requirement: &v1::NodeSelectorRequirement) -> NodeRequirement {
    NodeRequirement {
        key: requirement.key.clone(),
        operator: operator(&requirement.operator),
        values: requirement.values.clone().unwrap_or_default(),
    }
}

fn operator(text: &str) -> Operator {
    match text {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => Operator::Unknown,
    }
}
