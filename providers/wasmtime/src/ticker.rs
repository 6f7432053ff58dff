//! The clock by which guests give way.
//!
//! Compiled code compares a counter with its deadline at every loop and function entry; one thread moves the
//! counter. It sleeps while no guest computes, so that a node of idle pods uses no CPU at all.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// Ticks without a guest before the thread sleeps. Guests that compute now and then must not pay for waking it.
const LINGER: u32 = 20;

/// Owns the thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: Arc<Clock>,
    thread: Option<JoinHandle<()>>,
}

/// What guests see of the ticker.
#[derive(Default)]
pub(crate) struct Clock {
    on_cpu: AtomicUsize,
    parked: AtomicBool,
    stopped: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
    woken: Condvar,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("on_cpu", &self.on_cpu).field("parked", &self.parked).finish_non_exhaustive()
    }
}

/// A guest is computing while this exists.
#[derive(Debug)]
pub(crate) struct OnCpu<'a>(&'a Clock);

// === impl Ticker ===

impl Ticker {
    pub(crate) fn spawn(tick: Duration) -> io::Result<Self> {
        let clock = Arc::new(Clock::default());
        let ticking = clock.clone();
        let thread = thread::Builder::new().name("ticker".to_owned()).spawn(move || ticking.run(tick))?;
        Ok(Self { clock, thread: Some(thread) })
    }

    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Ticks for this engine too.
    pub(crate) fn add(&self, engine: &Engine) {
        self.clock.lock().push(engine.weak());
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.clock.stopped.store(true, Ordering::SeqCst);
        self.clock.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("Ticker thread panicked");
        }
    }
}

// === impl Clock ===

impl Clock {
    /// Marks that a guest is about to compute, and makes sure that the clock runs.
    pub(crate) fn enter(&self) -> OnCpu<'_> {
        // Sequentially consistent on both sides: either the ticker sees the guest or the guest sees it parked.
        self.on_cpu.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst) {
            self.wake();
        }
        OnCpu(self)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<EngineWeak>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // The lock closes the gap between the ticker's last look and its wait.
        drop(self.lock());
        self.woken.notify_all();
    }

    fn idle(&self) -> bool {
        self.on_cpu.load(Ordering::SeqCst) == 0 && !self.stopped.load(Ordering::SeqCst)
    }

    fn park(&self) {
        let mut engines = self.lock();
        self.parked.store(true, Ordering::SeqCst);
        while self.idle() {
            engines = self.woken.wait(engines).unwrap_or_else(PoisonError::into_inner);
        }
        self.parked.store(false, Ordering::SeqCst);
    }

    fn run(&self, tick: Duration) {
        let mut quiet = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            quiet = if self.idle() { quiet + 1 } else { 0 };
            if quiet > LINGER {
                self.park();
                quiet = 0;
            }
            thread::sleep(tick);
            self.lock().retain(|engine| engine.upgrade().inspect(Engine::increment_epoch).is_some());
        }
    }
}

impl Drop for OnCpu<'_> {
    fn drop(&mut self) {
        self.0.on_cpu.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < patience, "{what} did not happen in 10 s");
            thread::yield_now();
        }
    }

    #[test]
    fn parks_without_guests_and_wakes_for_one() {
        let ticker = Ticker::spawn(Duration::from_millis(1)).unwrap();
        let parked = || ticker.clock.parked.load(Ordering::SeqCst);
        eventually("parking", parked);
        let guest = ticker.clock.enter();
        eventually("waking", || !parked());
        drop(guest);
        eventually("parking again", parked);
        assert!(ticker.is_alive());
    }
}
