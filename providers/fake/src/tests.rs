//! What only this provider has.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::time::Instant;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, Engine, Error, Event, EventStream, Exit, ExitReason, Isolation, Limits, Provider, RunId,
    RunSpec, SandboxId, SandboxSpec, Stdin, Stdio, StopMode, Workload,
};

use crate::{FakeProvider, Script};

fn artifact() -> Artifact {
    let Engine { name, id } = FakeProvider::engine();
    let (digest, path) = ("sha256:a".to_owned(), "/none".into());
    Artifact { digest, engine: id, engine_name: name, kind: ArtifactKind::Module, path }
}

fn sandbox_id() -> SandboxId {
    SandboxId::new("a".repeat(64)).unwrap()
}

fn run(n: u64, script: &str) -> RunSpec {
    RunSpec {
        id: RunId::new(format!("{n:064x}")).unwrap(),
        sandbox: sandbox_id(),
        container: "c".to_owned(),
        artifact: artifact(),
        argv: vec![script.to_owned()],
        env: Vec::new(),
        cwd: None,
        mounts: Vec::new(),
        stdio: Stdio { log: None, stdin: Stdin::Empty, tty: false },
        limits: Limits::default(),
        workload: Workload::Command { stop: StopMode::Cancel },
    }
}

async fn ready() -> (FakeProvider, EventStream) {
    let fake = FakeProvider::new();
    let sandbox = SandboxSpec {
        id: sandbox_id(),
        name: "ns/pod".to_owned(),
        hostname: "pod".to_owned(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation::default(),
    };
    fake.create_sandbox(sandbox).await.unwrap();
    fake.prepare(&sandbox_id(), &artifact()).await.unwrap();
    let events = fake.events().await.unwrap();
    (fake, events)
}

async fn exit(events: &mut EventStream) -> Exit {
    loop {
        if let Event::Exited(exit) = events.recv().await.unwrap() {
            return exit;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn runs_in_paused_time() {
    let (fake, mut events) = ready().await;
    let before = Instant::now();
    fake.start(run(1, "run 90m, exit 4")).await.unwrap();
    assert_eq!(exit(&mut events).await.code, 4);
    assert_eq!(before.elapsed(), Duration::from_secs(90 * 60));
}

#[tokio::test(start_paused = true)]
async fn ignores_stop_but_not_kill() {
    let (fake, mut events) = ready().await;
    let stubborn = run(1, "ignore stop, run 10s, exit 0");
    fake.start(stubborn.clone()).await.unwrap();
    fake.stop(&stubborn.id).await.unwrap();
    assert_eq!(exit(&mut events).await.reason, ExitReason::Exited);
    let stubborn = run(2, "ignore stop, never exit");
    fake.start(stubborn.clone()).await.unwrap();
    fake.stop(&stubborn.id).await.unwrap();
    fake.kill(&stubborn.id).await.unwrap();
    assert_eq!(exit(&mut events).await.reason, ExitReason::Killed);
}

#[tokio::test]
async fn does_what_a_test_wants() {
    let (fake, mut events) = ready().await;
    fake.refuse_next_start(Error::Full("busy".to_owned()));
    assert_eq!(fake.start(run(1, "never exit")).await, Err(Error::Full("busy".to_owned())));
    fake.start(run(1, "never exit")).await.unwrap();
    assert_eq!(fake.starts().len(), 2);
    fake.lose_all("the runner was killed");
    let exit = exit(&mut events).await;
    assert_eq!((exit.code, exit.reason, exit.message.as_str()), (255, ExitReason::Lost, "the runner was killed"));
    let gone = Error::Failed("gone".to_owned());
    fake.refuse_artifact("sha256:a", Some(gone.clone()));
    assert_eq!(fake.prepare(&sandbox_id(), &artifact()).await, Err(gone));
}

#[tokio::test]
async fn an_artifact_may_have_a_script() {
    let (fake, mut events) = ready().await;
    fake.script("sha256:a", Script::parse(&["exit 6"]).unwrap());
    fake.start(run(1, "--some --flags")).await.unwrap();
    assert_eq!(exit(&mut events).await.code, 6);
}
