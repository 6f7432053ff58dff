//! The moment when a guest's code is entered.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use wasmnode_provider_api::Error;

type Announce = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Says once that the guest's code is entered, or why it will not be: refusals before that moment are errors of
/// `start`, everything after it is an exit.
#[derive(Clone)]
pub(crate) struct Entered(Arc<Mutex<Option<Announce>>>);

impl Entered {
    pub(crate) fn new(announce: impl FnOnce(Result<(), Error>) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(announce)))))
    }

    /// For an exec, which nobody is told of.
    pub(crate) fn silent() -> Self {
        Self::new(|_| ())
    }

    pub(crate) fn signal(&self) {
        self.announce(Ok(()));
    }

    pub(crate) fn refuse(&self, refusal: Error) {
        self.announce(Err(refusal));
    }

    fn announce(&self, result: Result<(), Error>) {
        let announce = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(announce) = announce {
            announce(result);
        }
    }

    pub(crate) fn is_signalled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Drives an instantiation. One that has to wait has already entered the guest: nothing else in it waits but
    /// the start function.
    pub(crate) async fn watch<F: Future>(&self, instantiation: F) -> F::Output {
        let mut instantiation = pin!(instantiation);
        poll_fn(|cx| {
            let result = instantiation.as_mut().poll(cx);
            if result.is_pending() {
                self.signal();
            }
            result
        })
        .await
    }
}
