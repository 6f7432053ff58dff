//! One run of one container.

use std::path::PathBuf;

use crate::{Artifact, HttpSettings, RunId, SandboxId};

/// What `start` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// Unique per sandbox, container and attempt; a second start with the same id is refused.
    pub id: RunId,
    /// An existing sandbox.
    pub sandbox: SandboxId,
    /// Container name, for usage and logs.
    pub container: String,
    /// A prepared artifact.
    pub artifact: Artifact,
    /// Arguments, the program's name first.
    pub argv: Vec<String>,
    /// Environment in a stable order.
    pub env: Vec<(String, String)>,
    /// Working directory where the guest's interface has one (components); modules get `PWD`.
    pub cwd: Option<String>,
    /// Directories the guest sees, `/` first where there is one. Later ones may lie below earlier ones.
    pub mounts: Vec<Mount>,
    /// Where the standard streams go.
    pub stdio: Stdio,
    /// Bounds on this container.
    pub limits: Limits,
    /// What it does.
    pub workload: Workload,
}

/// A host directory in the guest's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute host path of a directory.
    pub host: PathBuf,
    /// Absolute guest path.
    pub guest: String,
    /// Writes fail.
    pub read_only: bool,
}

/// The standard streams of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stdio {
    /// Log file for stdout and stderr; `None` discards them.
    pub log: Option<Log>,
    /// What the guest reads.
    pub stdin: Stdin,
    /// stdout and stderr are one terminal.
    pub tty: bool,
}

/// A CRI log file and its rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Absolute path, e.g. `/var/log/pods/ns_pod_uid/c/0.log`; its directory exists.
    pub path: PathBuf,
    /// Rotate when the file is larger, bytes.
    pub max_bytes: u64,
    /// Files to keep in all, at least 2.
    pub max_files: u32,
}

/// Standard input of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// At end-of-file from the start.
    Empty,
    /// Open; fed by `attach`, closed by `stop` with [`StopMode::Stdin`].
    Open {
        /// Closed when the first attached client leaves.
        once: bool,
    },
}

/// Bounds on one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all linear memories together; `None`: what the pool allows.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core; `None`: no limit.
    pub cpu_millis: Option<u64>,
}

/// How a command is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Cancelled at its next yield, as SIGTERM's default action would: exit 143.
    Cancel,
    /// Its standard input, open and empty until then, is closed and the guest decides.
    Stdin,
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workload {
    /// Runs `_start` or `wasi:cli/run` once.
    Command {
        /// How `stop` works.
        stop: StopMode,
    },
    /// Serves `wasi:http` on all of the sandbox's addresses. `stop` ends it when the requests in progress are answered.
    HttpServer {
        /// TCP ports to listen on.
        ports: Vec<u16>,
        /// Bounds on clients and instances.
        settings: HttpSettings,
    },
}
