//! Keeps exits on disk until they were acknowledged, so that how a guest ended outlives the process that it ran in.

mod files;
mod provider;
mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use wasmnode_provider_api::{Error, Event, EventStream, Provider, Reporter};

pub use files::{EXIT_SUFFIX, exit_file_name};
use record::Record;

/// A provider whose every exit is a file before anybody is told of it, and no longer once it was acknowledged.
///
/// A file holds the exit's wire form ([`wasmnode_provider_api::wire::decode`]). It outlives the process, not the
/// machine. An exit that cannot be written is reported all the same and tried again when it is listed.
pub struct Journal {
    inner: Arc<dyn Provider>,
    record: Arc<Record>,
    reporter: Arc<Reporter>,
    /// What is added to the provider's own description.
    build: Option<String>,
    features: Vec<String>,
    _following: AbortOnDropHandle<()>,
}

/// Why exits cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory for exits is missing or not accessible.
    #[error("directory {} for exits cannot be used: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The provider has no events to follow.
    #[error("events of the provider cannot be followed: {0}")]
    Provider(#[from] Error),
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("record", &self.record).finish_non_exhaustive()
    }
}

// === impl Journal ===

impl Journal {
    /// Before the provider's first run. The directory exists, is writable and this journal's alone.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn open(inner: Arc<dyn Provider>, dir: &Path) -> Result<Self, JournalError> {
        let unusable = |source| JournalError::Directory { path: dir.to_owned(), source };
        let record = Arc::new(Record::open(dir).map_err(unusable)?);
        let reporter = Arc::new(Reporter::default());
        let events = inner.events().await?;
        let following = tokio::spawn(follow(events, record.clone(), reporter.clone()));
        let _following = AbortOnDropHandle::new(following);
        Ok(Self { inner, record, reporter, build: None, features: Vec::new(), _following })
    }

    /// Says hello as a process of this build, with these features besides the provider's own.
    #[must_use]
    pub fn described(self, build: String, features: Vec<String>) -> Self {
        Self { build: Some(build), features, ..self }
    }
}

async fn follow(mut events: EventStream, record: Arc<Record>, reporter: Arc<Reporter>) {
    while let Some(event) = events.recv().await {
        if let Event::Exited(exit) = &event {
            record.ended(exit.clone()).await;
        }
        reporter.report(event);
    }
}
