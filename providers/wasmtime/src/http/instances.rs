//! Which instance serves a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::slot::{Job, Seat, Slot};

/// How far an instance is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// Requests in its life.
    pub(crate) in_all: u32,
    /// Requests at the same time.
    pub(crate) at_a_time: u32,
}

/// The instances of one server that may be given requests.
#[derive(Debug)]
pub(super) struct Instances {
    sharing: Sharing,
    /// Instances that there are before one gets a second request at the same time: each computes on one thread.
    spread: usize,
    /// All that exist, with those that serve their last requests.
    room: Arc<Semaphore>,
    freed: Arc<Notify>,
    open: Mutex<Vec<Arc<Slot>>>,
}

/// A new instance to be made.
pub(super) struct Vacancy {
    pub(super) slot: Arc<Slot>,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
    /// Held until the instance is gone.
    pub(super) room: OwnedSemaphorePermit,
}

impl Instances {
    pub(super) fn new(sharing: Sharing, threads: usize, most: u32) -> Self {
        let room = Arc::new(Semaphore::new(most.max(1) as usize));
        Self { sharing, spread: threads.max(1), room, freed: Arc::default(), open: Mutex::default() }
    }

    /// A seat at an instance that exists, the least loaded one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut open = self.lock();
        open.retain(|slot| slot.load().is_some());
        let (load, slot) = open.iter().filter_map(|slot| Some((slot.load()?, slot))).min_by_key(|(load, _)| *load)?;
        if load > 0 && open.len() < self.spread {
            return None;
        }
        slot.seat(self.sharing.at_a_time)
    }

    /// Room for a new instance; waits while there are as many as may be.
    pub(super) async fn vacancy(&self) -> Option<Vacancy> {
        let room = self.room.clone().acquire_owned().await.ok()?;
        let (slot, jobs) = Slot::new(self.sharing.in_all, self.freed.clone());
        Some(Vacancy { slot, jobs, room })
    }

    /// When it is worth to ask for a seat again.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// The first seat of a new instance, which others may be given from now on.
    pub(super) fn open(&self, slot: &Arc<Slot>) -> Option<Seat> {
        let seat = slot.seat(self.sharing.at_a_time);
        if slot.load().is_some() {
            self.lock().push(slot.clone());
        }
        seat
    }

    /// No instance gets more requests.
    pub(super) fn retire(&self) {
        self.lock().drain(..).for_each(|slot| slot.retire());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn new_seat(instances: &Instances) -> (Seat, Vacancy) {
        let vacancy = instances.vacancy().await.unwrap();
        (instances.open(&vacancy.slot).unwrap(), vacancy)
    }

    #[tokio::test]
    async fn one_request_each_means_a_new_instance_each() {
        let instances = Instances::new(Sharing { in_all: 1, at_a_time: 1 }, 2, 8);
        let (seat, _first) = new_seat(&instances).await;
        drop(seat);
        assert!(instances.seat().is_none());
    }

    #[tokio::test]
    async fn fills_the_threads_before_it_shares() {
        let instances = Instances::new(Sharing { in_all: 100, at_a_time: 2 }, 2, 8);
        assert!(instances.seat().is_none());
        let (_a, _first) = new_seat(&instances).await;
        assert!(instances.seat().is_none(), "a thread is free");
        let (_b, _second) = new_seat(&instances).await;
        let _c = instances.seat().unwrap();
        let _d = instances.seat().unwrap();
        assert!(instances.seat().is_none(), "both serve two");
        instances.retire();
        drop(_a);
        assert!(instances.seat().is_none());
    }
}
