//! A runner is watched until it ends: its process, its heartbeat, whether anybody needs it. Then its end is accounted
//! for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};
use wasmnode_provider_api::{Error, Exit, Provider};

use super::death::Death;
use super::exits::Left;
use super::handle::Runner;
use super::heartbeat::{Beat, EVERY_SECONDS, Heartbeat, PATIENCE_SECONDS};
use super::pump::pump;
use super::record::Ended;
use super::shared::Shared;
use super::state::Phase;

/// A beat of the heart.
const BEAT: Duration = Duration::from_secs(1);

/// A runner that was told to end stops its runs within 10 s, or 30 s at most.
const END_WITHIN: Duration = Duration::from_secs(35);

/// What a dead process wrote is in the socket and read in no time.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Watches a live runner until its end was reported, or the agent goes.
pub(crate) async fn keep(shared: Arc<Shared>, runner: Arc<Runner>) {
    let pump = tokio::spawn(pump(shared.clone(), runner.clone()));
    tokio::select! {
        () = shared.closing.cancelled() => {
            pump.abort();
            return;
        }
        () = watch(&shared, &runner) => {}
    }
    runner.dead.cancel();
    bury(&shared, &runner, pump).await;
}

/// Returns when the process has ended.
async fn watch(shared: &Shared, runner: &Arc<Runner>) {
    let Some(process) = runner.process() else { return };
    let mut heartbeat = Heartbeat::default();
    let mut pings = FuturesUnordered::new();
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle = Idle::new(shared.config.idle);
    let mut looks = tokio::time::interval((shared.config.idle / 4).clamp(Duration::from_millis(20), BEAT));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = process.ended() => return,
            Some(answer) = pings.next() => match answer {
                // One that says what it runs is needed, one that only ever answers pings is hung as well: `list` waits
                // for it.
                Ok(()) if runner.known.is_cancelled() => heartbeat.answered(),
                _ => heartbeat.failed(),
            },
            _ = looks.tick() => idle.look(shared, runner),
            _ = beats.tick() => match heartbeat.beat() {
                Beat::Wait => {}
                Beat::Ping => pings.push(ping(runner)),
                Beat::Hung => kill_hung(runner),
            },
        }
    }
}

fn kill_hung(runner: &Runner) {
    if !runner.is_hung() {
        warn!(pid = runner.record.pid, group = runner.group(), "A runner does not answer and is killed");
    }
    runner.kill_hung();
}

async fn ping(runner: &Runner) -> Result<(), ()> {
    let answer = async { runner.remote()?.ping().await };
    let patience = Duration::from_secs(u64::from(EVERY_SECONDS));
    let answered: Result<Result<(), Error>, _> = tokio::time::timeout(patience, answer).await;
    answered.map_err(|_| ())?.map_err(|_| ())
}

/// Ends a runner that nobody needs.
struct Idle {
    after: Duration,
    empty_since: Option<Instant>,
    told_at: Option<Instant>,
}

impl Idle {
    fn new(after: Duration) -> Self {
        Self { after, empty_since: None, told_at: None }
    }

    fn look(&mut self, shared: &Shared, runner: &Runner) {
        let now = Instant::now();
        let mut inner = shared.lock();
        let Some(slot) = inner.state.slot(&runner.id) else { return };
        match slot.phase {
            Phase::Unknown => {}
            Phase::Ready if !slot.is_empty() => self.empty_since = None,
            Phase::Ready => {
                let since = *self.empty_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= self.after {
                    inner.state.end(&runner.id, false);
                }
            }
            Phase::Ending => match self.told_at {
                None => {
                    self.told_at = Some(now);
                    runner.signal(Signal::TERM);
                }
                Some(told) if now.saturating_duration_since(told) >= END_WITHIN => runner.signal(Signal::KILL),
                Some(_) => {}
            },
        }
    }
}

/// The process has ended: what it still said is read, what it left is taken over, what is lost is reported.
async fn bury(shared: &Arc<Shared>, runner: &Arc<Runner>, mut pump: JoinHandle<()>) {
    // First: the cgroup goes as soon as systemd notices.
    let out_of_memory = runner.ran_out_of_memory();
    let status = match runner.process() {
        Some(process) => process.status().await,
        None => None,
    };
    if tokio::time::timeout(DRAIN_WITHIN, &mut pump).await.is_err() {
        pump.abort();
    }
    let (exits, crash) = left(shared, runner).await;
    let death = Death { status, out_of_memory, hung: runner.is_hung(), crash };
    let (pid, group) = (runner.record.pid, runner.group());
    let text = death.text(pid, group, u64::from(PATIENCE_SECONDS));
    let asked_for = !death.hung && shared.lock().state.slot(&runner.id).is_some_and(|slot| slot.phase == Phase::Ending);
    if asked_for {
        info!(pid, group, "A runner has ended");
    } else {
        warn!(pid, group, cause = text, "A runner has died");
        shared.counters.died(death.cause());
        shared.lock().deaths.entry(backoff_name(&runner.record)).or_default().died(Instant::now());
    }
    report(shared, runner, exits, text, SystemTime::now());
    shared.tidy(runner).await;
}

/// Reports what went with the runner.
pub(crate) fn report(shared: &Arc<Shared>, runner: &Arc<Runner>, exits: Vec<Exit>, cause: String, at: SystemTime) {
    let mut record = runner.record.clone();
    record.ended = Some(Ended::new(cause.clone(), at));
    // So that an agent that starts before all is acknowledged tells the same.
    if let Err(error) = record.write(&runner.dirs.record(&runner.id)) {
        warn!(runner = %runner.id, %error, "Could not record the end of a runner");
    }
    runner.mourn(cause.clone());
    shared.learn(runner, |state| state.bury(&runner.id, exits, &cause, at));
    runner.gone.cancel();
    shared.learned.send_replace(());
}

/// Exits and last words on disk. Those of other runners' runs are left out.
pub(crate) async fn left(shared: &Arc<Shared>, runner: &Arc<Runner>) -> (Vec<Exit>, Option<String>) {
    let (shared, runner) = (shared.clone(), runner.clone());
    let read = tokio::task::spawn_blocking(move || {
        let Some(left) = Left::open(&runner.dirs.exits_of(&runner.id))? else { return Ok((Vec::new(), None)) };
        let exits = left.exits(|run| shared.lock().state.run(run).is_ok_and(|run| run.runner == runner.id))?;
        std::io::Result::Ok((exits, left.crash()))
    });
    match read.await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => {
            warn!(%error, "Could not read what a runner left");
            (Vec::new(), None)
        }
        Err(_) => (Vec::new(), None),
    }
}

/// Whose deaths count together: a sandbox with a runner of its own does not hold up its group.
pub(crate) fn backoff_name(record: &super::record::Record) -> String {
    match &record.exclusive {
        Some(sandbox) => format!("{}/{sandbox}", record.group),
        None => record.group.clone(),
    }
}
