//! The downward API: values of the pod's own fields and resources, for variables and files (kubelet contract section
//! 4.14).

use std::collections::BTreeMap;

use crate::desired::{Container, Desired, DownwardValue, Resource, ResourceKind};
use crate::quantity::Milli;

/// What the pod itself does not know.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Addresses of the node, the primary family first.
    pub host_ips: &'a [String],
    /// Addresses of the pod, the primary family first.
    pub pod_ips: &'a [String],
    /// The node's allocatable resources: what an unset limit means.
    pub allocatable: &'a BTreeMap<String, Milli>,
}

/// Why a reference has no value. The texts end in `CreateContainerConfigError` and `FailedMount`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownwardError {
    /// Not a field that can be referred to.
    #[error("unsupported fieldPath: {0}")]
    UnsupportedField(String),
    /// The address is not known (yet).
    #[error("failed to get {0}: the address is not known yet")]
    NoAddress(&'static str),
    /// A resource of a container that the pod does not have; empty: the reference names none, and must.
    #[error("container {0} not found")]
    NoContainer(String),
}

/// The value of a reference. `own`: the container whose environment it is; none for volumes, which name one.
///
/// # Errors
/// When the reference leads nowhere. A label or annotation that is not set is an empty text, as the kubelet has it.
pub fn evaluate(
    desired: &Desired,
    own: Option<&Container>,
    value: &DownwardValue,
    facts: &Facts<'_>,
) -> Result<String, DownwardError> {
    match value {
        DownwardValue::Field(path) => field(desired, path, facts),
        DownwardValue::Resource(reference) => resource(desired, own, reference, facts),
    }
}

fn field(desired: &Desired, path: &str, facts: &Facts<'_>) -> Result<String, DownwardError> {
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &desired.labels,
            "metadata.annotations" => &desired.annotations,
            _ => return Err(DownwardError::UnsupportedField(path.to_owned())),
        };
        return Ok(map.get(key).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => desired.pod.name.clone(),
        "metadata.namespace" => desired.pod.namespace.clone(),
        "metadata.uid" => desired.pod.uid.clone(),
        "metadata.labels" => lines(&desired.labels),
        "metadata.annotations" => lines(&desired.annotations),
        "spec.nodeName" => desired.node_name.clone(),
        "spec.serviceAccountName" => desired.service_account.clone(),
        "status.hostIP" => first(facts.host_ips, "host IP")?,
        "status.hostIPs" => all(facts.host_ips, "host IPs")?,
        "status.podIP" => first(facts.pod_ips, "pod IP")?,
        "status.podIPs" => all(facts.pod_ips, "pod IPs")?,
        _ => return Err(DownwardError::UnsupportedField(path.to_owned())),
    })
}

/// `map['key']`; the key may hold anything, brackets too.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

fn first(addresses: &[String], what: &'static str) -> Result<String, DownwardError> {
    addresses.first().cloned().ok_or(DownwardError::NoAddress(what))
}

fn all(addresses: &[String], what: &'static str) -> Result<String, DownwardError> {
    if addresses.is_empty() { Err(DownwardError::NoAddress(what)) } else { Ok(addresses.join(",")) }
}

fn resource(
    desired: &Desired,
    own: Option<&Container>,
    reference: &Resource,
    facts: &Facts<'_>,
) -> Result<String, DownwardError> {
    let container = match &reference.container {
        Some(name) => desired.container(name).ok_or_else(|| DownwardError::NoContainer(name.clone()))?,
        None => own.ok_or_else(|| DownwardError::NoContainer(String::new()))?,
    };
    let amount = match reference.kind {
        ResourceKind::Limit => limit(container, &reference.name, facts),
        ResourceKind::Request => container.requests.get(&reference.name).copied().unwrap_or_default(),
    };
    Ok(divide(&reference.name, amount, reference.divisor).to_string())
}

/// A limit of 0 is none. Huge pages are never overcommitted, so that no limit means none of them.
fn limit(container: &Container, name: &str, facts: &Facts<'_>) -> Milli {
    let own = container.limits.get(name).copied().unwrap_or_default();
    if own.0 == 0 && !name.starts_with("hugepages-") {
        return facts.allocatable.get(name).copied().unwrap_or_default();
    }
    own
}

/// Rounded up; CPU in thousandths, everything else in whole units.
fn divide(name: &str, amount: Milli, divisor: Milli) -> i64 {
    let (amount, divisor) = match name {
        "cpu" => (amount.millis(), divisor.millis()),
        _ => (amount.value(), divisor.value()),
    };
    let divisor = divisor.max(1);
    amount.div_euclid(divisor) + i64::from(amount.rem_euclid(divisor) != 0)
}

/// A whole map: `key="value"` lines sorted by key, without a line feed at the end.
fn lines(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// As Go's `%q` prints a text.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|character| push_escaped(&mut out, character));
    out.push('"');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if is_printable(character) => out.push(character),
        '\0'..='\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(character))),
        '\u{80}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(character))),
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space. The standard library
/// knows it, but shows it only in how it escapes; behind another character, so that marks are not escaped for
/// standing alone.
fn is_printable(character: char) -> bool {
    let text = String::from_iter(['a', character]);
    matches!(character, '\'') || text.escape_debug().skip(1).eq([character])
}

#[cfg(test)]
mod tests;
