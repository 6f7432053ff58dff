//! The provider's events on their way to workers, and what repairs them.

use std::sync::Arc;

use tracing::{Instrument, info_span, warn};
use wasmnode_provider_api::{Event, Exit, Listing, RunId};

use super::Supervisor;
use super::orphans::acknowledge;
use crate::actions::exit::timestamp;
use crate::context::Context;
use crate::routes::{Delivery, Happened};

impl Supervisor {
    /// Before the first complete list nobody knows whose run it is; the listing that is asked for then tells it.
    pub(super) fn route(&self, event: Event) {
        if self.collected.is_some() {
            return;
        }
        match event {
            Event::Started { run, at } => {
                let at = timestamp(at, self.context.now());
                deliver(&self.context, &run, Happened::Started(at));
            }
            Event::Exited(exit) => exited(&self.context, exit),
            Event::FirstRequest { .. } => {}
        }
    }

    /// Compares the provider's listing with the routes, beside the loop: an exit whose event was dropped is delivered
    /// again, a run that no worker knows is ended.
    pub(super) fn reconcile(&mut self) {
        let busy = self.reconciling.as_ref().is_some_and(|task| !task.is_finished());
        if self.collected.is_some() || busy {
            return;
        }
        let context = Arc::clone(&self.context);
        let task = async move {
            match context.ports.provider.list().await {
                Ok(listing) => compare(&context, listing).await,
                Err(error) => warn!(%error, "Could not list what the pod runtime runs"),
            }
            // A group's runner ends some time after its last pod.
            let groups = Arc::clone(&context.groups);
            let _ = tokio::task::spawn_blocking(move || groups.sweep()).await;
        };
        self.reconciling = Some(tokio::spawn(task.instrument(info_span!("reconcile"))));
    }
}

async fn compare(context: &Arc<Context>, listing: Listing) {
    for exit in listing.exits {
        exited(context, exit);
    }
    for listed in listing.runs {
        if context.routes.knows(&listed.run) {
            continue;
        }
        warn!(run = %listed.run, container = listed.container, "A run that belongs to no pod is ended");
        if let Err(error) = context.ports.provider.kill(&listed.run).await {
            warn!(run = %listed.run, %error, "Could not end it");
        }
    }
}

fn exited(context: &Arc<Context>, exit: Exit) {
    let run = exit.run.clone();
    if deliver(context, &run, Happened::Exited(exit)) != Delivery::Unknown {
        return;
    }
    // Its pod is gone, or failed: nobody will ask.
    let context = Arc::clone(context);
    tokio::spawn(async move { acknowledge(&context, &run).await });
}

fn deliver(context: &Context, run: &RunId, what: Happened) -> Delivery {
    let delivery = context.routes.deliver(run, what);
    if delivery == Delivery::Dropped {
        context.metrics.mailbox_drops.add_one();
        warn!(%run, "Mailbox of a worker is full");
    }
    delivery
}
