//! A file of Kubernetes objects, read as strictly as an API server would.

mod error;
mod kinds;
mod strict;
mod tree;
mod workload;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use error::ManifestError;
pub(crate) use kinds::is_name;
pub(crate) use workload::{JobPlan, Workload, named};

use crate::exit::one_line;
use tree::Tree;

/// The largest file that is read, bytes: more than an API server would take for all of its objects together.
const MAX_BYTES: u64 = 4 << 20;

/// The namespace of objects that name none.
pub(crate) const NAMESPACE: &str = "default";

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// What is run, in the order of the file.
    pub(crate) workloads: Vec<Workload>,
    pub(crate) config_maps: Vec<ConfigMap>,
    pub(crate) secrets: Vec<Secret>,
}

/// A problem at a line of the file.
pub(super) struct Problem(u64, String);

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// The first thing in it that an API server would refuse, or that this program cannot do.
pub(crate) fn load(path: &Path) -> Result<Manifest, ManifestError> {
    let text = read(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
    let manifest =
        parse(&text).map_err(|Problem(line, problem)| ManifestError::Wrong { path: path.to_owned(), line, problem })?;
    if manifest.workloads.is_empty() {
        return Err(ManifestError::Empty { path: path.to_owned() });
    }
    Ok(manifest)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut take = |from: &mut dyn Read| from.take(MAX_BYTES + 1).read_to_string(&mut text);
    let size = if path == Path::new("-") {
        take(&mut std::io::stdin().lock())
    } else {
        take(&mut std::fs::File::open(path)?)
    }?;
    if size as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Manifest, Problem> {
    let mut manifest = Manifest::default();
    let mut seen = BTreeSet::new();
    for document in documents(text) {
        let tree: Tree = serde_saphyr::from_str(&document).map_err(|error| yaml(&error))?;
        if tree == Tree::Null {
            continue;
        }
        add(&mut manifest, &mut seen, &document, &tree)?;
    }
    Ok(manifest)
}

/// Documents, each with as many empty lines before it as it has lines before it in the file: then what the parser
/// says about lines is right.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (n, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if let Some(rest) = rest {
            // A comment or a value may follow the marker.
            documents.push("\n".repeat(n) + rest + "\n");
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents.retain(|document| document.lines().any(|line| !line.trim().is_empty()));
    documents
}

/// A document in its type, without anything lost on the way.
fn typed<T: DeserializeOwned + Serialize>(document: &str, tree: &Tree) -> Result<T, Problem> {
    let object: T = serde_saphyr::from_str(document).map_err(|error| yaml(&error))?;
    let first = tree.line_of(&["kind"]).unwrap_or(1);
    let back = serde_json::to_value(&object).map_err(|error| Problem(first, error.to_string()))?;
    strict::compare("", first, tree, &back).map_err(|flaw| Problem(flaw.line, flaw.problem))?;
    Ok(object)
}

fn yaml(error: &serde_saphyr::Error) -> Problem {
    let bare = error.without_snippet();
    let line = bare.location().map_or(1, |location| location.line());
    let problem = one_line(&bare.to_string());
    // The parser puts the place last; it is said first here.
    Problem(line, problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem).to_owned())
}

fn add(
    manifest: &mut Manifest,
    seen: &mut BTreeSet<(String, String)>,
    document: &str,
    tree: &Tree,
) -> Result<(), Problem> {
    let kind = kinds::of(tree)?;
    let mut named = |meta: &mut ObjectMeta| kinds::name(tree, kind, meta, seen);
    match kind {
        "Pod" => {
            let mut pod: Pod = typed(document, tree)?;
            named(&mut pod.metadata)?;
            manifest.workloads.push(workload::pod(tree, pod)?);
        }
        "Deployment" => {
            let mut deployment: Deployment = typed(document, tree)?;
            named(&mut deployment.metadata)?;
            manifest.workloads.push(workload::deployment(tree, deployment)?);
        }
        "Job" => {
            let mut job: Job = typed(document, tree)?;
            named(&mut job.metadata)?;
            manifest.workloads.push(workload::job(tree, job)?);
        }
        "ConfigMap" => {
            let mut object: ConfigMap = typed(document, tree)?;
            named(&mut object.metadata)?;
            manifest.config_maps.push(object);
        }
        _ => {
            let mut object: Secret = typed(document, tree)?;
            named(&mut object.metadata)?;
            manifest.secrets.push(kinds::with_string_data(object));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
