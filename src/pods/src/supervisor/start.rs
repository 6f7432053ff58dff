//! The first complete list.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use tracing::{info, warn};
use wasmnode_core::ledger::Admission;
use wasmnode_provider_api::Listing;

use super::{Arrival, Supervisor, SupervisorError};
use crate::worker::Begin;
use crate::{blocking, exits, own};

/// What an earlier agent made of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing: it is new.
    New,
    /// It was accepted, and may still hold something.
    Accepted,
    /// It is over.
    Over,
}

impl Supervisor {
    /// Later ones repeat what the single events said already.
    pub(super) async fn synced(&mut self) -> Result<(), SupervisorError> {
        let Some(collected) = self.collected.take() else { return Ok(()) };
        let keep: HashSet<String> = collected.keys().cloned().collect();
        self.clear_provider().await?;
        self.clear_disk(&keep).await?;
        let mut arrivals: Vec<(Before, Arrival)> =
            collected.into_values().map(|arrival| (before(&arrival), arrival)).collect();
        // Those accepted before first; the rest as they were created.
        arrivals.sort_by_key(|(before, arrival)| {
            let meta = &arrival.pod.metadata;
            let created = meta.creation_timestamp.as_ref().map(|time| time.0);
            (Reverse(*before == Before::Accepted), created, meta.uid.clone())
        });
        info!(pods = arrivals.len(), "All pods of the node are known");
        for (before, arrival) in arrivals {
            self.begin(before, arrival);
        }
        Ok(())
    }

    fn begin(&mut self, before: Before, arrival: Arrival) {
        match before {
            Before::New => self.admit(arrival),
            Before::Over => self.spawn(arrival, Begin::Admitted),
            Before::Accepted => match self.ledger.readmit(&arrival.desired) {
                Admission::Admitted | Admission::Refused(_) => self.spawn(arrival, Begin::Admitted),
                Admission::Wait(_) => {
                    self.waiting.insert(arrival.desired.pod.uid.clone(), arrival);
                }
            },
        }
    }

    /// Guests live in this process, so that whatever the provider lists now belongs to no pod that we know: its
    /// sandboxes are removed and its exits forgotten.
    async fn clear_provider(&self) -> Result<(), SupervisorError> {
        let provider = &self.context.ports.provider;
        let Listing { sandboxes, exits, .. } = provider.list().await?;
        for sandbox in &sandboxes {
            provider.remove_sandbox(sandbox).await?;
        }
        for exit in &exits {
            provider.acknowledge(&exit.run).await?;
        }
        Ok(())
    }

    /// What is on disk is read before the first pod is started, and removed beside it.
    async fn clear_disk(&self, keep: &HashSet<String>) -> Result<(), SupervisorError> {
        let layout = Arc::new(self.context.config.layout.clone());
        let listed = Arc::clone(&layout);
        let mut left = blocking::io(move || {
            if let Err(error) = own::remove_dangling_links(&listed) {
                warn!(%error, "Could not remove links to logs that are gone");
            }
            own::on_disk(&listed)
        })
        .await?;
        left.retain(|uid| !keep.contains(uid));
        if left.is_empty() {
            return Ok(());
        }
        tokio::spawn(async move {
            if let Err(error) = blocking::io(move || own::remove_left(&layout, &left)).await {
                warn!(%error, "Could not remove what earlier agents left");
            }
        });
        Ok(())
    }
}

/// startTime is written by the agent that accepted the pod, or refused it, which is a terminal phase.
fn before(arrival: &Arrival) -> Before {
    let status = arrival.pod.status.as_ref();
    if exits::is_terminal(status) {
        return Before::Over;
    }
    match status {
        Some(status) if status.start_time.is_some() => Before::Accepted,
        Some(_) | None => Before::New,
    }
}
