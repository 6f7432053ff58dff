//! Which worker a run belongs to: provider events carry run ids, which tell nothing about the pod.
//!
//! A route is opened before its run is started, so that no event can arrive before it, and closed when the exit was
//! acted upon. Locked for a look-up only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Exit, RunId};

/// All routes of the node; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Routes(Arc<Mutex<HashMap<RunId, Route>>>);

struct Route {
    mailbox: mpsc::Sender<Box<RunEvent>>,
    container: String,
    attempt: u32,
    ended: CancellationToken,
}

/// A provider's event with the container that it is about.
#[derive(Debug)]
pub(crate) struct RunEvent {
    pub(crate) container: String,
    pub(crate) attempt: u32,
    pub(crate) what: Happened,
}

/// What happened to a run.
#[derive(Debug)]
pub(crate) enum Happened {
    Started(Timestamp),
    Exited(Exit),
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Delivered,
    /// No worker knows the run.
    Unknown,
    /// The worker's mailbox is full: the next listing brings exits again.
    Dropped,
}

impl Routes {
    /// Before a run is started.
    pub(crate) fn open(&self, run: RunId, mailbox: mpsc::Sender<Box<RunEvent>>, container: &str, attempt: u32) {
        let route = Route { mailbox, container: container.to_owned(), attempt, ended: CancellationToken::new() };
        self.lock().insert(run, route);
    }

    /// After a run ended whose exit is not done with: it may be told again.
    pub(crate) fn end(&self, run: &RunId) {
        if let Some(route) = self.lock().get(run) {
            route.ended.cancel();
        }
    }

    /// After a run ended, or when it was not started after all.
    pub(crate) fn close(&self, run: &RunId) {
        if let Some(route) = self.lock().remove(run) {
            route.ended.cancel();
        }
    }

    /// Closes every route of one worker, when it ends.
    pub(crate) fn close_all(&self, mailbox: &mpsc::Sender<Box<RunEvent>>) {
        self.lock().retain(|_, route| {
            let other = !route.mailbox.same_channel(mailbox);
            if !other {
                route.ended.cancel();
            }
            other
        });
    }

    /// Cancelled when the run has ended and its log is complete; at once for a run that is not alive.
    pub(crate) fn ended(&self, run: &RunId) -> CancellationToken {
        self.lock().get(run).map_or_else(cancelled, |route| route.ended.clone())
    }

    pub(crate) fn knows(&self, run: &RunId) -> bool {
        self.lock().contains_key(run)
    }

    pub(crate) fn deliver(&self, run: &RunId, what: Happened) -> Delivery {
        let routes = self.lock();
        let Some(route) = routes.get(run) else { return Delivery::Unknown };
        let event = RunEvent { container: route.container.clone(), attempt: route.attempt, what };
        match route.mailbox.try_send(Box::new(event)) {
            Ok(()) => Delivery::Delivered,
            Err(TrySendError::Full(_)) => Delivery::Dropped,
            Err(TrySendError::Closed(_)) => Delivery::Unknown,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Route>> {
        // A panic while it is held leaves the map as it was: each use is one call of the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}
