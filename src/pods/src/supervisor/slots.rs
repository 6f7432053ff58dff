//! Workers: started, told what is wanted, and asked to end.

use std::sync::Arc;

use k8s_openapi::api::core::v1;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};
use wasmnode_core::PodRef;
use wasmnode_core::desired::parse;
use wasmnode_core::ledger::Admission;
use wasmnode_core::pod::PodEnd;

use super::{Arrival, Supervisor};
use crate::routes::RunEvent;
use crate::site;
use crate::survivors::Survivors;
use crate::worker::{Begin, Entrance, Wish};

/// Run events that wait for a worker, for each container and beyond that: a container has one run at a time, which
/// starts and ends once, and the next one is not started before the worker has seen that.
const EVENTS_PER_CONTAINER: usize = 2;
const SPARE_EVENTS: usize = 8;

/// A worker as the supervisor sees it.
pub(super) struct Slot {
    wishes: watch::Sender<Wish>,
    ends: watch::Sender<Option<PodEnd>>,
    pub(super) mailbox: mpsc::Sender<Box<RunEvent>>,
    /// Its worker took the place of one that panicked.
    pub(super) is_failed: bool,
    /// None of its containers can run any more.
    pub(super) is_over: bool,
    /// When the node wants its end.
    pub(super) ends_by: Option<Instant>,
}

// === impl Slot ===

impl Slot {
    pub(super) fn pod(&self) -> PodRef {
        self.wishes.borrow().desired.pod.clone()
    }

    /// Whether someone asked for the pod's end.
    pub(super) fn is_ending(&self) -> bool {
        let wish = self.wishes.borrow();
        wish.gone || wish.desired.deletion.is_some()
    }

    /// Whether the API server said already that it has the pod no more.
    pub(super) fn is_gone(&self) -> bool {
        self.wishes.borrow().gone
    }

    pub(super) fn is_critical(&self) -> bool {
        self.wishes.borrow().desired.is_critical()
    }

    /// The node ends it.
    pub(super) fn end(&mut self, by: Instant, end: PodEnd) {
        self.ends_by = Some(by);
        self.ends.send_replace(Some(end));
    }

    pub(super) fn into_arrival(self) -> Arrival {
        let Wish { pod, desired, .. } = self.wishes.borrow().clone();
        Arrival { pod, desired, survivors: Survivors::default() }
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(super) fn arrived(&mut self, pod: Arc<v1::Pod>) {
        let desired = Arc::new(parse(&pod));
        let uid = desired.pod.uid.clone();
        if self.released.contains(&uid) {
            // An echo of the pod's last status.
            return;
        }
        self.context.board.set_pod(&uid, Arc::clone(&pod));
        if let Some(slot) = self.slots.get(&uid) {
            slot.wishes.send_replace(Wish { pod, desired, gone: false });
            return;
        }
        let arrival = Arrival { pod, desired, survivors: Survivors::default() };
        match &mut self.collected {
            Some(collected) => {
                collected.insert(uid, arrival);
            }
            None => self.admit(arrival),
        }
    }

    pub(super) fn gone(&mut self, pod: &PodRef) {
        let uid = &pod.uid;
        if let Some(slot) = self.slots.get(uid) {
            slot.wishes.send_modify(|wish| wish.gone = true);
            return;
        }
        self.released.remove(uid);
        let collected = self.collected.as_mut().and_then(|collected| collected.remove(uid));
        if collected.or_else(|| self.waiting.remove(uid)).is_some() {
            self.context.board.remove(uid);
            self.context.ports.statuses.forget(pod);
        }
    }

    /// Starts the pod's worker as the ledger decides.
    pub(super) fn admit(&mut self, arrival: Arrival) {
        let node = self.context.node();
        match self.ledger.admit(&arrival.desired, &node.view) {
            Admission::Admitted => self.spawn(arrival, Begin::Admitted),
            Admission::Refused(refusal) => self.spawn(arrival, Begin::Refused(refusal)),
            Admission::Wait(other) => {
                info!(pod = %arrival.desired.pod, %other, "Pod waits for another one of its name");
                self.waiting.insert(arrival.desired.pod.uid.clone(), arrival);
            }
        }
    }

    /// Asks again for every pod that waited: a name may be free.
    pub(super) fn admit_waiting(&mut self) {
        for (_, arrival) in std::mem::take(&mut self.waiting) {
            self.admit(arrival);
        }
    }

    pub(super) fn spawn(&mut self, arrival: Arrival, begin: Begin) {
        let Arrival { pod, desired, survivors } = arrival;
        let PodRef { namespace, name, uid } = desired.pod.clone();
        let capacity = desired.containers.len() * EVENTS_PER_CONTAINER + SPARE_EVENTS;
        let (mailbox, runs) = mpsc::channel(capacity);
        // Before any event is routed, and before the listing is looked at again.
        for (container, attempt) in survivors.runs() {
            if let Ok(run) = site::run(&desired.pod, container, attempt) {
                self.context.routes.open(run, mailbox.clone(), container, attempt);
            }
        }
        let is_failed = matches!(begin, Begin::Failed(_));
        let (wishes, wish) = watch::channel(Wish { pod, desired, gone: false });
        let (ends, ended) = watch::channel(None);
        let entrance = Entrance {
            context: Arc::clone(&self.context),
            wishes: wish,
            ends: ended,
            mailbox: mailbox.clone(),
            runs,
            notes: self.notes.0.clone(),
            begin,
            survivors,
        };
        let span = info_span!("pod", ns = namespace, name, uid);
        let task = self.workers.spawn(Box::pin(entrance.run().instrument(span)));
        self.tasks.insert(task.id(), uid.clone());
        self.slots.insert(uid, Slot { wishes, ends, mailbox, is_failed, is_over: false, ends_by: None });
        self.context.metrics.workers.set(self.slots.len());
    }
}
