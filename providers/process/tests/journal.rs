//! Exits on disk.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmnode_provider_api::{
    Artifact, ArtifactKind, Event, EventStream, Exit, Hello, Isolation, Limits, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, Stdin, Stdio, StopMode, Workload, wire,
};
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_process::{Journal, JournalError, exit_file_name};

const PATIENCE: Duration = Duration::from_secs(60);

fn run_id(n: u64) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

fn sandbox_id() -> SandboxId {
    SandboxId::new("5".repeat(64)).unwrap()
}

fn artifact() -> Artifact {
    let engine = FakeProvider::engine();
    let (digest, path) = ("sha256:fake".to_owned(), "/none".into());
    Artifact { digest, engine: engine.id, engine_name: engine.name, kind: ArtifactKind::Module, path }
}

fn run(n: u64, script: &str) -> RunSpec {
    RunSpec {
        id: run_id(n),
        sandbox: sandbox_id(),
        container: "c".to_owned(),
        artifact: artifact(),
        argv: vec!["program".to_owned(), script.to_owned()],
        env: Vec::new(),
        cwd: None,
        mounts: Vec::new(),
        stdio: Stdio { log: None, stdin: Stdin::Empty, tty: false },
        limits: Limits::default(),
        workload: Workload::Command { stop: StopMode::Cancel },
    }
}

async fn journal(dir: &Path) -> Journal {
    let journal = Journal::open(Arc::new(FakeProvider::new()), dir).await.unwrap();
    let sandbox = SandboxSpec {
        id: sandbox_id(),
        name: "default/pod".to_owned(),
        hostname: "pod".to_owned(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation::default(),
    };
    journal.create_sandbox(sandbox).await.unwrap();
    journal.prepare(&sandbox_id(), &artifact()).await.unwrap();
    journal
}

async fn next_exit(events: &mut EventStream) -> Exit {
    loop {
        match tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event in time") {
            Some(Event::Exited(exit)) => return exit,
            Some(_) => {}
            None => panic!("events have ended"),
        }
    }
}

fn kept(dir: &Path, n: u64) -> Option<Exit> {
    let bytes = fs::read(dir.join(exit_file_name(&run_id(n)))).ok()?;
    Some(wire::decode(&bytes).unwrap())
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn an_exit_is_on_disk_from_before_it_is_told_until_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path()).await;
    let mut events = journal.events().await.unwrap();
    for n in 1..=3 {
        journal.start(run(n, &format!("exit {n}"))).await.unwrap();
        let exit = next_exit(&mut events).await;
        assert_eq!(kept(dir.path(), n), Some(exit));
    }
    journal.acknowledge(&run_id(2)).await.unwrap();
    assert_eq!(kept(dir.path(), 2), None);
    assert_eq!(names(dir.path()).len(), 2, "nothing else is there");
    assert_eq!(kept(dir.path(), 3).unwrap().code, 3);
}

#[tokio::test]
async fn an_exit_is_on_disk_before_it_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path()).await;
    for n in 1..=100 {
        journal.start(run(n, "exit 0")).await.unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 100 {
        for exit in journal.list().await.unwrap().exits {
            assert_eq!(kept(dir.path(), u64::from_str_radix(exit.run.as_str(), 16).unwrap()), Some(exit.clone()));
            journal.acknowledge(&exit.run).await.unwrap();
            acknowledged += 1;
        }
        tokio::task::yield_now().await;
    }
    // An event that comes after its acknowledgement writes nothing any more: all have come when another one has.
    let mut events = journal.events().await.unwrap();
    journal.start(run(1000, "exit 0")).await.unwrap();
    while next_exit(&mut events).await.run != run_id(1000) {}
    assert_eq!(names(dir.path()), [exit_file_name(&run_id(1000))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_exit_that_was_acknowledged_while_it_was_listed_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(journal(dir.path()).await);
    let mut events = journal.events().await.unwrap();
    let listing = journal.clone();
    let lists = tokio::spawn(async move {
        loop {
            listing.list().await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for n in 1..=500 {
        journal.start(run(n, "exit 0")).await.unwrap();
        next_exit(&mut events).await;
        journal.acknowledge(&run_id(n)).await.unwrap();
    }
    lists.abort();
    let _aborted = lists.await;
    assert_eq!(names(dir.path()), [""; 0]);
}

#[tokio::test]
async fn without_room_on_disk_exits_are_told_and_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let exits = dir.path().join("exits");
    fs::create_dir(&exits).unwrap();
    let journal = journal(&exits).await;
    let mut events = journal.events().await.unwrap();
    fs::remove_dir(&exits).unwrap();
    for n in 1..=2 {
        journal.start(run(n, "exit 7")).await.unwrap();
        assert_eq!(next_exit(&mut events).await.code, 7);
    }
    assert_eq!(journal.list().await.unwrap().exits.len(), 2);
    fs::create_dir(&exits).unwrap();
    journal.acknowledge(&run_id(1)).await.unwrap();
    assert_eq!(journal.list().await.unwrap().exits.len(), 1);
    assert_eq!(names(&exits), [exit_file_name(&run_id(2))]);
    journal.acknowledge(&run_id(2)).await.unwrap();
    assert_eq!(names(&exits), [""; 0]);
}

#[tokio::test]
async fn says_which_directory_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = Journal::open(Arc::new(FakeProvider::new()), &dir.path().join("none")).await;
    let Err(JournalError::Directory { path, .. }) = refusal else { panic!("{refusal:?} should name the directory") };
    assert!(path.ends_with("none"));
}

#[tokio::test]
async fn describes_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path()).await.described("b1".to_owned(), vec!["landlock".to_owned()]);
    let welcome = journal.hello(Hello { protocol: 1, build: "agent".to_owned() }).await.unwrap();
    assert_eq!((welcome.build.as_str(), welcome.features.as_slice()), ("b1", &["landlock".to_owned()][..]));
}
