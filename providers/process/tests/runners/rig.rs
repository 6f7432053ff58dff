//! A node's directories, and what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, Event, EventStream, Exit, Isolation, Limits, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, Stdin, Stdio, StopMode, Workload,
};
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_process::runners::{Config, Launch, OpenError, Runners};

pub(crate) const GROUP: &str = "ns-default";

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Directories of a node; its runners end with it.
pub(crate) struct Rig {
    top: TempDir,
    pub(crate) build: String,
    pub(crate) capacity: u32,
    pub(crate) idle: Duration,
}

/// What was reported so far.
pub(crate) struct Heard {
    stream: EventStream,
    seen: Vec<Event>,
    /// Runs of an earlier agent have begun already.
    joined_late: bool,
}

pub(crate) fn play(case: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, case).await }).map_err(|_| "took too long".into())
}

pub(crate) fn sandbox_id(n: u32) -> SandboxId {
    SandboxId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn run_id(n: u32) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn sandbox(n: u32, group: &str) -> SandboxSpec {
    SandboxSpec {
        id: sandbox_id(n),
        name: format!("default/p{n}"),
        hostname: format!("p{n}"),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation { group: group.to_owned(), ..Isolation::default() },
    }
}

// === impl Rig ===

impl Rig {
    pub(crate) fn new() -> Self {
        let rig = Self {
            top: tempfile::Builder::new().prefix("runners").tempdir().unwrap(),
            build: "b1".to_owned(),
            capacity: 1000,
            idle: Duration::from_secs(60),
        };
        rig.group(GROUP);
        fs::create_dir(rig.path("store")).unwrap();
        fs::write(rig.path("store/a.cwasm"), "code").unwrap();
        rig
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.top.path().join(below)
    }

    /// As whoever makes a group's directories does.
    pub(crate) fn group(&self, name: &str) {
        for root in ["state", "memory"] {
            fs::create_dir_all(self.path(root).join("groups").join(name)).unwrap();
        }
    }

    pub(crate) fn config(&self) -> Config {
        let bin = self.path("state/bin").join(&self.build);
        let program = bin.join("wasmnode");
        if !program.exists() {
            fs::create_dir_all(&bin).unwrap();
            std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
        }
        Config {
            state_root: self.path("state"),
            memory_root: self.path("memory"),
            logs_root: self.path("logs"),
            program,
            build: self.build.clone(),
            bin_dir: self.path("state/bin"),
            engines: vec![FakeProvider::engine()],
            runtime: "fake://1".to_owned(),
            capacity: self.capacity,
            wasip3: false,
            log_args: Vec::new(),
            launch: Launch::Session,
            idle: self.idle,
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Runners, OpenError> {
        Runners::open(self.config()).await
    }

    pub(crate) async fn open(&self) -> (Runners, Heard) {
        let joined_late = !self.records(GROUP).is_empty();
        let runners = self.try_open().await.unwrap();
        let stream = runners.events().await.unwrap();
        (runners, Heard { stream, seen: Vec::new(), joined_late })
    }

    pub(crate) fn artifact(&self) -> Artifact {
        let engine = FakeProvider::engine();
        Artifact {
            digest: format!("sha256:{}", "a".repeat(64)),
            engine: engine.id,
            engine_name: engine.name,
            kind: ArtifactKind::Module,
            path: self.path("store/a.cwasm"),
        }
    }

    pub(crate) fn run(&self, n: u32, sandbox: u32, script: &str) -> RunSpec {
        RunSpec {
            id: run_id(n),
            sandbox: sandbox_id(sandbox),
            container: format!("c{n}"),
            artifact: self.artifact(),
            argv: vec!["program".to_owned(), script.to_owned()],
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            stdio: Stdio { log: None, stdin: Stdin::Empty, tty: false },
            limits: Limits::default(),
            workload: Workload::Command { stop: StopMode::Cancel },
        }
    }

    /// A sandbox with one run.
    pub(crate) async fn pod(&self, runners: &Runners, n: u32, group: &str, script: &str) {
        self.group(group);
        runners.create_sandbox(sandbox(n, group)).await.unwrap();
        runners.prepare(&sandbox_id(n), &self.artifact()).await.unwrap();
        runners.start(self.run(n, n, script)).await.unwrap();
    }

    pub(crate) fn records(&self, group: &str) -> Vec<PathBuf> {
        entries(&self.path("memory/groups").join(group).join("runners"), "json")
    }

    /// The pid of the group's only runner.
    pub(crate) fn pid(&self, group: &str) -> i32 {
        let records = self.records(group);
        let [record] = records.as_slice() else { panic!("{records:?}") };
        pid_in(record).unwrap()
    }

    pub(crate) fn signal(&self, group: &str, signal: Signal) {
        rustix::process::kill_process(Pid::from_raw(self.pid(group)).unwrap(), signal).unwrap();
    }

    /// Where the group's only runner leaves exits.
    pub(crate) fn exits(&self, group: &str) -> PathBuf {
        let id = self.records(group)[0].file_stem().unwrap().to_owned();
        self.path("state/groups").join(group).join("exits").join(id)
    }

    /// Nothing of any runner is left in the group's directories.
    pub(crate) async fn assert_clean(&self, group: &str) {
        let runners = self.path("memory/groups").join(group).join("runners");
        let exits = self.path("state/groups").join(group).join("exits");
        let code = self.path("state/groups").join(group).join("code");
        eventually("nothing is left", || [&runners, &exits, &code].iter().all(|path| entries(path, "").is_empty()))
            .await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let Ok(groups) = fs::read_dir(self.path("memory/groups")) else { return };
        for record in groups.flatten().flat_map(|group| entries(&group.path().join("runners"), "json")) {
            let runner = pid_in(&record).filter(|pid| {
                let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.contains(&*record.file_stem().unwrap_or_default().to_string_lossy())
            });
            if let Some(pid) = runner.and_then(Pid::from_raw) {
                let _gone = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

pub(crate) fn pid_in(record: &Path) -> Option<i32> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    record["pid"].as_i64()?.try_into().ok()
}

pub(crate) fn entries(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| extension.is_empty() || path.extension().is_some_and(|e| e == extension)).collect()
}

/// For what has no event: files that go, processes that end.
pub(crate) async fn eventually(what: &str, so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The event of a run, whichever runner's came first; a second one of a kind is a failure.
async fn heard(events: &mut Heard, n: u32, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        if let Some(event) = events.seen.iter().find(|event| run_of(event) == &run_id(n) && wanted(event)) {
            return event.clone();
        }
        let event = events.stream.recv().await.unwrap();
        let same = |seen: &Event| run_of(seen) == run_of(&event) && is_exit(seen) == is_exit(&event);
        assert!(!events.seen.iter().any(same), "twice: {event:?}");
        let began = |seen: &Event| run_of(seen) == run_of(&event) && !is_exit(seen);
        assert!(!is_exit(&event) || events.seen.iter().any(began) || events.joined_late, "never began: {event:?}");
        events.seen.push(event);
    }
}

fn is_exit(event: &Event) -> bool {
    matches!(event, Event::Exited(_))
}

fn run_of(event: &Event) -> &RunId {
    match event {
        Event::Started { run, .. } | Event::FirstRequest { run } | Event::Exited(Exit { run, .. }) => run,
    }
}

pub(crate) async fn exited(events: &mut Heard, n: u32) -> Exit {
    match heard(events, n, is_exit).await {
        Event::Exited(exit) => exit,
        event => unreachable!("{event:?}"),
    }
}

pub(crate) async fn started(events: &mut Heard, n: u32) {
    heard(events, n, |event| !is_exit(event)).await;
}
