//! What a runner takes away from itself before it loads the first code: whoever breaks out of a guest finds a process
//! that can do little more than the guest could.
//!
//! Three layers that do not depend on each other. Privileges: none, and none to be had. Files (landlock): the group's
//! own. System calls (seccomp): those that programs, mounts, kernels and other processes are reached by fail with
//! EPERM. Where a kernel lacks one of the last two, the runner works without and says so in its hello.

mod files;
mod privileges;
mod syscalls;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What stays reachable of the host's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Directories and files that may be read. They exist.
    pub read: Vec<PathBuf>,
    /// Directories and files that may be read and changed. They exist.
    pub write: Vec<PathBuf>,
    /// Directories in which regular files may be made, read, changed and removed, and nothing else be made. They exist.
    pub files: Vec<PathBuf>,
}

/// A process that was confined. Lives as long as it does.
#[derive(Debug)]
pub struct Confined {
    landlock: bool,
    seccomp: bool,
    /// Keeps the entry of this process in `/proc` from being made anew, as which it would no longer be allowed.
    _own_proc: Option<OwnedFd>,
}

/// Why a process could not be confined. It must end, because it may be able to do more than it should.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Something was not given up.
    #[error("{what} cannot be given up: {source}")]
    Privileges {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path to be left open does not exist.
    #[error("{} cannot be left open to this process: {source}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel's landlock does not take the rules.
    #[error("files cannot be closed off: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The kernel's seccomp does not take the filter.
    #[error("system calls cannot be closed off: {0}")]
    Syscalls(#[from] seccompiler::Error),
}

/// Confines this process for good. Once, while it has a single thread and no descriptor beyond the standard three that
/// it wants to keep: others are closed.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine(allowed: &Allowed) -> Result<Confined, ConfineError> {
    privileges::close_inherited();
    privileges::give_up()?;
    let own_proc = files::close_off(allowed)?;
    let seccomp = syscalls::close_off()?;
    Ok(Confined { landlock: own_proc.is_some(), seccomp, _own_proc: own_proc })
}

// === impl Confined ===

impl Confined {
    /// The layers that this kernel has, as in [`wasmnode_provider_api::Welcome`].
    pub fn features(&self) -> Vec<String> {
        let layers = [("landlock", self.landlock), ("seccomp", self.seccomp)];
        layers.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect()
    }
}
