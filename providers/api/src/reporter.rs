//! Events towards whoever connected last, for providers.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{Event, EventStream};

/// Events between the forwarding task and the reader. What waits behind them is at most three events per run that
/// `list` holds anyway, because nothing starts a run but the reader's own side.
const EVENTS_IN_FLIGHT: usize = 64;

/// Keeps the order of events and never blocks the one who reports; without a reader events are dropped, which
/// `list` repairs.
#[derive(Debug, Default)]
pub struct Reporter {
    to: Mutex<Option<mpsc::UnboundedSender<Event>>>,
}

impl Reporter {
    /// A new stream; the one before ends after what was queued for it. Must be called on a tokio runtime, which
    /// then carries the forwarding task.
    pub fn subscribe(&self) -> EventStream {
        let (queue, queued) = mpsc::unbounded_channel();
        let (to, events) = mpsc::channel(EVENTS_IN_FLIGHT);
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
        tokio::spawn(forward(queued, to));
        events
    }

    /// Queues an event.
    pub fn report(&self, event: Event) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        if to.as_ref().is_some_and(|to| to.send(event).is_err()) {
            *to = None;
        }
    }
}

async fn forward(mut queued: mpsc::UnboundedReceiver<Event>, to: mpsc::Sender<Event>) {
    loop {
        let event = tokio::select! {
            event = queued.recv() => event,
            () = to.closed() => None,
        };
        let Some(event) = event else { return };
        if to.send(event).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::RunId;

    fn event(n: u64) -> Event {
        Event::Started { run: RunId::new(format!("{n:064x}")).unwrap(), at: SystemTime::UNIX_EPOCH }
    }

    #[tokio::test]
    async fn keeps_the_order_however_late_the_reader() {
        let reporter = Reporter::default();
        reporter.report(event(0));
        let mut events = reporter.subscribe();
        let many = 10 * EVENTS_IN_FLIGHT as u64;
        (1..many).for_each(|n| reporter.report(event(n)));
        for n in 1..many {
            assert_eq!(events.recv().await, Some(event(n)));
        }
    }

    #[tokio::test]
    async fn a_second_stream_ends_the_first_after_what_was_its_own() {
        let reporter = Reporter::default();
        let mut first = reporter.subscribe();
        reporter.report(event(1));
        let mut second = reporter.subscribe();
        reporter.report(event(2));
        assert_eq!((first.recv().await, first.recv().await), (Some(event(1)), None));
        drop(first);
        assert_eq!(second.recv().await, Some(event(2)));
    }
}
