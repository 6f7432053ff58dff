//! One run of one container, from its admission to its exit.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use wasmnode_logs::Writer;
use wasmnode_provider_api::{
    ContainerUsage, Error, Event, Exit, ExitReason, ListedRun, Log, RunSpec, StartFailure, Stdin, StopMode, Workload,
};
use wasmtime_wasi::WasiCtxBuilder;

use crate::budget::MemoryBudget;
use crate::command::Command;
use crate::cpu::CpuAccount;
use crate::entered::Entered;
use crate::exit::{Ended, Verdict};
use crate::guest::{self, Streams};
use crate::limiter::Limiter;
use crate::meter::Metered;
use crate::registry::Registry;
use crate::stdio::{Output, Stream};
use crate::ticker::Clock;

/// How long the end of a guest waits for attached clients that do not read its last words.
const PATIENCE: Duration = Duration::from_secs(10);

const STOP: u8 = 1;
const KILL: u8 = 2;

/// What there is of a run while it lives.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) spec: RunSpec,
    pub(crate) streams: Streams,
    pub(crate) program: Program,
    /// Cancelled after the exit was reported, or the start refused.
    pub(crate) ended: CancellationToken,
    order: Order,
    started_at: OnceLock<SystemTime>,
}

/// What it takes to enter the run's guest, once more for each exec.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) command: Arc<Command>,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) cpu: Arc<CpuAccount>,
    pub(crate) clock: Arc<Clock>,
    /// Where guests run.
    pub(crate) guests: Handle,
}

/// Whether the run was told to end.
#[derive(Debug, Default)]
struct Order {
    given: AtomicU8,
    notify: Notify,
}

/// The answer to `start`: entered, or why not.
pub(crate) type Reply = oneshot::Sender<Result<(), Error>>;

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("memory", &self.memory).field("cpu", &self.cpu).finish_non_exhaustive()
    }
}

// === impl Order ===

impl Order {
    /// A kill overrides a stop that was not obeyed yet, never the other way round.
    fn give(&self, order: u8) {
        self.given.fetch_max(order, Ordering::SeqCst);
        self.notify.notify_one();
    }

    async fn given(&self) -> Verdict {
        loop {
            match self.given.load(Ordering::SeqCst) {
                STOP => return Verdict::stopped(),
                KILL => return Verdict::killed(),
                _ => self.notify.notified().await,
            }
        }
    }
}

// === impl Program ===

impl Program {
    /// Runs the guest to its end. Dropping the future ends it at once.
    ///
    /// # Errors
    /// Where the guest was not entered.
    pub(crate) async fn enter(&self, wasi: WasiCtxBuilder, entered: &Entered) -> Result<Verdict, Error> {
        let limiter = Limiter::new(self.memory.clone());
        let guest = self.command.run(wasi, limiter, entered);
        let ended: Ended = Metered::new(guest, self.clock.clone(), self.cpu.clone()).await;
        match ended.refusal() {
            Some(refusal) if !entered.is_signalled() => Err(refusal),
            _ => Ok(ended.verdict()),
        }
    }

    /// Does what may block on the host's file systems, away from the guests' threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.guests.spawn_blocking(work).await;
        done.map_err(|e| Error::Failed(format!("work did not complete: {e}")))?
    }
}

// === impl Run ===

impl Run {
    pub(crate) fn new(spec: RunSpec, program: Program) -> Self {
        let open = spec.stdio.stdin != Stdin::Empty || stop_mode(&spec) == StopMode::Stdin;
        let streams = Streams { stdin: open.then(Arc::default), output: Output::new(program.guests.clone()) };
        let (order, started_at) = (Order::default(), OnceLock::new());
        Self { spec, streams, program, ended: CancellationToken::new(), order, started_at }
    }

    /// As the workload wants it.
    pub(crate) fn stop(&self) {
        match (stop_mode(&self.spec), &self.streams.stdin) {
            (StopMode::Stdin, Some(pipe)) => pipe.close(),
            _ => self.order.give(STOP),
        }
    }

