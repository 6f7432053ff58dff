//! Where the pods of this node keep their files.
//!
//! ```text
//! <state>/groups/node/pods/<uid>/            pod.json, exits/<container>.json, root/<container>/, volumes/<name>/
//! <memory>/groups/node/pods/<uid>/           volumes/<name>/: secrets, tokens, memory volumes (tmpfs)
//! <logs>/<namespace>_<pod>_<uid>/            <container>/<attempt>.log
//! ```
//!
//! The directories above are the agent's; what is below `root` and `volumes` belongs to the pod's user and is
//! reached only through [`Root`].

use std::io;
use std::path::{Path, PathBuf};

use wasmnode_core::PodRef;
use wasmnode_logs::beneath::Root;

/// The isolation group that every pod belongs to while guests run in the agent's process.
const GROUP: &str = "node";

/// Mode of directories that are the agent's.
const AGENT_MODE: u32 = 0o750;

/// Directories of this node. All absolute.
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
    layout: Layout,
    pod: PodRef,
}

// === impl Layout ===

impl Layout {
    /// Checks that the pod's names can stand in paths.
    pub(crate) fn pod(&self, pod: &PodRef) -> Result<PodLayout, InvalidName> {
        for name in [&pod.namespace, &pod.name, &pod.uid] {
            element(name)?;
        }
        Ok(PodLayout { layout: self.clone(), pod: pod.clone() })
    }

    /// The directory of all pods, opened and created if need be.
    pub(crate) fn pods_dir(&self, medium: Medium) -> io::Result<Root> {
        let root = self.root(medium);
        std::fs::create_dir_all(root)?;
        Root::open(root)?.create_dirs(&pods_path(), AGENT_MODE)
    }

    /// The directory of all pods, if it is there.
    pub(crate) fn pods_if_there(&self, medium: Medium) -> io::Result<Option<Root>> {
        if_there(Root::open(self.root(medium)).and_then(|root| root.dir(&pods_path())))
    }

    fn root(&self, medium: Medium) -> &Path {
        match medium {
            Medium::Disk => &self.state_root,
            Medium::Memory => &self.memory_root,
        }
    }
}

fn pods_path() -> PathBuf {
    Path::new("groups").join(GROUP).join("pods")
}

fn if_there(opened: io::Result<Root>) -> io::Result<Option<Root>> {
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

    /// The pod's directory, opened and created if need be.
    pub(crate) fn open(&self, medium: Medium) -> io::Result<Root> {
        self.layout.pods_dir(medium)?.create_dirs(Path::new(&self.pod.uid), AGENT_MODE)
    }

    /// The pod's directory, if it is there. What gives back must not need room on a disk that may be full.
    pub(crate) fn if_there(&self, medium: Medium) -> io::Result<Option<Root>> {
        let Some(pods) = self.layout.pods_if_there(medium)? else { return Ok(None) };
        if_there(pods.dir(Path::new(&self.pod.uid)))
    }

    /// Removes the pod's directory.
    pub(crate) fn remove(&self, medium: Medium) -> io::Result<()> {
        let pods = self.layout.pods_if_there(medium)?;
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

    fn path(&self, medium: Medium) -> PathBuf {
        self.layout.root(medium).join(pods_path()).join(&self.pod.uid)
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
