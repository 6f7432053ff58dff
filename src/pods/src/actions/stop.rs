//! Ends of runs that were asked for.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};
use wasmnode_core::pod::{Event, Exit, ExitCause};
use wasmnode_provider_api::{Error, RunId};

use super::Pauses;
use crate::site::{Answer, Site};

/// How a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Stop,
    Kill,
}

/// Asks the provider to end a run; the exit comes as an event of its own. A failure is not repeated here: the
/// lifecycle has a deadline for each stop, and asks for each kill again until there is an exit.
pub(crate) async fn stop(site: Arc<Site>, container: String, attempt: u32, how: How) {
    let Ok(run) = site.run(&container, attempt) else { return };
    let provider = &site.context.ports.provider;
    let result = match how {
        How::Stop => provider.stop(&run).await,
        How::Kill => provider.kill(&run).await,
    };
    match result {
        Ok(()) => {}
        Err(Error::NotFound { .. }) => site.answer(lost(run, container, attempt, site.now())).await,
        Err(error) => warn!(container, attempt, %error, ?how, "Could not end a container"),
    }
}

/// Ends runs that must not be there and waits until they are gone, however often it takes.
pub(crate) async fn put_down(site: &Site, runs: &[RunId]) {
    let provider = &site.context.ports.provider;
    let (mut left, mut pauses) = (runs.to_vec(), Pauses::new());
    while !left.is_empty() {
        for run in &left {
            match provider.kill(run).await {
                Ok(()) | Err(Error::NotFound { .. }) => info!(%run, "A run that its pod does not know is ended"),
                Err(error) => warn!(%run, %error, "Could not end a run that its pod does not know"),
            }
        }
        match provider.list().await {
            Ok(listing) => left.retain(|run| listing.runs.iter().any(|listed| listed.run == *run)),
            Err(error) => warn!(%error, "Could not list what the pod runtime runs"),
        }
        if !left.is_empty() {
            pauses.pause().await;
        }
    }
}

/// The provider does not know a run that was alive: it went with the process that held it.
fn lost(run: RunId, container: String, attempt: u32, now: Timestamp) -> Answer {
    let exit = Exit {
        code: 255,
        cause: ExitCause::Lost,
        message: "the provider does not know the container any more".to_owned(),
        started_at: now,
        finished_at: now,
    };
    Answer::Exited { run, container: container.clone(), event: Event::Exited { container, attempt, exit } }
}
