//! An instance as the server sees it: who waits for it, and whether it may be asked for more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::oneshot;
use tokio::sync::{Notify, mpsc};
use wasmtime_wasi_http::handler::{Request, Response};

/// A request for an instance.
pub(super) struct Job {
    pub(super) request: Request,
    /// Dropped without an answer when the instance ends before it gave one.
    pub(super) reply: oneshot::Sender<Result<Response, wasmtime::Error>>,
    pub(super) busy: Busy,
}

/// The server's end. The other one is the worker, which has the jobs.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
    changed: Notify,
    /// For those who wait for a seat at any instance.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// `None` after the last job that the instance may have.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    /// Requests that it may still be given.
    left: u32,
    /// Clients that wait for a response of this instance, or for its rest.
    awaited: u32,
    /// Requests that the guest works on.
    busy: u32,
    /// A client was told that the guest is too slow.
    abandoned: bool,
    /// The guest trapped.
    failed: bool,
}

/// A client waits.
#[derive(Debug)]
pub(super) struct Awaited(Arc<Slot>);

/// The guest works.
#[derive(Debug)]
pub(super) struct Busy(Arc<Slot>);

/// A request's place at an instance.
pub(super) struct Seat {
    pub(super) awaited: Awaited,
    pub(super) busy: Busy,
    pub(super) jobs: mpsc::UnboundedSender<Job>,
}

// === impl Slot ===

impl Slot {
    /// For an instance that serves `left` requests in all; tells `freed` when it may take one more.
    pub(super) fn new(left: u32, freed: Arc<Notify>) -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let (to, jobs) = mpsc::unbounded_channel();
        let state = State { jobs: Some(to), left: left.max(1), awaited: 0, busy: 0, abandoned: false, failed: false };
        (Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), freed }), jobs)
    }

    /// A seat, if the instance takes requests and serves fewer than `most`.
    pub(super) fn seat(self: &Arc<Self>, most: u32) -> Option<Seat> {
        let mut state = self.lock();
        if state.load() >= most {
            return None;
        }
        let jobs = state.jobs.clone()?;
        state.left -= 1;
        if state.left == 0 {
            state.jobs = None;
        }
        state.awaited += 1;
        state.busy += 1;
        drop(state);
        Some(Seat { awaited: Awaited(self.clone()), busy: Busy(self.clone()), jobs })
    }

    /// Requests now; `None` if it takes no more.
    pub(super) fn load(&self) -> Option<u32> {
        let state = self.lock();
        state.jobs.as_ref().map(|_open| state.load())
    }

    /// No more requests.
    pub(super) fn retire(&self) {
        self.change(|state| state.jobs = None);
    }

    /// The instance has failed. To be called before it is dropped, since a body that is dropped looks complete.
    pub(super) fn fail(&self) {
        self.change(|state| {
            state.jobs = None;
            state.failed = true;
        });
    }

    /// No more requests, unless there are some now.
    pub(super) fn retire_if_idle(&self) {
        self.change(|state| {
            if state.load() == 0 {
                state.jobs = None;
            }
        });
    }

    /// When the instance must not go on: nobody waits for it, and it was too slow before, or still works after
    /// `patience`.
    pub(super) async fn overdue(&self, patience: Duration) {
        loop {
            let changed = self.changed.notified();
            let (unwanted, abandoned) = {
                let state = self.lock();
                let works = state.busy > 0 || state.jobs.is_none();
                (state.awaited == 0 && works, state.abandoned)
            };
            match (unwanted, abandoned) {
                (true, true) => return,
                (true, false) => {
                    if tokio::time::timeout(patience, changed).await.is_err() {
                        return;
                    }
                }
                (false, _) => changed.await,
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn load(&self) -> u32 {
        self.awaited.max(self.busy)
    }
}

// === impl Awaited ===

impl Awaited {
    /// The guest failed, whatever its response looks like.
    pub(super) fn has_failed(&self) -> bool {
        self.0.lock().failed
    }

    /// The client was told that the guest is too slow: the instance gets no more requests, and ends with its others.
    pub(super) fn give_up(self) {
        self.0.change(|state| {
            state.jobs = None;
            state.abandoned = true;
        });
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.change(|state| state.awaited -= 1);
        self.0.freed.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|state| state.busy -= 1);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    async fn ends_within(slot: &Slot, time: Duration) -> bool {
        tokio::time::timeout(time, slot.overdue(PATIENCE)).await.is_ok()
    }

    #[test]
    fn serves_as_many_as_it_may_at_a_time_and_in_all() {
        let (slot, _jobs) = Slot::new(3, Arc::default());
        let first = slot.seat(2).unwrap();
        let second = slot.seat(2).unwrap();
        assert!(slot.seat(2).is_none(), "two at a time");
        assert_eq!(slot.load(), Some(2));
        drop(first);
        let _third = slot.seat(2).unwrap();
        drop(second);
        assert!(slot.seat(2).is_none(), "three in all");
        assert_eq!(slot.load(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_keeps_the_instance() {
        let (slot, _jobs) = Slot::new(1, Arc::default());
        let Seat { awaited, busy, .. } = slot.seat(1).unwrap();
        drop(busy);
        assert!(!ends_within(&slot, 100 * PATIENCE).await);
        drop(awaited);
        assert!(ends_within(&slot, 2 * PATIENCE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_is_too_slow_ends_when_the_last_client_is_answered() {
        let (slot, _jobs) = Slot::new(9, Arc::default());
        let slow = slot.seat(2).unwrap();
        let other = slot.seat(2).unwrap();
        let _busy = slow.busy;
        slow.awaited.give_up();
        assert!(slot.seat(9).is_none());
        assert!(!ends_within(&slot, 100 * PATIENCE).await);
        drop(other);
        assert!(ends_within(&slot, Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_instance_is_kept_until_it_is_retired() {
        let (slot, mut jobs) = Slot::new(9, Arc::default());
        let seat = slot.seat(1).unwrap();
        slot.retire_if_idle();
        assert!(slot.load().is_some());
        drop(seat);
        assert!(!ends_within(&slot, 100 * PATIENCE).await);
        slot.retire_if_idle();
        assert!(jobs.recv().await.is_none());
    }
}
