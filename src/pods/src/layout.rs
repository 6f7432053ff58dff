//! Where the pods of this node keep their files.
//!
//! ```text
//! <state>/groups/<group>/                     root:<gid>: whatever shares a process
//!   pods/<uid>/                               root:<gid>: pod.json and exits/<container>.json, the agent's own
//!     root/<container>/  volumes/<name>/      the user's: what containers write
//! <memory>/groups/<group>/pods/<uid>/         volumes/<name>/: secrets, tokens, memory volumes (tmpfs)
//! <logs>/<namespace>_<pod>_<uid>/<container>/ the user's: <attempt>.log
//! ```
//!
//! A group's user may write only to the innermost of these directories, so that it can put nothing in the place of the
//! others. What is in them is reached only through [`Root`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmnode_core::PodRef;
use wasmnode_logs::beneath::{Owner, Root};

use crate::groups::Group;

/// Name of the directory of all groups.
pub(crate) const GROUPS: &str = "groups";

/// Name of a group's directory of pods.
pub(crate) const PODS: &str = "pods";

/// Mode of the directory of all groups: each group passes through it.
const GROUPS_MODE: u32 = 0o755;

/// Mode of directories that are the agent's and that one group passes through.
const AGENT_MODE: u32 = 0o750;

/// Directories of this node. All absolute. Users of groups must be able to pass through the first three.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What survives a restart of the machine, `/var/lib/wasmnode`.
    pub state_root: PathBuf,
    /// A tmpfs, `/run/wasmnode`.
    pub memory_root: PathBuf,
    /// `podLogsDir`.
    pub logs_root: PathBuf,
    /// Where log collectors look for links; none: no links are made.
    pub links_dir: Option<PathBuf>,
}

/// Which of the two trees a volume is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Medium {
    Disk,
    Memory,
}

/// A name that is no single element of a path. The API server does not let one through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a directory's name")]
pub(crate) struct InvalidName(String);

/// Directories of one pod.
#[derive(Debug, Clone)]
pub(crate) struct PodLayout {
    layout: Arc<Layout>,
    pod: PodRef,
    group: Group,
    user: Option<u32>,
}

// === impl Medium ===

impl Medium {
    /// Both trees, the one that a restart of the machine empties first.
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Disk];
}

// === impl Layout ===

impl Layout {
    /// Checks that the pod's names can stand in paths.
    pub(crate) fn check(pod: &PodRef) -> Result<(), InvalidName> {
        [&pod.namespace, &pod.name, &pod.uid].into_iter().try_for_each(|name| element(name).map(drop))
    }

    /// Where a pod of that group is; the names of the pod were checked. `user` is whom its files belong to, none: the
    /// agent's own.
    pub(crate) fn pod(self: &Arc<Self>, pod: &PodRef, group: &Group, user: Option<u32>) -> PodLayout {
        PodLayout { layout: Arc::clone(self), pod: pod.clone(), group: group.clone(), user }
    }

    /// The directory of all groups, opened and created if need be.
    pub(crate) fn groups(&self, medium: Medium) -> io::Result<Root> {
        let root = self.root(medium);
        std::fs::create_dir_all(root)?;
        Root::open(root)?.create_dirs(Path::new(GROUPS), GROUPS_MODE)
    }

    /// The directory of all groups, if it is there.
    pub(crate) fn groups_if_there(&self, medium: Medium) -> io::Result<Option<Root>> {
        if_there(Root::open(self.root(medium)).and_then(|root| root.dir(Path::new(GROUPS))))
    }

    /// The directory of a group's pods, opened and created if need be, for that user.
    pub(crate) fn pods(&self, medium: Medium, group: &Group, user: Option<u32>) -> io::Result<Root> {
        let path = Path::new(group.as_str()).join(PODS);
        self.groups(medium)?.create_dirs_for(&path, AGENT_MODE, Owner::group(user))
    }

