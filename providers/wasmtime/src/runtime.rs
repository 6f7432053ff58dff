//! The threads that guests run on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

/// Polls between looks at timers and sockets, and at tasks from outside. Tokio's default of 61 suits polls of
/// microseconds; a guest that computes takes a whole tick, and 61 of those are a sleep that is 60 ms late.
const POLLS_BETWEEN_LOOKS: u32 = 4;

/// Threads for file operations of all guests together. One that hangs in a dead network volume costs a thread.
const BLOCKING_THREADS: usize = 128;

/// A runtime of guests. When it is dropped they are gone, without waiting for file operations.
#[derive(Debug)]
pub(crate) struct GuestRuntime(Option<Runtime>, Handle);

impl GuestRuntime {
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let number = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name_fn(move || format!("guest-{}", number.fetch_add(1, Ordering::Relaxed)))
            .event_interval(POLLS_BETWEEN_LOOKS)
            .global_queue_interval(POLLS_BETWEEN_LOOKS)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for GuestRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting is not possible where the provider is dropped by a task.
            runtime.shutdown_background();
        }
    }
}
