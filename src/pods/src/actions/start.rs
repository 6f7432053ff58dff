//! A container is started: its environment, its files, its code, its run.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};
use wasmnode_core::desired::{Container, Desired, EnvSource, EnvValue};
use wasmnode_core::env::{self, EnvError, EnvSources, Environment};
use wasmnode_core::pod::{Event, PullError, StartError, StartErrorReason};
use wasmnode_core::{Record, Severity};
use wasmnode_provider_api::{Artifact, Error, Limits, Log, RunSpec, StartFailure, Stdin, Stdio, StopMode, Workload};

use super::{files, mounts};
use crate::images::PulledImage;
use crate::site::{Answer, Site};
use crate::{argv, blocking};

/// Annotation by which a pod chooses how its commands are asked to stop.
const STOP_ANNOTATION: &str = "wasmnode.dev/stop";

/// Its value for programs that end when their input does.
const STOP_BY_STDIN: &str = "stdin";

/// What is started.
pub(crate) struct Start {
    pub(crate) desired: Arc<Desired>,
    pub(crate) container: String,
    pub(crate) attempt: u32,
    pub(crate) image: Option<PulledImage>,
}

/// Starts a run. Success is told by the provider's own event; a failure is told here.
pub(crate) async fn start(site: Arc<Site>, start: Start) {
    let began = tokio::time::Instant::now();
    let (container, attempt) = (start.container.clone(), start.attempt);
    match try_start(&site, start).await {
        Ok(()) => site.context.metrics.start_duration.observe(began.elapsed()),
        Err(error) => {
            info!(container, attempt, reason = error.reason.as_str(), error = error.message, "Container not started");
            if let Ok(run) = site.run(&container, attempt) {
                site.context.routes.close(&run);
            }
            withdraw_link(&site, &container, attempt).await;
            site.answer(Answer::Event(Event::Started { container, attempt, result: Err(error) })).await;
        }
    }
}

async fn try_start(site: &Site, start: Start) -> Result<(), StartError> {
    let Start { desired, container, attempt, image } = start;
    let container = desired
        .container(&container)
        .ok_or_else(|| config_error(format!("container {container:?} is not in the pod's spec any more")))?;
    let image = image.ok_or_else(|| run_error(format!("image {:?} is not at hand any more", container.image)))?;
    let environment = environment(site, &desired, container).await?;
    let mut run = run_spec(site, &desired, container, attempt, &image, environment)?;
    let (layout, owned, mounts) = (site.layout.clone(), container.clone(), run.mounts.clone());
    let root = image.root.clone();
    let prepared = blocking::io(move || files::prepare(&layout, &owned, attempt, &mounts, root.as_deref())).await;
    prepared.map_err(|e| run_error(format!("failed to prepare the container's files: {e}")))?;
    if let Some(fresh) = prepare_code(site, container, &image, &run.artifact).await? {
        run.artifact = fresh;
    }
    site.context.ports.provider.start(run).await.map_err(from_provider)
}

/// No log was written, and none may ever be: nothing would tell later that the link is there.
async fn withdraw_link(site: &Site, container: &str, attempt: u32) {
    let (layout, name) = (site.layout.clone(), container.to_owned());
    if let Err(error) = blocking::io(move || files::withdraw_link(&layout, &name, attempt)).await {
        warn!(container, %error, "Could not remove the link to a log that was not written");
    }
}

