//! What earlier agents left on disk is read. Changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use tracing::warn;
use wasmnode_provider_api::{SandboxId, SandboxSpec};

use super::files::{self, Recorded};
use super::names::{GroupDirs, RunnerId};
use super::pidfd::Process;
use super::record::{self, Record, RecordError};
use super::{Config, OpenError};

/// Groups that are looked at, and entries of a group's directory.
const MAX_GROUPS: usize = 65_536;
const MAX_ENTRIES: usize = 262_144;

/// A group that has something on disk.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) dirs: GroupDirs,
    pub(crate) runners: Vec<Found>,
    pub(crate) specs: Vec<SandboxSpec>,
    /// Runners that have files and no record.
    pub(crate) strays: BTreeSet<RunnerId>,
}

/// A runner that has a record.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: RunnerId,
    /// `None` if it cannot be read.
    pub(crate) record: Option<Record>,
    pub(crate) runs: Recorded,
    /// Its process and the directory of its socket, once it was found to live.
    pub(crate) held: Option<(Process, OwnedFd)>,
}

pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Disk { doing, path: path.to_owned(), source }
}

/// Every group below the two roots.
///
/// # Errors
/// [`OpenError::Newer`], [`OpenError::Disk`].
pub(crate) fn groups(config: &Config) -> Result<Vec<Group>, OpenError> {
    let mut names = BTreeSet::new();
    for root in [&config.memory_root, &config.state_root] {
        names.extend(names_in(&root.join("groups"), MAX_GROUPS)?);
    }
    names.into_iter().filter(|name| super::names::group(name).is_ok()).map(|name| group(config, name)).collect()
}

fn group(config: &Config, name: String) -> Result<Group, OpenError> {
    let dirs = GroupDirs::new(&config.state_root, &config.memory_root, &name);
    let mut group = Group { name, dirs, runners: Vec::new(), specs: Vec::new(), strays: BTreeSet::new() };
    for file in names_in(&group.dirs.runners, MAX_ENTRIES)? {
        match file.split_once('.') {
            Some((id, "json")) => group.runners.extend(RunnerId::parse(id).map(|id| found(&group, id)).transpose()?),
            Some((id, "sock" | "runs")) => group.strays.extend(RunnerId::parse(id)),
            Some((id, "spec")) => group.specs.extend(SandboxId::new(id).ok().and_then(|id| spec(&group, &id))),
            _ => {}
        }
    }
    group.strays.extend(names_in(&group.dirs.exits, MAX_ENTRIES)?.iter().filter_map(|id| RunnerId::parse(id)));
    group.runners.iter().for_each(|found| {
        group.strays.remove(&found.id);
    });
    Ok(group)
}

fn found(group: &Group, id: RunnerId) -> Result<Found, OpenError> {
    let path = group.dirs.record(&id);
    let runs_path = group.dirs.runs(&id);
    let runs = files::recorded_runs(&runs_path).map_err(disk("read", &runs_path))?;
    let bytes = record::read(&path).map_err(disk("read", &path))?;
    let record = match Record::parse(&bytes, &id, &group.name) {
        Ok(record) => Some(record),
        Err(RecordError::Newer(version)) => return Err(OpenError::Newer { path, version }),
        Err(error) => {
            warn!(path = %path.display(), %error, "The record of a runner is damaged");
            None
        }
    };
    Ok(Found { id, record, runs, held: None })
}

fn spec(group: &Group, id: &SandboxId) -> Option<SandboxSpec> {
    let read = files::read_spec(&group.dirs, id);
    let spec = read.inspect_err(|error| warn!(sandbox = %id, error, "The record of a sandbox is damaged")).ok()?;
    (spec.isolation.group == group.name).then_some(spec)
}

/// Names of a directory that is the agent's own; none if it is not there.
fn names_in(directory: &Path, max: usize) -> Result<Vec<String>, OpenError> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(disk("read", directory))?,
    };
    let mut names = Vec::new();
    for entry in entries.take(max) {
        names.extend(entry.map_err(disk("read", directory))?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Removes what was recorded before the machine was started again: nothing of it runs.
pub(crate) fn void(config: &Config) -> Result<(), OpenError> {
    for root in [&config.memory_root, &config.state_root] {
        for name in names_in(&root.join("groups"), MAX_GROUPS)? {
            let dirs = GroupDirs::new(&config.state_root, &config.memory_root, &name);
            remove_all(&dirs.runners)?;
            for id in names_in(&dirs.exits, MAX_ENTRIES)?.iter().filter_map(|id| RunnerId::parse(id)) {
                let directory = dirs.exits_of(&id);
                if let Err(error) = super::exits::remove(&directory) {
                    warn!(path = %directory.display(), %error, "Could not remove what a runner left");
                }
            }
        }
    }
    Ok(())
}

fn remove_all(path: &Path) -> Result<(), OpenError> {
    files::remove_dir(path).map_err(disk("remove", path))
}
