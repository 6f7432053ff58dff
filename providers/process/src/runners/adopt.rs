//! What earlier agents left is taken over.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use tracing::{info, warn};

use super::death::{Death, DeathCause};
use super::handle::Runner;
use super::heartbeat::PATIENCE_SECONDS;
use super::names::{GroupDirs, RunnerId};
use super::pidfd::{self, Process};
use super::record::Record;
use super::scan::{self, Found, Group, disk};
use super::shared::{Shared, forget_runner};
use super::{Config, OpenError, Runners, keep, spawn};
use crate::{OLDEST_PROTOCOL, PROTOCOL};

/// How long an opening waits for runners that do not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A process that was killed goes at once, unless the kernel is busy with it.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

const LOCK: &str = "runners.lock";

/// Bytes of a boot's id.
const MAX_BOOT_ID: u64 = 64;

pub(crate) async fn open(config: Config) -> Result<Runners, OpenError> {
    let (config, lock, boot_id, groups) = blocking(move || read(config)).await?;
    let runners = Runners { shared: Shared::new(config, boot_id), _lock: lock };
    let shared = &runners.shared;
    for group in &groups {
        let mut inner = shared.lock();
        for spec in &group.specs {
            // Ids of sandboxes are unique: the first record stands.
            let _twice = inner.state.admit_sandbox(spec);
        }
    }
    let mut adopted = Vec::new();
    for group in groups {
        adopted.extend(take_over(shared, group).await);
    }
    let answered = join_all(adopted.iter().map(|runner| runner.heard_of()));
    if tokio::time::timeout(ANSWER_WITHIN, answered).await.is_err() {
        warn!("Some runners of an earlier agent do not answer yet");
    }
    let bins = shared.clone();
    let collected = tokio::task::spawn_blocking(move || bins.collect_bins()).await;
    if let Ok(Err(error)) = collected {
        warn!(%error, "Could not remove programs that no runner uses");
    }
    Ok(runners)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let failed = |e| OpenError::Disk { doing: "read", path: LOCK.into(), source: std::io::Error::other(e) };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// Everything that can be refused.
fn read(config: Config) -> Result<(Config, File, String, Vec<Group>), OpenError> {
    let boot_id = pidfd::boot_id().map_err(disk("read", "/proc/sys/kernel/random/boot_id".as_ref()))?;
    let (lock, last_boot) = take_lock(&config)?;
    if !last_boot.is_empty() && last_boot != boot_id {
        info!("The machine was started again: runners of before are void");
        scan::void(&config)?;
    }
    let mut groups = scan::groups(&config)?;
    for group in &mut groups {
        group.runners.iter().try_for_each(|found| check_protocol(group, found))?;
        let Group { dirs, runners, .. } = group;
        runners.iter_mut().try_for_each(|found| hold(dirs, found, &boot_id))?;
    }
    note_boot(&config, lock, &boot_id).map(|lock| (config, lock, boot_id, groups))
}

/// The lock, and the boot in which it was taken last.
fn take_lock(config: &Config) -> Result<(File, String), OpenError> {
    let path = config.memory_root.join(LOCK);
    std::fs::create_dir_all(&config.memory_root).map_err(disk("make", &config.memory_root))?;
    let opened = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(disk("open", &path))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(OpenError::InUse(path));
    }
    let mut text = String::new();
    (&mut file).take(MAX_BOOT_ID).read_to_string(&mut text).map_err(disk("read", &path))?;
    Ok((file, text.trim().to_owned()))
}

fn note_boot(config: &Config, mut lock: File, boot_id: &str) -> Result<File, OpenError> {
    use std::io::Seek;
    let path = config.memory_root.join(LOCK);
    let written = lock.rewind().and_then(|()| lock.set_len(0)).and_then(|()| lock.write_all(boot_id.as_bytes()));
    written.map(|()| lock).map_err(disk("write", &path))
}

fn check_protocol(group: &Group, found: &Found) -> Result<(), OpenError> {
    let Some(record) = found.record.as_ref().filter(|record| record.ended.is_none()) else { return Ok(()) };
    let spoken = (OLDEST_PROTOCOL..=PROTOCOL).contains(&record.protocol);
    if spoken || !pidfd::is_running(record.pid, record.start_time) {
        return Ok(());
    }
    Err(OpenError::Protocol {
        path: group.dirs.record(&found.id),
        id: record.id.clone(),
        protocol: record.protocol,
        oldest: OLDEST_PROTOCOL,
        newest: PROTOCOL,
    })
}