/// Reads every object that the environment names; what is missing is judged by the core.
async fn environment(site: &Site, desired: &Desired, container: &Container) -> Result<Environment, StartError> {
    let namespace = desired.pod.namespace.as_str();
    let objects = &site.context.ports.objects;
    let (mut config_maps, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for source in sources(container) {
        match source {
            EnvSource::ConfigMap(name) => {
                config_maps.insert(name.clone(), objects.config_map(namespace, name).await);
            }
            EnvSource::Secret(name) => {
                secrets.insert(name.clone(), objects.secret(namespace, name).await);
            }
        }
    }
    let services = objects.services(&[namespace, "default"]);
    let node = site.context.node();
    let sources =
        EnvSources { config_maps: &config_maps, secrets: &secrets, services: services.as_deref(), facts: node.facts() };
    env::resolve(desired, container, &sources).map_err(|e| env_error(&e))
}

fn sources(container: &Container) -> impl Iterator<Item = &EnvSource> {
    let keys = container.env.iter().filter_map(|var| match &var.value {
        EnvValue::Key { source, .. } => Some(source),
        EnvValue::Literal(_) | EnvValue::Downward(_) => None,
    });
    container.env_from.iter().map(|from| &from.source).chain(keys)
}

fn run_spec(
    site: &Site,
    desired: &Desired,
    container: &Container,
    attempt: u32,
    image: &PulledImage,
    environment: Environment,
) -> Result<RunSpec, StartError> {
    let invalid_id = |e: wasmnode_provider_api::InvalidId| run_error(e.to_string());
    let argv = argv::argv(container, image, |texts| environment.expand(texts)).map_err(|e| env_error(&e))?;
    let stop = stop_mode(desired);
    Ok(RunSpec {
        id: site.run(&container.name, attempt).map_err(invalid_id)?,
        sandbox: site.sandbox().map_err(invalid_id)?,
        container: container.name.clone(),
        artifact: image.artifact.clone().map_err(run_error)?,
        argv,
        env: argv::environment(image, environment.into_vars()),
        cwd: argv::working_dir(container, image),
        mounts: mounts::mounts(&site.layout, desired, container).map_err(config_error)?,
        stdio: stdio(site, container, attempt, stop),
        limits: limits(container),
        workload: Workload::Command { stop },
    })
}

fn stdio(site: &Site, container: &Container, attempt: u32, stop: StopMode) -> Stdio {
    let limits = site.context.config.log_limits;
    let path = site.layout.log_file(&container.name, attempt);
    let stdin = match (container.stdin, stop) {
        (true, _) => Stdin::Open { once: container.stdin_once },
        (false, StopMode::Stdin) => Stdin::Open { once: false },
        (false, StopMode::Cancel) => Stdin::Empty,
    };
    let log = Log { path, max_bytes: limits.max_bytes, max_files: limits.max_files };
    Stdio { log: Some(log), stdin, tty: container.tty }
}

fn stop_mode(desired: &Desired) -> StopMode {
    match desired.annotations.get(STOP_ANNOTATION).map(String::as_str) {
        Some(STOP_BY_STDIN) => StopMode::Stdin,
        Some(_) | None => StopMode::Cancel,
    }
}

/// The event about an annotation whose value means nothing; such a pod is stopped as one without it.
pub(crate) fn unknown_stop(desired: &Desired) -> Option<Record> {
    let value = desired.annotations.get(STOP_ANNOTATION).filter(|value| *value != STOP_BY_STDIN)?;
    let shown: String = value.chars().take(64).collect();
    let message = format!(
        "metadata.annotations[{STOP_ANNOTATION}] is not honoured on this node: {shown:?} is not {STOP_BY_STDIN:?}"
    );
    Some(Record::pod(Severity::Warning, "UnsupportedField", message))
}

/// A limit of 0 is none, as everywhere in Kubernetes.
fn limits(container: &Container) -> Limits {
    let limit = |name: &str| container.limits.get(name).filter(|limit| limit.0 > 0);
    Limits {
        memory_bytes: limit("memory").and_then(|limit| u64::try_from(limit.value()).ok()),
        cpu_millis: limit("cpu").and_then(|limit| u64::try_from(limit.millis()).ok()),
    }
}

/// Has the provider load the code. Code that it cannot load is compiled anew, once.
async fn prepare_code(
    site: &Site,
    container: &Container,
    image: &PulledImage,
    artifact: &Artifact,
) -> Result<Option<Artifact>, StartError> {
    let provider = &site.context.ports.provider;
    match provider.prepare(artifact).await {
        Ok(()) => Ok(None),
        Err(Error::Start(StartFailure::Stale(why))) => {
            warn!(container = container.name, why, "Compiled code cannot be loaded, compiling anew");
            let fresh = site.context.ports.images.recompile(&container.image, image).await;
            let fresh = fresh.map_err(|e: PullError| run_error(e.message))?.artifact.map_err(run_error)?;
            provider.prepare(&fresh).await.map_err(from_provider)?;
            Ok(Some(fresh))
        }
        Err(error) => Err(from_provider(error)),
    }
}

fn from_provider(error: Error) -> StartError {
    match &error {
        Error::Start(StartFailure::Imports(_) | StartFailure::World(_) | StartFailure::Invalid(_))
        | Error::Unsupported(_) => {
            StartError { reason: StartErrorReason::CreateContainerError, message: error.to_string() }
        }
        Error::Start(StartFailure::Stale(_))
        | Error::Full(_)
        | Error::NotFound { .. }
        | Error::Exists { .. }
        | Error::Malformed(_)
        | Error::Failed(_) => run_error(error.to_string()),
    }
}

fn env_error(error: &EnvError) -> StartError {
    config_error(error.to_string())
}

fn config_error(message: String) -> StartError {
    StartError { reason: StartErrorReason::CreateContainerConfigError, message }
}

fn run_error(message: String) -> StartError {
    StartError { reason: StartErrorReason::RunContainerError, message }
}

#[cfg(test)]
mod tests {
    use wasmnode_core::quantity::Milli;

    use super::*;
    use crate::fixtures::{container, desired};

    #[test]
    fn the_annotation_chooses_how_to_stop() {
        for (value, expected) in
            [(None, StopMode::Cancel), (Some("stdin"), StopMode::Stdin), (Some("x"), StopMode::Cancel)]
        {
            let mut desired = desired("p", "u");
            desired.annotations.extend(value.map(|value| (STOP_ANNOTATION.to_owned(), value.to_owned())));
            assert_eq!(stop_mode(&desired), expected);
            assert_eq!(unknown_stop(&desired).is_some(), value == Some("x"));
        }
    }

    #[test]
    fn limits_in_bytes_and_thousandths() {
        let mut container = container("c");
        assert_eq!(limits(&container), Limits::default());
        container.limits.insert("memory".to_owned(), Milli(64 * 1024 * 1024 * 1000));
        container.limits.insert("cpu".to_owned(), Milli(0));
        assert_eq!(limits(&container), Limits { memory_bytes: Some(64 << 20), cpu_millis: None });
        container.limits.insert("cpu".to_owned(), Milli(250));
        assert_eq!(limits(&container).cpu_millis, Some(250));
    }

    #[test]
    fn what_the_provider_says_becomes_a_waiting_reason() {
        use StartErrorReason::{CreateContainerError, RunContainerError};
        let cases = [
            (Error::Start(StartFailure::Imports(vec!["env::x".into()])), CreateContainerError),
            (Error::Start(StartFailure::World("no _start".into())), CreateContainerError),
            (Error::Start(StartFailure::Stale("x".into())), RunContainerError),
            (Error::Full("1000 of 1000".into()), RunContainerError),
            (Error::Failed("x".into()), RunContainerError),
        ];
        for (error, reason) in cases {
            assert_eq!(from_provider(error.clone()).reason, reason, "{error}");
        }
        let error = from_provider(Error::Start(StartFailure::Imports(vec!["env::x".into(), "env::y".into()])));
        assert_eq!(error.message, "imports that this node does not provide: env::x, env::y");
    }
}
