//! A container is started: its environment, its files, its code, its run.

use std::sync::Arc;

use tracing::{info, warn};
use wasmnode_core::desired::{Container, Desired};
use wasmnode_core::env::{EnvError, Environment};
use wasmnode_core::pod::{Event, StartError, StartErrorReason};
use wasmnode_core::{Record, Severity};
use wasmnode_provider_api::{Error, Limits, Log, RunSpec, StartFailure, Stdin, Stdio, StopMode, Workload};

use super::enter::{enter, take_over};
use super::pull::{Chosen, Words};
use super::{environment, files, mounts, sandbox};
use crate::images::PulledImage;
use crate::layout::PodLayout;
use crate::site::{Answer, Site};
use crate::{argv, blocking};

/// Annotation by which a pod chooses how its commands are asked to stop.
const STOP_ANNOTATION: &str = "wasmnode.dev/stop";

/// Its value for programs that end when their input does.
const STOP_BY_STDIN: &str = "stdin";

/// How the provider names what a pod's containers share.
const SANDBOX: &str = "sandbox";

/// How texts begin about a program that cannot be executed.
const EXEC: &str = "exec: ";

/// Another program of the image may be meant than the one at hand.
const CHANGED: &str =
    "the environment that the container's command is made of changed while its image was pulled; it is pulled again";

/// What is started.
pub(crate) struct Start {
    pub(crate) desired: Arc<Desired>,
    pub(crate) container: String,
    pub(crate) attempt: u32,
    /// A start with that number failed before.
    pub(crate) again: bool,
    pub(crate) image: Option<Chosen>,
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
    let Start { desired, container, attempt, again, image } = start;
    let container = desired
        .container(&container)
        .ok_or_else(|| config_error(format!("container {container:?} is not in the pod's spec any more")))?;
    let chosen = image.ok_or_else(|| run_error(format!("image {:?} is not at hand any more", container.image)))?;
    let Chosen { image, words } = chosen;
    let environment = environment::resolve(site, &desired, container).await.map_err(|e| env_error(&e))?;
    if words != Words::new(container, &environment) {
        // The next start asks for the image by the words that are known now.
        return Err(config_error(CHANGED.to_owned()));
    }
    let run = run_spec(site, &desired, container, attempt, &image, environment)?;
    // It may run all the same, and then its files are not to be touched.
    if again && take_over(site, &run.id, &container.name, attempt).await {
        return Ok(());
    }
    let (layout, owned, mounts) = (place(site)?, container.clone(), run.mounts.clone());
    let root = image.root.clone();
    let prepared = blocking::io(move || files::prepare(&layout, &owned, attempt, &mounts, root.as_deref())).await;
    prepared.map_err(|e| run_error(format!("failed to prepare the container's files: {e}")))?;
    match enter(site, &container.image, &image, attempt, run.clone()).await {
        Err(Error::NotFound { what, .. }) if what == SANDBOX => {
            warn!(container = container.name, "The sandbox is gone, making it anew");
            sandbox::create(site, &desired).await.map_err(run_error)?;
            enter(site, &container.image, &image, attempt, run).await.map_err(from_provider)
        }
        entered => entered.map_err(from_provider),
    }
}

/// No log was written, and none may ever be: nothing would tell later that the link is there.
async fn withdraw_link(site: &Site, container: &str, attempt: u32) {
    let Ok(layout) = site.layout() else { return };
    let name = container.to_owned();
    if let Err(error) = blocking::io(move || files::withdraw_link(&layout, &name, attempt)).await {
        warn!(container, %error, "Could not remove the link to a log that was not written");
    }
}

fn place(site: &Site) -> Result<PodLayout, StartError> {
    site.layout().map_err(|e| run_error(e.to_string()))
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
    let (stop, layout) = (stop_mode(desired), place(site)?);
    Ok(RunSpec {
        id: site.run(&container.name, attempt).map_err(invalid_id)?,
        sandbox: site.sandbox().map_err(invalid_id)?,
        container: container.name.clone(),
        artifact: image.artifact.clone().map_err(no_program)?,
        argv,
        env: argv::environment(image, environment.into_vars()),
        cwd: argv::working_dir(container, image),
        mounts: mounts::mounts(&layout, desired, container).map_err(config_error)?,
        stdio: stdio(site, &layout, container, attempt, stop),
        limits: limits(container),
        workload: Workload::Command { stop },
    })
}

fn stdio(site: &Site, layout: &PodLayout, container: &Container, attempt: u32, stop: StopMode) -> Stdio {
    let limits = site.context.config.log_limits;
    let path = layout.log_file(&container.name, attempt);
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

/// The image has no such program, in the words of whom would have executed it; or it is not known what to execute.
fn no_program(message: String) -> StartError {
    let reason =
        if message.starts_with(EXEC) { StartErrorReason::StartError } else { StartErrorReason::CreateContainerError };
    StartError { reason, message }
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