/// A runner counts as gone only if it is known to be: an agent that lacks descriptors or memory must not take the living
/// for dead and start their guests again.
fn hold(dirs: &GroupDirs, found: &mut Found, boot_id: &str) -> Result<(), OpenError> {
    let Some(record) = found.record.as_ref() else { return Ok(()) };
    if record.ended.is_some() || record.boot_id != boot_id {
        return Ok(());
    }
    let process = Process::find(record.pid, record.start_time);
    let Some(process) = process.map_err(disk("find the process of", &dirs.record(&found.id)))? else { return Ok(()) };
    let directory = spawn::open_dir(&dirs.runners).map_err(disk("open", &dirs.runners))?;
    found.held = Some((process, directory));
    Ok(())
}

/// Returns the runners that live.
async fn take_over(shared: &Arc<Shared>, group: Group) -> Vec<Arc<Runner>> {
    let Group { name, dirs, runners, strays, .. } = group;
    let mut adopted = Vec::new();
    for found in runners {
        adopted.extend(take_over_one(shared, &name, &dirs, found).await);
    }
    for id in strays {
        end_stray(&id).await;
        let (dirs, stray) = (dirs.clone(), id.clone());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || forget_runner(&dirs, &stray)).await {
            warn!(runner = %id, %error, "Could not remove what a runner left");
        }
    }
    let (shared, code) = (shared.clone(), dirs.code);
    let collected = tokio::task::spawn_blocking(move || shared.collect_code(&name, &code)).await;
    if let Ok(Err(error)) = collected {
        warn!(%error, "Could not remove code that no runner uses");
    }
    adopted
}

async fn take_over_one(shared: &Arc<Shared>, group: &str, dirs: &GroupDirs, found: Found) -> Option<Arc<Runner>> {
    let Found { id, record, runs, held } = found;
    let complete = record.filter(|record| record.pid != 0 || record.ended.is_some());
    let Some(record) = complete else {
        // Its start was not completed, or nobody can tell what it is: it must not go on beside a new one.
        let pid = end_stray(&id).await;
        let runner = Runner::gone(blank(shared, group, &id, pid), dirs.clone(), id);
        shared.enlist(&runner, runs);
        account(shared, &runner, Some("was ended: its record is damaged or incomplete")).await;
        return None;
    };
    let Some(held) = held else {
        let runner = Runner::gone(record, dirs.clone(), id);
        shared.enlist(&runner, runs);
        account(shared, &runner, None).await;
        return None;
    };
    info!(pid = record.pid, group, build = record.build, runs = runs.len(), "Adopting a runner");
    let runner = Runner::alive(record, dirs.clone(), id, held, true);
    shared.enlist(&runner, runs);
    shared.watch(&runner);
    shared.counters.adopted.fetch_add(1, Relaxed);
    Some(runner)
}

/// Ends the process of a runner that has no usable record, and returns its pid.
async fn end_stray(id: &RunnerId) -> Option<i32> {
    let wanted = id.clone();
    let process = tokio::task::spawn_blocking(move || pidfd::find_runner(wanted.as_str())).await.ok()??;
    warn!(pid = process.pid(), runner = %id, "A runner without a usable record is ended");
    let killed = process.signal(Signal::KILL);
    if killed.is_err() || tokio::time::timeout(KILLED_WITHIN, process.ended()).await.is_err() {
        warn!(pid = process.pid(), "Could not end it");
    }
    process.status().await;
    Some(process.pid())
}

/// A runner that was gone before: its exits on disk, and what was lost with it.
async fn account(shared: &Arc<Shared>, runner: &Arc<Runner>, how: Option<&str>) {
    let (exits, crash) = keep::left(shared, runner).await;
    let Record { pid, group, ended, .. } = &runner.record;
    let (cause, at) = match (ended, how) {
        (Some(ended), _) => (ended.cause.clone(), ended.at()),
        (None, Some(how)) => (format!("runner {pid} of group {group} {how}"), SystemTime::now()),
        (None, None) => {
            shared.counters.died(DeathCause::Unknown);
            let death = Death { crash, ..Death::default() };
            (death.text(*pid, group, u64::from(PATIENCE_SECONDS)), SystemTime::now())
        }
    };
    warn!(pid, group, cause, exits = exits.len(), "A runner of an earlier agent is gone");
    keep::report(shared, runner, exits, cause, at);
}

/// What stands for a record that says nothing.
fn blank(shared: &Shared, group: &str, id: &RunnerId, pid: Option<i32>) -> Record {
    Record { pid: pid.unwrap_or(0), ..Record::new(id, group, &shared.config, &shared.boot_id) }
}
