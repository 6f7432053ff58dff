//! The verb `runner`: guests in a process that has given everything away that it does not need.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, EngineName, Event, EventStream, Exit, ExitReason, Hello, Isolation, Limits, Log, Mount,
    Provider, RunId, RunSpec, SandboxId, SandboxSpec, Stdin, Stdio as GuestStdio, StopMode, Workload, wire,
};
use wasmnode_provider_process::{PROTOCOL, Remote, exit_file_name};
use wasmnode_provider_wasmtime::{Settings, compile, engine_ids};

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a file in its first directory and exits with 3.
const WRITES: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "file")
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))
      (then (call $exit (i32.const 9))))
    (call $exit (i32.const 3))))"#;

const SPINS: &str = r#"(module (func (export "_start") (loop $l (br $l))))"#;

/// Directories as an agent makes them, and a runner in them.
struct Rig {
    top: TempDir,
    runner: Child,
}

// === impl Rig ===

impl Rig {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        for directory in
            ["state/groups/g/pods/u", "state/groups/g/code", "state/groups/g/exits/r1", "memory/groups/g/pods", "logs"]
        {
            fs::create_dir_all(top.path().join(directory)).unwrap();
        }
        let socket = UnixListener::bind(top.path().join("sock")).unwrap();
        let runner = command(top.path()).stdin(OwnedFd::from(socket)).spawn().unwrap();
        Self { top, runner }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    async fn remote(&self) -> Remote {
        Remote::connect(&self.path("sock")).await.unwrap()
    }

    /// Code where a runner may read it.
    fn artifact(&self, text: &str) -> Artifact {
        let wasm = wat::parse_str(text).unwrap();
        let engine = engine_ids(&Settings::default()).unwrap().remove(0);
        assert_eq!(engine.name, EngineName::Base);
        let path = self.path(&format!("state/groups/g/code/{}.cwasm", text.len()));
        fs::write(&path, compile(EngineName::Base, &wasm).unwrap()).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        fs::set_permissions(&path, permissions).unwrap();
        let digest = format!("sha256:{}", text.len());
        Artifact { digest, engine: engine.id, engine_name: engine.name, kind: ArtifactKind::Module, path }
    }

    fn run(&self, n: u64, artifact: Artifact) -> RunSpec {
        let log = Log { path: self.path("logs/0.log"), max_bytes: 1 << 20, max_files: 2 };
        let mount = Mount { host: self.path("state/groups/g/pods/u"), guest: "/".to_owned(), read_only: false };
        RunSpec {
            id: run_id(n),
            sandbox: sandbox_id(),
            container: format!("c{n}"),
            artifact,
            argv: vec!["program".to_owned()],
            env: Vec::new(),
            cwd: None,
            mounts: vec![mount],
            stdio: GuestStdio { log: Some(log), stdin: Stdin::Empty, tty: false },
            limits: Limits::default(),
            workload: Workload::Command { stop: StopMode::Cancel },
        }
    }

    async fn start(&self, remote: &Remote, n: u64, text: &str) {
        let artifact = self.artifact(text);
        remote.prepare(&sandbox_id(), &artifact).await.unwrap();
        remote.start(self.run(n, artifact)).await.unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        let pid = self.runner.id();
        let waiting = async {
            loop {
                if let Some(status) = self.runner.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("runner {pid} should end"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.runner.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

fn command(top: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmnode"));
    command.args(["runner", "--group", "g", "--id", "r1", "--capacity", "8", "--wasip3", "off", "--build", "b1"]);
    for (flag, directory) in [("--state-root", "state"), ("--memory-root", "memory"), ("--logs-root", "logs")] {
        command.arg(flag).arg(top.join(directory));
    }
    command.env_clear().current_dir("/").stdout(Stdio::null());
    command
}

fn run_id(n: u64) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

fn sandbox_id() -> SandboxId {
    SandboxId::new("5".repeat(64)).unwrap()
}

fn sandbox() -> SandboxSpec {
    SandboxSpec {
        id: sandbox_id(),
        name: "default/pod".to_owned(),
        hostname: "pod".to_owned(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation { group: "g".to_owned(), ..Isolation::default() },
    }
}

async fn exit_of(events: &mut EventStream, run: &RunId) -> Exit {
    loop {
        match tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event in time") {
            Some(Event::Exited(exit)) if exit.run == *run => return exit,
            Some(_) => {}
            None => panic!("events have ended"),
        }
    }
}

#[tokio::test]
async fn guests_run_in_a_confined_process() {
    let rig = Rig::new();
    let remote = rig.remote().await;
    let welcome = remote.hello(Hello { protocol: PROTOCOL, build: "test".to_owned() }).await.unwrap();
    assert_eq!((welcome.build.as_str(), welcome.capacity), ("b1", 8));
    remote.create_sandbox(sandbox()).await.unwrap();
    let mut events = remote.events().await.unwrap();
    rig.start(&remote, 1, WRITES).await;
    assert_eq!(exit_of(&mut events, &run_id(1)).await.code, 3);
    assert!(rig.path("state/groups/g/pods/u/file").exists());
    rig.start(&remote, 2, SPINS).await;
    remote.kill(&run_id(2)).await.unwrap();
    assert_eq!(exit_of(&mut events, &run_id(2)).await.reason, ExitReason::Killed);
    remote.ping().await.unwrap();
}

#[tokio::test]
async fn exits_are_kept_when_the_process_is_gone() {
    let mut rig = Rig::new();
    let remote = rig.remote().await;
    remote.create_sandbox(sandbox()).await.unwrap();
    let mut events = remote.events().await.unwrap();
    rig.start(&remote, 1, WRITES).await;
    exit_of(&mut events, &run_id(1)).await;
    rig.signal(Signal::KILL);
    rig.ended().await;
    let kept = fs::read(rig.path("state/groups/g/exits/r1").join(exit_file_name(&run_id(1)))).unwrap();
    assert_eq!(wire::decode::<Exit>(&kept).unwrap().code, 3);
}

#[tokio::test]
async fn it_ends_its_guests_first_when_told_to_end() {
    let mut rig = Rig::new();
    let remote = rig.remote().await;
    remote.create_sandbox(sandbox()).await.unwrap();
    rig.start(&remote, 1, SPINS).await;
    drop(remote);
    rig.signal(Signal::HUP);
    assert_eq!(
        rig.remote().await.list().await.unwrap().runs.len(),
        1,
        "a closing terminal and a lost agent are nothing"
    );
    rig.signal(Signal::TERM);
    assert!(rig.ended().await.success());
    let kept = fs::read(rig.path("state/groups/g/exits/r1").join(exit_file_name(&run_id(1)))).unwrap();
    let exit = wire::decode::<Exit>(&kept).unwrap();
    assert_eq!((exit.code, exit.reason), (143, ExitReason::Stopped));
}

#[tokio::test]
async fn it_ends_at_once_when_nothing_runs() {
    let mut rig = Rig::new();
    drop(rig.remote().await);
    rig.signal(Signal::TERM);
    assert!(rig.ended().await.success());
}

#[test]
fn last_words_say_what_is_missing() {
    let top = tempfile::tempdir().unwrap();
    for directory in ["state/groups/g/pods", "state/groups/g/code", "state/groups/g/exits/r1", "logs"] {
        fs::create_dir_all(top.path().join(directory)).unwrap();
    }
    let output = command(top.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = fs::read_to_string(top.path().join("state/groups/g/exits/r1/crash")).unwrap();
    assert!(words.contains("memory/groups/g/pods"), "{words}");
}
