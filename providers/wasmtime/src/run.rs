//! One run of one container, from its admission to its exit.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use wasmnode_logs::Writer;
use wasmnode_provider_api::{
    ContainerUsage, Error, Event, Exit, ExitReason, ListedRun, Log, RunSpec, StartFailure, Stdin, StopMode, Workload,
};
use wasmtime_wasi::WasiCtxBuilder;

use crate::budget::MemoryBudget;
use crate::cpu::CpuAccount;
use crate::entered::Entered;
use crate::exit::{self, Ended, Verdict};
use crate::guest::{self, Given, Streams};
use crate::http::{Handlers, Server, Stats};
use crate::limiter::Limiter;
use crate::linked::Linked;
use crate::meter::Metered;
use crate::net::Network;
use crate::registry::Registry;
use crate::stdio::{Output, Stream};
use crate::ticker::Clock;

/// How long the end of a guest waits for attached clients that do not read its last words.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is of a run while it lives.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) spec: RunSpec,
    pub(crate) streams: Streams,
    pub(crate) program: Program,
    /// What it did so far, where it is an HTTP server.
    pub(crate) stats: Arc<Stats>,
    /// Cancelled after the exit was reported, or the start refused.
    pub(crate) ended: CancellationToken,
    order: Order,
    started_at: OnceLock<SystemTime>,
}

/// What it takes to enter the run's guest, once more for each exec.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) linked: Arc<Linked>,
    pub(crate) network: Arc<Network>,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) cpu: Arc<CpuAccount>,
    pub(crate) clock: Arc<Clock>,
    /// Where guests run.
    pub(crate) guests: Handle,
    pub(crate) handlers: Arc<Handlers>,
}

/// Whether the run was told to end.
#[derive(Debug, Default)]
struct Order {
    stop: CancellationToken,
    kill: CancellationToken,
}

/// The answer to `start`: entered, or why not.
pub(crate) type Reply = oneshot::Sender<Result<(), Error>>;

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("memory", &self.memory).field("cpu", &self.cpu).finish_non_exhaustive()
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
        let given = Given { wasi, limiter, network: self.network.clone() };
        let guest = self.linked.command()?.run(given, entered);
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
        let streams =
            Streams { stdin: open.then(Arc::default), output: Output::new(program.guests.clone()), by_line: false };
        let (order, started_at) = (Order::default(), OnceLock::new());
        let stats = Arc::default();
        Self { spec, streams, program, stats, ended: CancellationToken::new(), order, started_at }
    }

    /// As the workload wants it.
    pub(crate) fn stop(&self) {
        match (stop_mode(&self.spec), &self.streams.stdin) {
            (StopMode::Stdin, Some(pipe)) => pipe.close(),
            _ => self.order.stop.cancel(),
        }
    }

    /// Ends the guest, or the wait for attached clients if it has ended already.
    pub(crate) fn kill(&self) {
        self.order.kill.cancel();
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

    /// Tells people what went wrong where they look first, without an end of the run.
    pub(crate) fn complain(&self, what: &str) {
        self.streams.output.push(Stream::Stderr, Bytes::from(format!("{}\n", exit::bounded(what))));
    }

    pub(crate) fn usage(&self) -> ContainerUsage {
        let serves = matches!(self.spec.workload, Workload::HttpServer { .. });
        ContainerUsage {
            container: self.spec.container.clone(),
            cpu_nanoseconds: self.program.cpu.used(),
            memory_bytes: self.program.memory.used(),
            instances: if serves { self.stats.instances() } else { 1 },
            requests: self.stats.requests(),
        }
    }

    /// Runs the guest and reports its start and end. A task of its own, so that it goes on whoever asked for it.
    pub(crate) async fn drive(self: Arc<Self>, registry: Arc<Registry>, reply: Reply) {
        let entered = self.announcing(registry.clone(), reply);
        let ran = AssertUnwindSafe(self.until_end(&registry, &entered)).catch_unwind().await;
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

    async fn until_end(self: &Arc<Self>, registry: &Arc<Registry>, entered: &Entered) -> Result<Verdict, Error> {
        match &self.spec.workload {
            Workload::Command { .. } => self.until_returned(entered).await,
            Workload::HttpServer { ports, settings } => {
                let server = Server::new(self.clone(), registry.clone(), settings.clone())?;
                let served = self.until_drained(&server, ports, entered).await;
                server.end().await;
                served
            }
        }
    }

    async fn until_returned(self: &Arc<Self>, entered: &Entered) -> Result<Verdict, Error> {
        let running = async { self.program.enter(self.opened().await?, entered).await };
        tokio::select! {
            biased;
            () = self.order.kill.cancelled() => Ok(Verdict::killed()),
            () = self.order.stop.cancelled() => Ok(Verdict::stopped()),
            ended = running => ended,
        }
    }

    async fn until_drained(
        self: &Arc<Self>,
        server: &Arc<Server>,
        ports: &[u16],
        entered: &Entered,
    ) -> Result<Verdict, Error> {
        let serving = async {
            // Instances open their own; what cannot be opened is refused now.
            self.opened().await?;
            server.serve(ports, &self.order.stop, entered).await
        };
        tokio::select! {
            biased;
            () = self.order.kill.cancelled() => Ok(Verdict::killed()),
            served = serving => served.map(|()| Verdict::drained()),
        }
    }

    async fn opened(self: &Arc<Self>) -> Result<WasiCtxBuilder, Error> {
        let run = self.clone();
        self.program.blocking(move || run.open()).await
    }

    fn open(&self) -> Result<WasiCtxBuilder, Error> {
        let wasi = guest::open(&self.spec, &self.spec.argv, self.spec.stdio.tty, &self.streams)?;
        if self.spec.stdio.stdin != Stdin::Empty {
            self.streams.output.set_prompts();
        }
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
