//! Kinds and names of objects.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::tree::Tree;
use super::{NAMESPACE, Problem};

const KINDS: [(&str, &str); 5] =
    [("v1", "Pod"), ("v1", "ConfigMap"), ("v1", "Secret"), ("apps/v1", "Deployment"), ("batch/v1", "Job")];

/// DNS names and their labels (RFC 1123), as the API server has them.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The kind of a document, if it is one that can be run or used here.
pub(super) fn of(tree: &Tree) -> Result<&'static str, Problem> {
    let line = tree.line_of(&["kind"]).or_else(|| first_line(tree)).unwrap_or(1);
    let text = |key| tree.text(&[key]).ok_or_else(|| Problem(line, format!("the document has no {key}")));
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    let known = KINDS.iter().find(|known| **known == (version, kind));
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let what =
            format!("{kind} of {version} needs a cluster: here are Pods, Deployments, Jobs, ConfigMaps and Secrets");
        Problem(line, what)
    })
}

fn first_line(tree: &Tree) -> Option<u64> {
    match tree {
        Tree::Map(entries) => entries.first().map(|entry| entry.line),
        Tree::List(items) => items.first().map(|(line, _)| *line),
        _ => None,
    }
}

/// Checks the name and fills in the namespace.
pub(super) fn name(
    tree: &Tree,
    kind: &str,
    meta: &mut ObjectMeta,
    seen: &mut BTreeSet<(String, String)>,
) -> Result<(), Problem> {
    let line = tree.line_of(&["metadata", "name"]).or_else(|| tree.line_of(&["kind"])).unwrap_or(1);
    let name = meta.name.clone().unwrap_or_default();
    if !is_name(&name) {
        return Err(Problem(
            line,
            format!("metadata.name {name:?} is not a name of lower-case letters, digits, '-' and '.'"),
        ));
    }
    let namespace = meta.namespace.get_or_insert_with(|| NAMESPACE.to_owned());
    if !is_label(namespace) {
        return Err(Problem(line, format!("metadata.namespace {namespace:?} is not a name")));
    }
    if !seen.insert((kind.to_owned(), format!("{namespace}/{name}"))) {
        return Err(Problem(line, format!("{kind} {name:?} is in the file twice")));
    }
    Ok(())
}

/// The API server moves `stringData` into `data`.
pub(super) fn with_string_data(mut secret: Secret) -> Secret {
    let texts = secret.string_data.take().into_iter().flatten();
    let texts = texts.map(|(key, text)| (key, ByteString(text.into_bytes())));
    secret.data.get_or_insert_default().extend(texts);
    secret
}

/// A DNS subdomain.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('.').all(is_part)
}

/// A DNS label.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= MAX_LABEL && is_part(name)
}

fn is_part(part: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = part.bytes().next().is_some_and(edge) && part.bytes().last().is_some_and(edge);
    edges && part.bytes().all(|b| edge(b) || b == b'-')
}
