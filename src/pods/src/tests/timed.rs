//! The scripted provider with the time stamps of a paused clock: its scripts follow that clock, its events say what
//! the machine's says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::mpsc;
use wasmnode_provider_api::{Error, Event, EventStream, Layer, Listing, Provider, RunId, RunSpec, SandboxSpec};
use wasmnode_provider_fake::FakeProvider;

use crate::ports::Clock;

/// When runs started and ended.
type Times = HashMap<RunId, (SystemTime, Option<SystemTime>)>;

#[derive(Clone)]
pub(super) struct Timed {
    pub(super) inner: FakeProvider,
    pub(super) clock: Clock,
    times: Arc<Mutex<Times>>,
    loses_answers: Arc<AtomicBool>,
    sandboxes: Arc<Mutex<Vec<SandboxSpec>>>,
}

impl Timed {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            inner: FakeProvider::new(),
            clock,
            times: Arc::default(),
            loses_answers: Arc::default(),
            sandboxes: Arc::default(),
        }
    }

    /// Every sandbox that was asked for.
    pub(super) fn sandboxes(&self) -> Vec<SandboxSpec> {
        self.sandboxes.lock().unwrap().clone()
    }

    /// Starts are carried out and answered as if the connection had broken.
    pub(super) fn lose_answers(&self, lose: bool) {
        self.loses_answers.store(lose, Ordering::Relaxed);
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        lock(&self.times)
    }
}

fn lock(times: &Mutex<Times>) -> MutexGuard<'_, Times> {
    times.lock().unwrap()
}

#[async_trait]
impl Layer for Timed {
    fn inner(&self) -> &dyn Provider {
        &self.inner
    }

    async fn list(&self) -> Result<Listing, Error> {
        let mut listing = self.inner.list().await?;
        let times = self.times();
        for run in &mut listing.runs {
            run.started_at = times.get(&run.run).map_or(run.started_at, |(started, _)| *started);
        }
        for exit in &mut listing.exits {
            if let Some((started, Some(finished))) = times.get(&exit.run) {
                (exit.started_at, exit.finished_at) = (*started, *finished);
            }
        }
        Ok(listing)
    }

    async fn events(&self) -> Result<EventStream, Error> {
        let mut events = self.inner.events().await?;
        let (clock, times) = (self.clock.clone(), Arc::clone(&self.times));
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(mut event) = events.recv().await {
                let now = clock().into();
                match &mut event {
                    Event::Started { run, at } => {
                        *at = now;
                        lock(&times).insert(run.clone(), (now, None));
                    }
                    Event::Exited(exit) => {
                        let mut times = lock(&times);
                        let (started, finished) = times.entry(exit.run.clone()).or_insert((now, None));
                        *finished = Some(now);
                        (exit.started_at, exit.finished_at) = (*started, now);
                    }
                    Event::FirstRequest { .. } => {}
                }
                // Whoever listened may be gone; times go on being taken.
                let _ = sender.send(event).await;
            }
        });
        Ok(receiver)
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.sandboxes.lock().unwrap().push(sandbox.clone());
        self.inner.create_sandbox(sandbox).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        self.inner.start(run).await?;
        match self.loses_answers.load(Ordering::Relaxed) {
            true => Err(Error::Failed("the connection ended".to_owned())),
            false => Ok(()),
        }
    }
}
