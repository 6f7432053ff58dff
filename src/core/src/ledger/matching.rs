//! Node selectors against the node, tolerations against its taints.

use super::{NodeView, Taint};
use crate::desired::{NodeRequirement, NodeTerm, Operator, Toleration};

/// Whether the node meets all requirements of a term.
pub(super) fn term(term: &NodeTerm, node: &NodeView) -> bool {
    let labels = |requirement: &NodeRequirement| {
        matches_label(requirement, node.labels.get(&requirement.key).map(String::as_str))
    };
    term.labels.iter().all(labels) && term.fields.iter().all(|requirement| matches_field(requirement, node))
}

fn matches_label(requirement: &NodeRequirement, label: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().any(|listed| listed == value);
    match requirement.operator {
        Operator::In => label.is_some_and(listed),
        Operator::NotIn => !label.is_some_and(listed),
        Operator::Exists => label.is_some(),
        Operator::DoesNotExist => label.is_none(),
        Operator::Gt => numbers(requirement, label).is_some_and(|(label, bound)| label > bound),
        Operator::Lt => numbers(requirement, label).is_some_and(|(label, bound)| label < bound),
        Operator::Unknown => false,
    }
}

/// The label and the one value it is compared with, where both are integers.
fn numbers(requirement: &NodeRequirement, label: Option<&str>) -> Option<(i64, i64)> {
    let [bound] = requirement.values.as_slice() else { return None };
    Some((label?.parse().ok()?, bound.parse().ok()?))
}

/// Fields know `In` and `NotIn` with exactly one value; a field that a node does not have is an empty text.
fn matches_field(requirement: &NodeRequirement, node: &NodeView) -> bool {
    let field = if requirement.key == "metadata.name" { node.name.as_str() } else { "" };
    match (requirement.operator, requirement.values.as_slice()) {
        (Operator::In, [value]) => field == value,
        (Operator::NotIn, [value]) => field != value,
        _ => false,
    }
}

/// Whether a toleration covers a taint.
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    toleration.effect.as_ref().is_none_or(|effect| *effect == taint.effect)
        && toleration.key.as_ref().is_none_or(|key| *key == taint.key)
        && (toleration.exists || toleration.value == taint.value)
}
