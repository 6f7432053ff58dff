//! Tells those who wait for a pull that content begins to be read: an image that is no wasm is refused before that,
//! and nobody should be told that it is being pulled.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::ensure::Images;
use crate::error::ImageError;
use crate::image::{Image, Request};
use crate::reference::Reference;

/// Announcements that a slow listener may be behind. One that is further behind hears of its pull at its end.
const KEPT: usize = 64;

/// Stored names of images whose content begins to be read.
pub(crate) struct Announcements(broadcast::Sender<String>);

// === impl Announcements ===

impl Announcements {
    pub(crate) fn begun(&self, reference: &Reference) {
        // An error means that nobody listens.
        let _ = self.0.send(reference.stored_name());
    }
}

impl Default for Announcements {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

// === impl Images ===

impl Images {
    /// As [`Images::ensure`], and calls `on_pulling` at most once, when the registry delivers content of an image
    /// that can run here; at the end where the pull was under way already or found nothing new.
    ///
    /// # Errors
    /// Those of [`Images::ensure`].
    pub async fn ensure_announced(
        &self,
        request: &Request<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<Image, ImageError> {
        let mut begun = self.inner.announcements.0.subscribe();
        let name = request.reference.stored_name();
        let mut ensure = std::pin::pin!(self.ensure(request));
        let mut announced = false;
        let result = loop {
            tokio::select! {
                heard = begun.recv(), if !announced => match heard {
                    Ok(other) if other != name => {}
                    Err(RecvError::Lagged(_)) => {}
                    Ok(_) | Err(RecvError::Closed) => {
                        announced = true;
                        on_pulling();
                    }
                },
                result = &mut ensure => break result,
            }
        };
        if !announced && result.as_ref().is_ok_and(|image| image.pulled.is_some()) {
            on_pulling();
        }
        result
    }
}
