//! A world of its own for a test program: network, mount and process namespaces, rootless where it is not
//! root.
//!
//! Nothing of it is left behind, however the program ends. Its processes die with the first one, its files
//! lie on a tmpfs of its mount namespace, its addresses in its network namespace. util-linux makes the
//! namespaces: doing so oneself takes a process without threads, and unsafe code.

mod loopback;

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    mount::{MountFlags, mount},
    process::geteuid,
};

/// Set for the program inside: the process id of the one that entered.
const INSIDE: &str = "WASMNODE_TESTS_INSIDE";

/// Where the control plane listens.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// How many nodes there are addresses and credentials for.
pub const NODES: u8 = 32;

/// Host folders that agents write to by default, replaced by empty ones.
const PRIVATE: [&str; 2] = ["/run", "/var/log"];
/// Where everything that is made lies: a short path, which names of sockets need, and one that every user may walk,
/// which a checkout's is not everywhere.
const SCRATCH: &str = "/run/tests";

/// A node's name and address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `wasm-1` and so on.
    pub name: String,
    /// Its address, on the loopback link of the namespace.
    pub address: Ipv4Addr,
}

impl Node {
    /// The node with an index from 1 to [`NODES`].
    pub fn new(index: u8) -> Self {
        Self { name: format!("wasm-{index}"), address: Ipv4Addr::new(172, 30, 0, 1 + index) }
    }

    /// Every node.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=NODES).map(Self::new)
    }
}

/// Whether this program runs inside already.
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this very program inside with the same arguments, to its end. It ends with this one.
pub fn enter() -> Result<ExitCode> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.args(["--kill-child", "--mount-proc"]);
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg(env::current_exe()?).args(env::args_os().skip(1)).env(INSIDE, process::id().to_string());
    let status = command.status().context("cannot run setpriv and unshare of util-linux")?;
    // A signal leaves no code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The shell words before a command that bring it inside from outside.
pub fn command_prefix() -> Result<String> {
    let outer = env::var(INSIDE).context("not inside a namespace")?;
    let rootless = fs::read_to_string("/proc/self/uid_map")?.split_whitespace().nth(2) == Some("1");
    let user = if rootless { " --user --preserve-credentials" } else { "" };
    // Its only child is unshare, which is in all of the namespaces but the one of processes.
    Ok(format!("nsenter --target $(cat /proc/{outer}/task/{outer}/children) --net --mount{user}"))
}

/// Makes the namespace usable: addresses, and the scratch folder, which it returns.
pub fn set_up() -> Result<PathBuf> {
    ensure!(inside(), "not inside a namespace");
    let nodes = Node::all().map(|node| node.address);
    loopback::set_up([CONTROL_PLANE].into_iter().chain(nodes)).context("cannot set up the loopback link")?;
    for folder in PRIVATE {
        mount_tmpfs(Path::new(folder))?;
    }
    let scratch = PathBuf::from(SCRATCH);
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    Ok(scratch)
}

fn mount_tmpfs(at: &Path) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("wasmnode-tests", at, "tmpfs", flags, c"mode=0755")
        .with_context(|| format!("cannot mount a tmpfs on {}", at.display()))
}
