//! Ends of runs that were asked for.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;
use wasmnode_core::pod::{Event, Exit, ExitCause};
use wasmnode_provider_api::{Error, RunId};

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
