//! Pods, and what a controller would make pods of, as far as one node without controllers can do it.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::tree::Tree;
use super::{Problem, kinds};

/// Pods that one file may ask for. A node of a cluster has 110 by default.
const MAX_PODS: i32 = 1000;

/// `backoffLimit` where a Job says nothing.
const BACKOFF_LIMIT: i32 = 6;

/// Something to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Workload {
    /// These pods, as they are.
    Pods(Vec<Pod>),
    /// Pods until enough of them succeeded.
    Job(Box<JobPlan>),
}

/// A Job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobPlan {
    pub(crate) name: String,
    /// A pod of it, without a name of its own.
    pub(crate) template: Pod,
    /// Pods that have to succeed.
    pub(crate) completions: usize,
    /// Pods at the same time.
    pub(crate) parallelism: usize,
    /// Failures after which the Job has failed.
    pub(crate) backoff_limit: u32,
}

/// A Pod.
pub(super) fn pod(tree: &Tree, pod: Pod) -> Result<Workload, Problem> {
    let Some(spec) = &pod.spec else { return Err(wrong(tree, &["kind"], "the Pod has no spec")) };
    containers(tree, &["spec"], spec)?;
    Ok(Workload::Pods(vec![pod]))
}

/// A Deployment: its replicas, restarted for ever. How it would roll to another version does not matter here.
pub(super) fn deployment(tree: &Tree, deployment: Deployment) -> Result<Workload, Problem> {
    let DeploymentSpec { paused, replicas, selector, template, .. } = deployment.spec;
    if paused == Some(true) {
        return Err(wrong(tree, &["spec", "paused"], "a paused Deployment runs nothing: remove spec.paused"));
    }
    if selector.match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty()) {
        let what = "spec.selector.matchExpressions is not supported without a cluster";
        return Err(wrong(tree, &["spec", "selector", "matchExpressions"], what));
    }
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    let wanted = selector.match_labels.unwrap_or_default();
    if wanted.is_empty() || wanted.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let what = "spec.selector.matchLabels must name labels of spec.template.metadata.labels";
        return Err(wrong(tree, &["spec", "selector"], what));
    }
    let policy = ["spec", "template", "spec", "restartPolicy"];
    let template = from_template(tree, &deployment.metadata, template)?;
    if !matches!(restart_policy(&template), None | Some("Always")) {
        return Err(wrong(tree, &policy, "the restartPolicy of a Deployment's pods can only be Always"));
    }
    let replicas = count(tree, &["spec", "replicas"], replicas.unwrap_or(1))?;
    let base = deployment.metadata.name.unwrap_or_default();
    Ok(Workload::Pods((0..replicas).map(|n| named(&template, &format!("{base}-{n}"))).collect()))
}

/// A Job.
pub(super) fn job(tree: &Tree, job: Job) -> Result<Workload, Problem> {
    let Some(spec) = job.spec else { return Err(wrong(tree, &["kind"], "the Job has no spec")) };
    refuse(tree, &spec)?;
    let parallelism = spec.parallelism.unwrap_or(1);
    if spec.completions.is_none() && parallelism > 1 {
        let what = "a Job with parallelism needs completions here: work queues need a cluster";
        return Err(wrong(tree, &["spec", "parallelism"], what));
    }
    let template = from_template(tree, &job.metadata, spec.template)?;
    if !matches!(restart_policy(&template), Some("Never" | "OnFailure")) {
        let policy = ["spec", "template", "spec", "restartPolicy"];
        return Err(wrong(tree, &policy, "the restartPolicy of a Job's pods must be Never or OnFailure"));
    }
    let limit = count(tree, &["spec", "backoffLimit"], spec.backoff_limit.unwrap_or(BACKOFF_LIMIT))?;
    Ok(Workload::Job(Box::new(JobPlan {
        name: job.metadata.name.unwrap_or_default(),
        template,
        completions: count(tree, &["spec", "completions"], spec.completions.unwrap_or(1))?,
        parallelism: count(tree, &["spec", "parallelism"], parallelism)?.max(1),
        backoff_limit: u32::try_from(limit).unwrap_or(u32::MAX),
    })))
}

/// What only the Job controller of a cluster does. How long a finished Job is kept does not matter here.
fn refuse(tree: &Tree, spec: &JobSpec) -> Result<(), Problem> {
    let asked = [
        ("activeDeadlineSeconds", spec.active_deadline_seconds.is_some()),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.is_some()),
        ("completionMode", spec.completion_mode.as_deref().is_some_and(|mode| mode != "NonIndexed")),
        ("managedBy", spec.managed_by.is_some()),
        ("manualSelector", spec.manual_selector == Some(true)),
        ("maxFailedIndexes", spec.max_failed_indexes.is_some()),
        ("podFailurePolicy", spec.pod_failure_policy.is_some()),
        ("podReplacementPolicy", spec.pod_replacement_policy.is_some()),
        ("selector", spec.selector.is_some()),
        ("successPolicy", spec.success_policy.is_some()),
        ("suspend", spec.suspend == Some(true)),
    ];
    match asked.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => {
            Err(wrong(tree, &["spec", field], &format!("spec.{field} of a Job is not supported without a cluster")))
        }
        None => Ok(()),
    }
}

fn from_template(tree: &Tree, owner: &ObjectMeta, template: PodTemplateSpec) -> Result<Pod, Problem> {
    let path = ["spec", "template", "spec"];
    let Some(spec) = template.spec else { return Err(wrong(tree, &path, "spec.template has no spec")) };
    containers(tree, &path, &spec)?;
    let meta = template.metadata.unwrap_or_default();
    let metadata = ObjectMeta {
        namespace: owner.namespace.clone(),
        labels: meta.labels,
        annotations: meta.annotations,
        ..ObjectMeta::default()
    };
    Ok(Pod { metadata, spec: Some(spec), status: None })
}

/// `pod` under a name of its own.
pub(crate) fn named(pod: &Pod, name: &str) -> Pod {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..pod.metadata.clone() };
    Pod { metadata, ..pod.clone() }
}

fn restart_policy(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.restart_policy.as_deref()
}

fn containers(tree: &Tree, path: &[&str], spec: &PodSpec) -> Result<(), Problem> {
    let path = [path, &["containers"]].concat();
    let mut names = BTreeSet::new();
    for container in &spec.containers {
        if !kinds::is_label(&container.name) || !names.insert(&container.name) {
            return Err(wrong(
                tree,
                &path,
                &format!("container name {:?} is not a name, or there twice", container.name),
            ));
        }
        if container.image.as_deref().unwrap_or_default().trim().is_empty() {
            return Err(wrong(tree, &path, &format!("container {:?} has no image", container.name)));
        }
    }
    if names.is_empty() { Err(wrong(tree, &path, "the pod has no containers")) } else { Ok(()) }
}

fn count(tree: &Tree, path: &[&str], number: i32) -> Result<usize, Problem> {
    let possible = usize::try_from(number).ok().filter(|_| number <= MAX_PODS);
    possible.ok_or_else(|| wrong(tree, path, &format!("{} must be between 0 and {MAX_PODS}", path.join("."))))
}

fn wrong(tree: &Tree, path: &[&str], problem: &str) -> Problem {
    Problem(tree.line_of(path).or_else(|| tree.line_of(&["kind"])).unwrap_or(1), problem.to_owned())
}
