//! The compile queue: few jobs at once, each a process of its own.

mod job;

use tokio::sync::Semaphore;

use crate::config::CompileConfig;

pub(crate) use job::{Job, JobError};

/// Where jobs queue.
pub(crate) struct Compiler {
    config: CompileConfig,
    jobs: Semaphore,
}

// === impl Compiler ===

impl Compiler {
    pub(crate) fn new(config: CompileConfig) -> Self {
        let jobs = Semaphore::new(config.effective_jobs());
        Self { config, jobs }
    }

    pub(crate) fn config(&self) -> &CompileConfig {
        &self.config
    }

    /// Waits for a free job; held while compiling.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.jobs.acquire().await.ok()
    }
}
