//! Isolation groups: which pods share a process, whom their files belong to, and where on this node they are.
//!
//! A pod's group is decided once, before anything is made for it, and recorded beside its files: another agent finds it
//! there, whatever its settings are. The user of a group is the group id of the group's directory. Both are read from
//! the disk once, at start.

mod index;
mod policy;
mod scan;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::renameat;
use rustix::io::Errno;
use tracing::{debug, info};
use wasmnode_core::PodRef;
use wasmnode_logs::beneath::{Owner, Root};

pub(crate) use index::NoUser;
use index::{Index, Place};
pub(crate) use policy::Unavailable;
pub use policy::{Isolation, IsolationPolicy};
pub(crate) use scan::Found;

use crate::layout::{Layout, Medium, PODS, PodLayout, if_there};

/// Entries that are looked at to see whether a group has runners.
const MAX_RUNNERS: usize = 10_000;

/// Volumes of one pod that are handed over; the API server bounds a pod to 1 MiB or so.
const MAX_VOLUMES: usize = 100_000;

/// Name of an isolation group, a single element of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group(String);

/// The pod's group is not decided, so that there is nothing of it on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing was set up for the pod yet")]
pub(crate) struct NotPlaced;

/// Why a pod has no place on this node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// What follows `Failed to create pod sandbox: `.
    #[error(transparent)]
    Users(#[from] NoUser),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// The groups of this node.
#[derive(Debug)]
pub(crate) struct Groups {
    layout: Arc<Layout>,
    policy: IsolationPolicy,
    index: Mutex<Index>,
    /// Held while a group's directories are made or removed, so that none is removed in which a pod is placed. Only on
    /// threads that may block.
    disk: Mutex<()>,
}

// === impl Group ===

impl Group {
    pub(crate) fn named(name: String) -> Self {
        Self(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NotPlaced ===

impl From<NotPlaced> for io::Error {
    fn from(error: NotPlaced) -> Self {
        Self::new(io::ErrorKind::NotFound, error)
    }
}

// === impl Groups ===

impl Groups {
    pub(crate) fn new(layout: Layout, policy: IsolationPolicy) -> Self {
        Self { layout: Arc::new(layout), policy, index: Mutex::default(), disk: Mutex::default() }
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Where the pod is, if anything was ever made for it. Its names were checked.
    pub(crate) fn find(&self, pod: &PodRef) -> Option<PodLayout> {
        let index = self.index();
        index.pod(&pod.uid).map(|place| self.layout.pod(pod, &place.group, place.user))
    }

    /// Whether the pod's group is decided.
    pub(crate) fn is_settled(&self, pod: &PodRef) -> bool {
        self.index().pod(&pod.uid).is_some_and(|place| place.settled)
    }

    /// The group of a pod whose RuntimeClass has that handler; empty: none has one.
    pub(crate) fn group(&self, pod: &PodRef, handler: &str) -> Result<Group, Unavailable> {
        self.policy.group(pod, handler)
    }

    /// Gives the pod its place in that group; once. What a release that knew one group only made for it comes along;
    /// `writable` are its volumes that containers may write to. Blocking.
    pub(crate) fn place(&self, pod: &PodRef, group: &Group, writable: &[String]) -> Result<(), PlaceError> {
        let _disk = self.disk();
        let user = self.user(group)?;
        let before = self.index().pod(&pod.uid).cloned();
        // Counted first: the group is not empty any more.
        self.index().insert(&pod.uid, Place { group: group.clone(), user, settled: false });
        let made = Medium::ALL.into_iter().try_for_each(|medium| {
            let pods = self.layout.pods(medium, group, user)?;
            match &before {
                Some(before) if self.bring(medium, pod, &before.group, &pods)? => {
                    hand_over_volumes(&pods.dir(Path::new(&pod.uid))?, writable, user)
                }
                _ => Ok(()),
            }
        });
        if let Err(error) = made {
            let mut index = self.index();
            index.remove(&pod.uid);
            before.into_iter().for_each(|place| index.insert(&pod.uid, place));
            return Err(error.into());
        }
        self.index().insert(&pod.uid, Place { group: group.clone(), user, settled: true });
        Ok(())
    }

    /// Nothing of the pod is left on disk. Directories of groups that have no pods any more go with it. Blocking.
    pub(crate) fn forget(&self, uid: &str) {
        self.index().forget(uid);
        self.sweep();
    }

    /// Every place of the pod, the one in use last.
    pub(crate) fn places(&self, pod: &PodLayout) -> Vec<PodLayout> {
        let doubles = self.index().doubles(&pod.pod().uid);
        let mut places: Vec<_> = doubles.iter().map(|group| self.layout.pod(pod.pod(), group, None)).collect();
        places.push(pod.clone());
        places
    }

    /// Removes the directories of groups without pods, runners and exits that were not read, as far as it can be done
    /// now. Blocking.
    pub(crate) fn sweep(&self) {
        let empty = self.index().empty();
        if empty.is_empty() {
            return;
        }
        let _disk = self.disk();
        self.sweep_these(&empty);
    }

    fn sweep_these(&self, empty: &[Group]) {
        for group in empty {
            // A pod may have come meanwhile.
            if !self.index().is_empty(group) {
                continue;
            }
            match self.remove(group) {
                Ok(true) => {
                    self.index().remove_group(group);
                    info!(%group, "Removed the directories of a group without pods");
                }
                Ok(false) => debug!(%group, "Something of the group is still in use"),
                Err(error) => debug!(%group, %error, "Could not remove the directories of a group"),
            }
        }
    }

    fn user(&self, group: &Group) -> Result<Option<u32>, NoUser> {
        let users = self.policy.users.as_ref();
        let user = self.index().user(group, users);
        if user.is_ok() {
            return user;
        }
        let empty = self.index().empty();
        self.sweep_these(&empty);
        self.index().user(group, users)
    }

    /// Moves what was made for the pod into its group; false: there was nothing. Nobody but the agent could write to it
    /// so far: guests were in its own process.
    fn bring(&self, medium: Medium, pod: &PodRef, from: &Group, pods: &Root) -> io::Result<bool> {
        let Some(old) = self.layout.pods_if_there(medium, from)? else { return Ok(false) };
        match renameat(&old, pod.uid.as_str(), pods, pod.uid.as_str()) {
            Ok(()) => info!(%pod, %from, "The pod's files are in its own group now"),
            Err(Errno::NOENT) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        Ok(true)
    }

    /// Whether nothing of the group is left.
    fn remove(&self, group: &Group) -> io::Result<bool> {
        let (disk, memory) = (self.group_dir(Medium::Disk, group)?, self.group_dir(Medium::Memory, group)?);
        if let Some(memory) = &memory
            && has_runners(memory)?
        {
            return Ok(false);
        }
        if let Some(disk) = &disk {
            if !(disk.remove_empty(Path::new(PODS))? && disk.remove_empty(Path::new("exits"))?) {
                return Ok(false);
            }
            disk.remove_tree(Path::new("code"))?;
        }
        if let Some(memory) = &memory {
            memory.remove_empty(Path::new(PODS))?;
            memory.remove_tree(Path::new("runners"))?;
        }
        Ok(self.remove_dir(Medium::Memory, group)? && self.remove_dir(Medium::Disk, group)?)
    }

    fn group_dir(&self, medium: Medium, group: &Group) -> io::Result<Option<Root>> {
        let Some(groups) = self.layout.groups_if_there(medium)? else { return Ok(None) };
        if_there(groups.dir(Path::new(group.as_str())))
    }

    fn remove_dir(&self, medium: Medium, group: &Group) -> io::Result<bool> {
        let groups = self.layout.groups_if_there(medium)?;
        groups.map_or(Ok(true), |groups| groups.remove_empty(Path::new(group.as_str())))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, ()> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a runner of the group is recorded: it may live, or what it left may not have been read.
fn has_runners(memory: &Root) -> io::Result<bool> {
    let Some(runners) = if_there(memory.dir(Path::new("runners")))? else { return Ok(false) };
    Ok(runners.names(MAX_RUNNERS)?.iter().any(|name| name.ends_with(".json")))
}

/// Volumes that containers may write to and what is in them; their holder stays the agent's. So do the directories of
/// all others, whose files are written anew for the user with the next set-up.
fn hand_over_volumes(pod: &Root, writable: &[String], user: Option<u32>) -> io::Result<()> {
    let Some(volumes) = if_there(pod.dir(Path::new("volumes")))? else { return Ok(()) };
    if user.is_none() {
        return Ok(());
    }
    let names = volumes.names(MAX_VOLUMES)?;
    let mut handed = names.iter().filter(|name| writable.contains(name));
    handed.try_for_each(|name| volumes.chown_tree(Path::new(name), Owner::user(user)))
}

#[cfg(test)]
mod tests;
