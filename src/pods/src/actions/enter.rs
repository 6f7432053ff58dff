//! A run, from its data to the provider's word that it was started.

use tracing::{info, warn};
use wasmnode_provider_api::{Artifact, Error, RunId, RunSpec, StartFailure};

use super::Pauses;
use super::exit::timestamp;
use crate::images::PulledImage;
use crate::routes::Happened;
use crate::site::Site;

/// How often a provider that does not answer is asked again whether a run was started, in about half a minute.
const LISTINGS: u32 = 5;

/// Has the code loaded and the run started. An answer may be lost on its way: what the provider lists counts.
pub(super) async fn enter(
    site: &Site,
    name: &str,
    image: &PulledImage,
    attempt: u32,
    mut run: RunSpec,
) -> Result<(), Error> {
    if let Some(fresh) = prepare_code(site, name, image, &run.artifact).await? {
        run.artifact = fresh;
    }
    let (id, container) = (run.id.clone(), run.container.clone());
    match site.context.ports.provider.start(run).await {
        Err(error @ (Error::Exists { .. } | Error::Failed(_))) => {
            if take_over(site, &id, &container, attempt).await {
                Ok(())
            } else {
                Err(error)
            }
        }
        started => started,
    }
}

/// Tells what became of a run that was started, though nobody heard of it; false when it was not.
pub(super) async fn take_over(site: &Site, run: &RunId, container: &str, attempt: u32) -> bool {
    let happened = happened(site, run).await;
    if happened.is_empty() {
        return false;
    }
    info!(%run, container, attempt, "The run was started all the same");
    for what in happened {
        site.tell(container, attempt, what).await;
    }
    true
}

/// What became of a run, as the provider lists it.
async fn happened(site: &Site, run: &RunId) -> Vec<Happened> {
    let mut pauses = Pauses::new();
    let mut listing = site.context.ports.provider.list().await;
    for _ in 0..LISTINGS {
        if listing.is_ok() {
            break;
        }
        pauses.pause().await;
        listing = site.context.ports.provider.list().await;
    }
    let Ok(listing) = listing else { return Vec::new() };
    let started = |at| Happened::Started(timestamp(at, site.now()));
    if let Some(live) = listing.runs.iter().find(|live| live.run == *run) {
        return vec![started(live.started_at)];
    }
    let exit = listing.exits.into_iter().find(|exit| exit.run == *run);
    exit.map(|exit| vec![started(exit.started_at), Happened::Exited(exit)]).unwrap_or_default()
}

/// Has the provider load the code. Code that it cannot load is compiled anew, once.
async fn prepare_code(
    site: &Site,
    name: &str,
    image: &PulledImage,
    artifact: &Artifact,
) -> Result<Option<Artifact>, Error> {
    let provider = &site.context.ports.provider;
    let sandbox = site.sandbox().map_err(|e| Error::Failed(e.to_string()))?;
    match provider.prepare(&sandbox, artifact).await {
        Err(Error::Start(StartFailure::Stale(why))) => {
            warn!(image = name, why, "Compiled code cannot be loaded, compiling anew");
            let fresh = site.context.ports.images.recompile(name, image).await;
            let fresh = fresh.map_err(|e| Error::Failed(e.message))?.artifact.map_err(Error::Failed)?;
            provider.prepare(&sandbox, &fresh).await?;
            Ok(Some(fresh))
        }
        prepared => prepared.map(|()| None),
    }
}