    /// Ends the guest, or the wait for attached clients if it has ended already.
    pub(crate) fn kill(&self) {
        self.order.give(KILL);
        self.streams.output.give_up_on_clients();
    }

    /// `None` before the guest is entered.
    pub(crate) fn listed(&self) -> Option<ListedRun> {
        Some(ListedRun {
            run: self.spec.id.clone(),
            sandbox: self.spec.sandbox.clone(),
            container: self.spec.container.clone(),
            started_at: *self.started_at.get()?,
        })
    }

    pub(crate) fn usage(&self) -> ContainerUsage {
        ContainerUsage {
            container: self.spec.container.clone(),
            cpu_nanoseconds: self.program.cpu.used(),
            memory_bytes: self.program.memory.used(),
            instances: 1,
            requests: 0,
        }
    }

    /// Runs the guest and reports its start and end. A task of its own, so that it goes on whoever asked for it.
    pub(crate) async fn drive(self: Arc<Self>, registry: Arc<Registry>, reply: Reply) {
        let entered = self.announcing(registry.clone(), reply);
        let ran = AssertUnwindSafe(self.until_end(&entered)).catch_unwind().await;
        let verdict = match ran {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(refusal)) => {
                registry.withdraw(&self.spec.id);
                self.ended.cancel();
                return entered.refuse(refusal);
            }
            Err(_panic) => Verdict::lost("the engine failed while it ran the guest, see the node's log"),
        };
        // An end before the guest was entered, such as a kill in that very moment, is an exit like any other.
        entered.signal();
        self.finish(&registry, verdict).await;
    }

    fn announcing(self: &Arc<Self>, registry: Arc<Registry>, reply: Reply) -> Entered {
        let run = self.clone();
        Entered::new(move |result| {
            if result.is_ok() {
                let at = SystemTime::now();
                let _first = run.started_at.set(at);
                registry.reporter().report(Event::Started { run: run.spec.id.clone(), at });
            }
            // The caller may have given up; the run goes on and `list` shows it.
            let _gone = reply.send(result);
        })
    }

    async fn until_end(self: &Arc<Self>, entered: &Entered) -> Result<Verdict, Error> {
        let running = async {
            let run = self.clone();
            let wasi = self.program.blocking(move || run.open()).await?;
            self.program.enter(wasi, entered).await
        };
        tokio::select! {
            biased;
            verdict = self.order.given() => Ok(verdict),
            ended = running => ended,
        }
    }

    fn open(&self) -> Result<WasiCtxBuilder, Error> {
        let wasi = guest::open(&self.spec, &self.spec.argv, self.spec.stdio.tty, &self.streams)?;
        if let Some(log) = &self.spec.stdio.log {
            self.streams.output.set_log(open_log(log)?);
        }
        Ok(wasi)
    }

    async fn finish(&self, registry: &Registry, verdict: Verdict) {
        let finished_at = SystemTime::now();
        let Verdict { code, reason, message } = verdict;
        if !message.is_empty() {
            // Where people look first when a container failed.
            self.streams.output.push(Stream::Stderr, Bytes::from(format!("{message}\n")));
        }
        let ordered = matches!(reason, ExitReason::Killed | ExitReason::Stopped);
        self.streams.output.finish(if ordered { Duration::ZERO } else { PATIENCE }).await;
        let started_at = self.started_at.get().copied().unwrap_or(finished_at);
        registry.end(Exit { run: self.spec.id.clone(), code, reason, message, started_at, finished_at });
        self.ended.cancel();
    }
}

fn stop_mode(spec: &RunSpec) -> StopMode {
    match spec.workload {
        Workload::Command { stop } => stop,
        Workload::HttpServer { .. } => StopMode::Cancel,
    }
}

fn open_log(log: &Log) -> Result<Writer, Error> {
    let opened = Writer::open(&log.path, log.max_bytes, log.max_files);
    opened.map_err(|e| Error::Start(StartFailure::Invalid(format!("log file {}: {e}", log.path.display()))))
}
