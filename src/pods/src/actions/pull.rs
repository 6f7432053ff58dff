//! The image of one container.

use std::sync::Arc;

use wasmnode_core::desired::Desired;
use wasmnode_core::pod::{Event, PullError, PullErrorKind};
use wasmnode_core::{Record, Severity};

use crate::credentials::Keyring;
use crate::images::{PullRequest, PulledImage};
use crate::site::{Answer, Site};

/// Gets an image by the container's policy.
pub(crate) async fn pull(site: Arc<Site>, desired: Arc<Desired>, container: String, image: String) {
    let result = ensure(&site, &desired, &container, &image).await;
    site.answer(Answer::Pulled { container, image, result }).await;
}

async fn ensure(site: &Site, desired: &Desired, name: &str, image: &str) -> Result<PulledImage, PullError> {
    let Some(container) = desired.container(name) else {
        let message = format!("container {name:?} is not in the pod's spec any more");
        return Err(PullError { kind: PullErrorKind::Failed, message });
    };
    let keyring = keyring(site, desired).await;
    let pulling = || {
        let event = Event::Pulling { container: name.to_owned() };
        // Full only while the worker is busy with something else: an event about the registry may be lost.
        let _ = site.answers.try_send(Box::new(Answer::Event(event)));
    };
    let request = PullRequest {
        image,
        policy: container.pull_policy,
        keyring: &keyring,
        command: &container.command,
        args: &container.args,
    };
    site.context.ports.images.ensure(request, &pulling).await
}

/// Credentials of the pod. What cannot be read is told, and the pull proceeds: the image may be public.
async fn keyring(site: &Site, desired: &Desired) -> Keyring {
    let mut keyring = Keyring::default();
    let mut missing = Vec::new();
    for name in &desired.image_pull_secrets {
        match site.context.ports.objects.secret(&desired.pod.namespace, name).await {
            Ok(secret) if keyring.add_secret(&secret) => {}
            Ok(_) | Err(_) => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        let names = missing.join(", ");
        let message = format!(
            "Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not succeed."
        );
        site.record(desired, Record::pod(Severity::Warning, "FailedToRetrieveImagePullSecret", message));
    }
    keyring
}
