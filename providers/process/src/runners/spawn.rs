//! A runner's process is started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wasmnode_provider_api::{HostPath, SandboxSpec};

use super::names::{GroupDirs, RunnerId, socket_name};
use super::{Config, Launch, files};

/// The agent's service. Units that are ordered before another one are stopped after it: when the machine shuts down, the
/// agent ends pods in order while their runners are still there.
const AGENT: &str = "wasmnode.service";

/// Reaches a runner's socket through the descriptor of its directory: the address of a Unix socket has room for 107
/// bytes, which the name of a namespace can exceed.
pub(crate) fn socket_address(directory: &OwnedFd, id: &RunnerId) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/{}", directory.as_raw_fd(), socket_name(id)))
}

/// Opens the directory of a group's records. The descriptor is closed on exec.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    std::fs::File::open(path).map(OwnedFd::from)
}

/// Makes what a runner needs and binds its socket. Blocks.
pub(crate) fn prepare(dirs: &GroupDirs, id: &RunnerId, user: Option<u32>) -> io::Result<(OwnedFd, UnixListener)> {
    files::make_dir(&dirs.runners, 0o755)?;
    files::make_dir(&dirs.runs(id), 0o700)?;
    for (directory, mode) in [(&dirs.code, 0o755), (&dirs.exits, 0o755), (&dirs.exits_of(id), 0o700)] {
        files::make_dir(directory, mode)?;
    }
    if let Some(user) = user {
        std::os::unix::fs::lchown(dirs.exits_of(id), Some(user), Some(user))?;
    }
    // A runner closes itself off from all but what is there when it starts.
    for pods in dirs.pods.iter().filter(|pods| !pods.exists()) {
        files::make_dir(pods, 0o750)?;
        std::os::unix::fs::lchown(pods, None, user)?;
    }
    let directory = open_dir(&dirs.runners)?;
    let address = socket_address(&directory, id);
    let listener = UnixListener::bind(&address)?;
    std::fs::set_permissions(&address, std::fs::Permissions::from_mode(0o600))?;
    Ok((directory, listener))
}

/// Starts the process and returns its pid. It is reaped through its pidfd. Blocks.
pub(crate) fn spawn(config: &Config, spec: &SandboxSpec, id: &RunnerId, socket: UnixListener) -> io::Result<i32> {
    let mut words = command(config, spec, id).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env_clear().current_dir("/");
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::inherit());
    if let (Launch::Session, Some(user)) = (&config.launch, spec.isolation.user) {
        // Supplementary groups go as well: the standard library drops them when root sets a user.
        command.gid(user).uid(user);
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// Program and arguments. `systemd-run --scope` becomes the program that it runs, so that the pid is the runner's; it
/// must talk to systemd as root, and its own `--uid` takes only users that have a name.
fn command(config: &Config, spec: &SandboxSpec, id: &RunnerId) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    if let Launch::Systemd { slice } = &config.launch {
        words.extend(["systemd-run", "--scope", "--quiet", "--collect"].map(Into::into));
        words.push(format!("--unit=wasmnode-runner-{id}").into());
        words.push(format!("--slice={slice}").into());
        words.push(format!("--property=Before={AGENT}").into());
        words.push("--".into());
        if let Some(user) = spec.isolation.user {
            words.push("setpriv".into());
            words.extend([format!("--reuid={user}"), format!("--regid={user}")].map(Into::into));
            words.extend(["--clear-groups", "--"].map(Into::into));
        }
    }
    words.push(config.program.clone().into());
    words.extend(arguments(config, spec, id));
    words
}

fn arguments(config: &Config, spec: &SandboxSpec, id: &RunnerId) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["runner".into()];
    let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
    option("--group", spec.isolation.group.clone().into());
    option("--id", id.as_str().into());
    option("--state-root", config.state_root.clone().into());
    option("--memory-root", config.memory_root.clone().into());
    option("--logs-root", config.logs_root.clone().into());
    option("--capacity", config.capacity.to_string().into());
    option("--wasip3", if config.wasip3 { "on" } else { "off" }.into());
    option("--build", config.build.clone().into());
    for HostPath { path, read_only } in &spec.isolation.paths {
        let mut value = OsString::from(if *read_only { "ro:" } else { "rw:" });
        value.push(path);
        option("--path", value);
    }
    words.extend(config.log_args.iter().map(Into::into));
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use wasmnode_provider_api::{Isolation, SandboxId};

    use super::*;

    fn config(launch: Launch) -> Config {
        Config {
            state_root: "/s".into(),
            memory_root: "/m".into(),
            logs_root: "/l".into(),
            program: "/s/bin/b1/wasmnode".into(),
            build: "b1".to_owned(),
            bin_dir: "/s/bin".into(),
            engines: Vec::new(),
            runtime: String::new(),
            capacity: 7,
            wasip3: true,
            log_args: vec!["--v".to_owned(), "3".to_owned()],
            launch,
            idle: Duration::from_secs(10),
        }
    }

    #[test]
    fn says_all_that_a_runner_must_know() {
        let paths =
            vec![HostPath { path: "/a b".into(), read_only: true }, HostPath { path: "/c".into(), read_only: false }];
        let spec = SandboxSpec {
            id: SandboxId::new("0".repeat(64)).unwrap(),
            name: String::new(),
            hostname: String::new(),
            addresses: Vec::new(),
            memory_limit: None,
            cpu_millis: None,
            isolation: Isolation { group: "ns-x".to_owned(), user: Some(9), paths },
        };
        let id = RunnerId::parse("0123456789abcdef").unwrap();
        let line = |launch| {
            let words = command(&config(launch), &spec, &id).into_iter();
            words.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let runner = "/s/bin/b1/wasmnode runner --group ns-x --id 0123456789abcdef --state-root /s --memory-root /m \
             --logs-root /l --capacity 7 --wasip3 on --build b1 --path ro:/a b --path rw:/c --v 3";
        assert_eq!(line(Launch::Session), runner);
        let scope = "systemd-run --scope --quiet --collect --unit=wasmnode-runner-0123456789abcdef \
             --slice=wasmnode.slice --property=Before=wasmnode.service -- setpriv --reuid=9 --regid=9 --clear-groups --";
        assert_eq!(line(Launch::Systemd { slice: "wasmnode.slice".to_owned() }), format!("{scope} {runner}"));
    }
}
