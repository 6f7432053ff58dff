//! Volumes are brought up to date from time to time: tokens age and objects change.

use std::sync::Arc;

use tokio::time::Instant;
use wasmnode_core::{Record, Severity};

use super::Worker;
use crate::actions::volumes;
use crate::site::Answer;

impl Worker {
    pub(super) fn schedule_refresh(&mut self) {
        let needed = !self.unmounting && crate::volumes::needs_refresh(&self.desired());
        self.refresh_at = needed.then(|| Instant::now() + self.site.context.config.volume_refresh);
    }

    /// Where nothing changes, nothing is looked at.
    pub(super) fn refresh_now(&mut self) {
        if crate::volumes::needs_refresh(&self.desired()) {
            self.refresh();
        }
    }

    pub(super) fn refresh(&mut self) {
        // Scheduled again when it is done.
        self.refresh_at = None;
        let (site, desired) = (Arc::clone(&self.site), self.desired());
        self.spawn(async move {
            let result = volumes::set_up(&site, &desired).await;
            site.answer(Answer::Refreshed(result)).await;
        });
    }

    pub(super) fn refreshed(&mut self, result: Result<(), String>) {
        self.schedule_refresh();
        let failure = result.err();
        if let Some(message) = failure.clone().filter(|_| failure != self.refresh_failure) {
            let record = Record::pod(Severity::Warning, "FailedMount", message);
            self.site.record(&self.desired(), record);
        }
        self.refresh_failure = failure;
    }
}
