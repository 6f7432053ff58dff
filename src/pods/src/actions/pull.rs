//! The image of one container.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use wasmnode_core::desired::{Container, Desired, PullPolicy};
use wasmnode_core::env::Environment;
use wasmnode_core::pod::{Event, PullError, PullErrorKind};
use wasmnode_core::{Record, Severity};
use wasmnode_provider_api::Target;

use super::environment;
use crate::credentials::Keyring;
use crate::images::{PullRequest, PulledImage};
use crate::site::{Answer, Site};

/// Images of containers that live are looked up after so long: while an agent starts, other things are urgent.
const HOLD_AFTER: Duration = Duration::from_secs(10);

/// What names the program in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    command: Vec<String>,
    args: Vec<String>,
    path: Option<String>,
}

/// An image, and the words by which its program was chosen.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) image: PulledImage,
    pub(crate) words: Words,
}

// === impl Words ===

impl Words {
    /// With variables replaced, where that can be done.
    pub(super) fn new(container: &Container, environment: &Environment) -> Self {
        let expanded = |texts: &[String]| environment.expand(texts).unwrap_or_else(|_| texts.to_vec());
        Self {
            command: expanded(&container.command),
            args: expanded(&container.args),
            path: environment.get("PATH").map(str::to_owned),
        }
    }
}

/// Gets an image by the container's policy.
pub(crate) async fn pull(site: Arc<Site>, desired: Arc<Desired>, container: String, image: String) {
    let result = ensure(&site, &desired, &container, &image).await;
    site.answer(Answer::Pulled { container, image, result }).await;
}

/// Holds the image that a container was started from by an earlier agent, so that it is not removed from disk. No
/// registry is asked; where the image is gone already, the next start pulls it.
pub(crate) async fn hold(site: Arc<Site>, desired: Arc<Desired>, name: String) {
    tokio::time::sleep(HOLD_AFTER).await;
    let Some(container) = desired.container(&name) else { return };
    let (keyring, target) = (keyring(&site, &desired, &mut Vec::new()).await, target(&site).await);
    let request = PullRequest {
        image: &container.image,
        policy: PullPolicy::Never,
        keyring: &keyring,
        command: &container.command,
        args: &container.args,
        path: None,
        target: target.as_ref(),
    };
    match site.context.ports.images.ensure(request, &|| {}).await {
        Ok(image) => {
            let words = Words { command: container.command.clone(), args: container.args.clone(), path: None };
            site.answer(Answer::Held { container: name, image: Chosen { image, words } }).await;
        }
        Err(error) => debug!(container = name, error = error.message, "The image is not at hand any more"),
    }
}

async fn ensure(site: &Site, desired: &Desired, name: &str, image: &str) -> Result<Chosen, PullError> {
    let Some(container) = desired.container(name) else {
        let message = format!("container {name:?} is not in the pod's spec any more");
        return Err(PullError { kind: PullErrorKind::Failed, message });
    };
    let mut missing = Vec::new();
    let keyring = keyring(site, desired, &mut missing).await;
    if !missing.is_empty() {
        let names = missing.join(", ");
        let message = format!(
            "Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not succeed."
        );
        site.record(desired, Record::pod(Severity::Warning, "FailedToRetrieveImagePullSecret", message));
    }
    let pulling = || {
        let event = Event::Pulling { container: name.to_owned() };
        // Full only while the worker is busy with something else: an event about the registry may be lost.
        let _ = site.answers.try_send(Box::new(Answer::Event(event)));
    };
    let (target, words) = (target(site).await, words(site, desired, container).await);
    let request = PullRequest {
        image,
        policy: container.pull_policy,
        keyring: &keyring,
        command: &words.command,
        args: &words.args,
        path: words.path.as_deref(),
        target: target.as_ref(),
    };
    let image = site.context.ports.images.ensure(request, &pulling).await?;
    Ok(Chosen { image, words })
}

/// What the code is compiled for. Where that is not known the start will say why; till then the node's own engines do.
async fn target(site: &Site) -> Option<Target> {
    let sandbox = site.sandbox().ok()?;
    let target = site.context.ports.provider.target(&sandbox).await;
    target.inspect_err(|error| debug!(%error, "Not known what to compile for")).ok()
}

/// What names the program. Where the environment cannot be had the start will say so, and the image is asked for again
/// before the next one: what the pod says as it is, is enough till then.
async fn words(site: &Site, desired: &Desired, container: &Container) -> Words {
    match environment::resolve(site, desired, container).await {
        Ok(environment) => Words::new(container, &environment),
        Err(_) => Words { command: container.command.clone(), args: container.args.clone(), path: None },
    }
}

/// Credentials of the pod. What cannot be read is `missing`, and the pull proceeds: the image may be public.
async fn keyring<'a>(site: &Site, desired: &'a Desired, missing: &mut Vec<&'a str>) -> Keyring {
    let mut keyring = Keyring::default();
    for name in &desired.image_pull_secrets {
        match site.context.ports.objects.secret(&desired.pod.namespace, name).await {
            Ok(secret) if keyring.add_secret(&secret) => {}
            Ok(_) | Err(_) => missing.push(name.as_str()),
        }
    }
    keyring
}
