//! Plays a script.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::time::sleep;
use wasmnode_provider_api::ExitReason;

use crate::script::{Script, Step};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) code: i32,
    pub(crate) reason: ExitReason,
    pub(crate) message: String,
}

/// What a run was told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    pub(crate) stop: bool,
    pub(crate) kill: bool,
    pub(crate) stdin_closed: bool,
    /// The process that held it is gone, and why.
    pub(crate) lost: Option<String>,
}

/// A run as its script sees it.
pub(crate) struct Player {
    pub(crate) script: Script,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) memory: Arc<AtomicU64>,
    pub(crate) orders: watch::Receiver<Orders>,
}

impl Verdict {
    fn new(code: i32, reason: ExitReason, message: &str) -> Self {
        Self { code, reason, message: message.to_owned() }
    }

    fn exited(code: i32) -> Self {
        Self::new(code & 0xff, ExitReason::Exited, "")
    }
}

impl Orders {
    fn verdict(&self, ignores_stop: bool) -> Option<Verdict> {
        if let Some(cause) = &self.lost {
            return Some(Verdict::new(255, ExitReason::Lost, cause));
        }
        if self.kill {
            return Some(Verdict::new(137, ExitReason::Killed, ""));
        }
        (self.stop && !ignores_stop).then(|| Verdict::new(143, ExitReason::Stopped, ""))
    }
}

impl Player {
    pub(crate) async fn play(self) -> Verdict {
        let mut orders = self.orders.clone();
        let ignores_stop = self.script.ignores_stop;
        tokio::select! {
            biased;
            told = orders.wait_for(|orders| orders.verdict(ignores_stop).is_some()) => {
                let verdict = told.ok().and_then(|orders| orders.verdict(ignores_stop));
                verdict.unwrap_or_else(|| Verdict::new(255, ExitReason::Lost, "the provider was dropped"))
            }
            verdict = self.steps() => verdict,
        }
    }

    async fn steps(&self) -> Verdict {
        for step in &self.script.steps {
            match *step {
                Step::Run(time) => sleep(time).await,
                Step::Exit(code) => return Verdict::exited(code),
                Step::Trap => {
                    return Verdict::new(134, ExitReason::Trap, "scripted trap\nwasm backtrace:\n  0: script");
                }
                Step::Use(bytes) if self.memory_limit.is_some_and(|limit| bytes > limit) => {
                    return Verdict::new(137, ExitReason::OutOfMemory, "scripted use of memory beyond the limit");
                }
                Step::Use(bytes) => self.memory.store(bytes, Ordering::Relaxed),
                Step::AwaitStdin => self.stdin_closed().await,
                Step::NeverExit => pending().await,
            }
        }
        Verdict::exited(0)
    }

    async fn stdin_closed(&self) {
        let mut orders = self.orders.clone();
        if orders.wait_for(|orders| orders.stdin_closed).await.is_err() {
            pending::<()>().await;
        }
    }
}
