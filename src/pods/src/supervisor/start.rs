//! The first complete list.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1;
use tracing::{info, warn};
use wasmnode_core::desired::Desired;
use wasmnode_core::ledger::Admission;

use super::{Arrival, Supervisor, SupervisorError};
use crate::history::History;
use crate::own::Left;
use crate::survivors::Remains;
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
        let Some(mut collected) = self.collected.take() else { return Ok(()) };
        let mut remains = Remains::from(self.context.ports.provider.list().await?);
        let mut left = self.read_disk().await?;
        left.retain(|left| !collected.contains_key(&left.pod().uid));
        self.claim(&mut collected, &mut remains).await;
        let mut arrivals: Vec<(Before, Arrival)> =
            collected.into_values().map(|arrival| (before(&arrival), arrival)).collect();
        arrivals.sort_by_key(|(_, arrival)| {
            let meta = &arrival.pod.metadata;
            let created = meta.creation_timestamp.as_ref().map(|time| time.0);
            (created, meta.uid.clone())
        });
        let adopted = arrivals.iter().filter(|(_, arrival)| !arrival.survivors.live.is_empty()).count();
        info!(pods = arrivals.len(), adopted, "All pods of the node are known");
        let (new, known): (Vec<_>, Vec<_>) = arrivals.into_iter().partition(|(before, _)| *before == Before::New);
        for (before, arrival) in known {
            self.begin(before, arrival);
        }
        // Names of those that still run are not free for new ones.
        self.end_orphans(remains, left);
        for (before, arrival) in new {
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

    /// What is on disk, read before the first pod is started.
    async fn read_disk(&self) -> Result<Vec<Left>, SupervisorError> {
        let groups = Arc::clone(&self.context.groups);
        let left = blocking::io(move || {
            if let Err(error) = own::remove_dangling_links(groups.layout()) {
                warn!(%error, "Could not remove links to logs that are gone");
            }
            own::left(&groups)
        });
        Ok(left.await?)
    }

    /// Finds what of these pods outlived the agent before. Pods of which nothing is listed are not looked at.
    async fn claim(&self, arrivals: &mut BTreeMap<String, Arrival>, remains: &mut Remains) {
        let asked: Vec<(Arc<v1::Pod>, Arc<Desired>)> = arrivals
            .values()
            .filter(|arrival| remains.may_have(&arrival.desired.pod))
            .map(|arrival| (Arc::clone(&arrival.pod), Arc::clone(&arrival.desired)))
            .collect();
        let groups = Arc::clone(&self.context.groups);
        let history = move |(pod, desired): (Arc<v1::Pod>, Arc<Desired>)| {
            (History::read(&groups, &desired, pod.status.as_ref()), desired)
        };
        let read = move || Ok(asked.into_iter().map(history).collect());
        let histories: Vec<(History, Arc<Desired>)> = blocking::io(read).await.unwrap_or_default();
        for (history, desired) in histories {
            if let Some(arrival) = arrivals.get_mut(&desired.pod.uid) {
                arrival.survivors = remains.claim(&desired, &history.highest(arrival.pod.status.as_ref()));
            }
        }
    }
}

/// startTime is written by the agent that accepted the pod, or refused it, which is a terminal phase. Of a pod that
/// has a sandbox that may not have reached the API server.
fn before(arrival: &Arrival) -> Before {
    let status = arrival.pod.status.as_ref();
    if exits::is_terminal(status) {
        return Before::Over;
    }
    match status {
        Some(status) if status.start_time.is_some() => Before::Accepted,
        _ if !arrival.survivors.is_empty() => Before::Accepted,
        Some(_) | None => Before::New,
    }
}