    /// The directory of a group's pods, if it is there.
    pub(crate) fn pods_if_there(&self, medium: Medium, group: &Group) -> io::Result<Option<Root>> {
        let Some(groups) = self.groups_if_there(medium)? else { return Ok(None) };
        if_there(groups.dir(&Path::new(group.as_str()).join(PODS)))
    }

    fn root(&self, medium: Medium) -> &Path {
        match medium {
            Medium::Disk => &self.state_root,
            Medium::Memory => &self.memory_root,
        }
    }
}

/// `None` for what is not there.
pub(crate) fn if_there(opened: io::Result<Root>) -> io::Result<Option<Root>> {
    match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// `name`, if it is a single element of a path.
pub(crate) fn element(name: &str) -> Result<&str, InvalidName> {
    let bad = name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\0']);
    if bad { Err(InvalidName(name.chars().take(64).collect())) } else { Ok(name) }
}

// === impl PodLayout ===

impl PodLayout {
    pub(crate) fn pod(&self) -> &PodRef {
        &self.pod
    }

    pub(crate) fn node(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Whom what containers write belongs to; none: the agent's own user.
    pub(crate) fn user(&self) -> Option<u32> {
        self.user
    }

    /// The owner of what containers write.
    pub(crate) fn owner(&self) -> Owner {
        Owner::user(self.user)
    }

    /// Makes the directories of the pod's group where they are not, as in memory after a restart of the machine.
    pub(crate) fn make_group(&self) -> io::Result<()> {
        Medium::ALL.into_iter().try_for_each(|medium| self.layout.pods(medium, &self.group, self.user).map(drop))
    }

    /// The pod's directory, opened and created if need be.
    pub(crate) fn open(&self, medium: Medium) -> io::Result<Root> {
        self.create(medium, Path::new(""))
    }

    /// A directory of the agent's in the pod's, through which the pod's user passes, opened and created if need be.
    pub(crate) fn create(&self, medium: Medium, below: &Path) -> io::Result<Root> {
        let pods = self.layout.pods(medium, &self.group, self.user)?;
        pods.create_dirs_for(&Path::new(&self.pod.uid).join(below), AGENT_MODE, Owner::group(self.user))
    }

    /// The pod's directory, if it is there. What gives back must not need room on a disk that may be full.
    pub(crate) fn if_there(&self, medium: Medium) -> io::Result<Option<Root>> {
        let Some(pods) = self.layout.pods_if_there(medium, &self.group)? else { return Ok(None) };
        if_there(pods.dir(Path::new(&self.pod.uid)))
    }

    /// Removes the pod's directory.
    pub(crate) fn remove(&self, medium: Medium) -> io::Result<()> {
        let pods = self.layout.pods_if_there(medium, &self.group)?;
        pods.map_or(Ok(()), |pods| pods.remove_tree(Path::new(&self.pod.uid)))
    }

    /// Host path of a volume.
    pub(crate) fn volume(&self, medium: Medium, name: &str) -> PathBuf {
        self.path(medium).join("volumes").join(name)
    }

    /// Host path of a container's root.
    pub(crate) fn container_root(&self, container: &str) -> PathBuf {
        self.path(Medium::Disk).join("root").join(container)
    }

    /// Host path of a log file.
    pub(crate) fn log_file(&self, container: &str, attempt: u32) -> PathBuf {
        let PodRef { namespace, name, uid } = &self.pod;
        let directory = wasmnode_logs::paths::pod_dir(&self.layout.logs_root, namespace, name, uid);
        wasmnode_logs::paths::log_file(&directory, container, attempt)
    }

    /// Host path of the pod's directory.
    pub(crate) fn path(&self, medium: Medium) -> PathBuf {
        self.layout.root(medium).join(GROUPS).join(self.group.as_str()).join(PODS).join(&self.pod.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_element() {
        for good in ["a", "4f9d-x", "a..b", "..a"] {
            assert_eq!(element(good), Ok(good));
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0"] {
            assert!(element(bad).is_err(), "{bad:?}");
        }
    }
}
