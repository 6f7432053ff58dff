//! Each action and what carries it out.

use std::sync::Arc;

use wasmnode_core::pod::{Action, Event, PullError, Pulled};

use super::Worker;
use crate::actions::pull::Chosen;
use crate::actions::start::Start;
use crate::actions::stop::How;
use crate::actions::{pull, sandbox, start, stop, volumes};
use crate::images::PulledImage;
use crate::site::Answer;

impl Worker {
    pub(super) fn perform(&mut self, action: Action) {
        let (site, desired) = (Arc::clone(&self.site), self.desired());
        match action {
            Action::Mount => self.spawn(async move {
                let event = volumes::mount(&site, &desired).await;
                site.answer(Answer::Event(event)).await;
            }),
            Action::CreateSandbox => self.spawn(async move {
                let result = sandbox::create(&site, &desired).await;
                site.answer(Answer::Event(Event::SandboxReady(result))).await;
            }),
            Action::Pull { container, image } => self.spawn(pull::pull(site, desired, container, image)),
            Action::Start { container, attempt } => self.start(container, attempt),
            Action::Stop { container, attempt } => self.spawn(stop::stop(site, container, attempt, How::Stop)),
            Action::Kill { container, attempt } => self.spawn(stop::stop(site, container, attempt, How::Kill)),
            Action::Record(record) => site.record(&desired, record),
            Action::RemoveSandbox => self.spawn(async move {
                sandbox::remove(&site).await;
                site.answer(Answer::Event(Event::SandboxRemoved)).await;
            }),
            Action::Unmount => {
                (self.refresh_at, self.unmounting) = (None, true);
                self.spawn(async move {
                    volumes::tear_down(&site).await;
                    site.answer(Answer::Event(Event::Unmounted)).await;
                });
            }
            Action::Release { delete } => self.released = Some(delete),
        }
    }

    /// The route first: the run's events must find their way.
    fn start(&mut self, container: String, attempt: u32) {
        if let Ok(run) = self.site.run(&container, attempt) {
            self.site.context.routes.open(run, self.site.mailbox.clone(), &container, attempt);
        }
        let image = self.images.get(&container).cloned();
        let again = self.tried.insert(container.clone(), attempt) == Some(attempt);
        let start = Start { desired: self.desired(), container, attempt, again, image };
        self.spawn(start::start(Arc::clone(&self.site), start));
    }

    /// Keeps an image that a live container was started from.
    pub(super) fn hold(&mut self, container: String, image: Chosen) {
        if !self.told_over {
            self.images.entry(container).or_insert(image);
        }
    }

    /// Keeps the image for the start that follows. The one before is needed by nobody but the run that has it open.
    pub(super) fn pulled(&mut self, container: String, image: String, result: Result<Chosen, PullError>) -> Event {
        let result = result.map(|found| {
            let PulledImage { image_id, size_bytes, timing, .. } = &found.image;
            let pulled = Pulled { image_id: image_id.clone(), size_bytes: *size_bytes, timing: *timing };
            let wanted = self.desired().container(&container).is_some_and(|container| container.image == image);
            if wanted && !self.told_over {
                self.images.insert(container.clone(), found);
            }
            pulled
        });
        Event::Pulled { container, image, result }
    }
}
