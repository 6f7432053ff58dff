//! A provider behind a socket in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, Exit, ExitReason, Isolation, Limits, Provider, RunId, RunSpec, SandboxId, SandboxSpec,
    Stdin, Stdio, StopMode, Workload,
};
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_process::{Remote, ServeError, serve};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
}

/// In time, or the test has failed.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this in time")
}

impl Rig {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        Self::within(tempfile::tempdir().unwrap(), provider)
    }

    pub(crate) fn within(dir: TempDir, provider: Arc<dyn Provider>) -> Self {
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, provider, stop.clone()));
        Self { dir, stop, served }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    pub(crate) async fn remote(&self) -> Remote {
        soon(Remote::connect(&self.socket())).await.unwrap()
    }

    pub(crate) async fn raw(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }

    /// Ends the serving and frees the socket's name.
    pub(crate) async fn end(self) -> TempDir {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        std::fs::remove_file(self.dir.path().join("sock")).unwrap();
        self.dir
    }
}

pub(crate) fn run_id(n: u64) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn sandbox_id(n: u64) -> SandboxId {
    SandboxId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn sandbox(n: u64) -> SandboxSpec {
    SandboxSpec {
        id: sandbox_id(n),
        name: "default/pod".to_owned(),
        hostname: "pod".to_owned(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation::default(),
    }
}

pub(crate) fn artifact() -> Artifact {
    let engine = FakeProvider::engine();
    Artifact {
        digest: "sha256:fake".to_owned(),
        engine: engine.id,
        engine_name: engine.name,
        kind: ArtifactKind::Module,
        path: "/none".into(),
    }
}

pub(crate) fn run(n: u64, script: &str) -> RunSpec {
    RunSpec {
        id: run_id(n),
        sandbox: sandbox_id(1),
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

pub(crate) fn exit(n: u64, message: String) -> Exit {
    Exit {
        run: run_id(n),
        code: 1,
        reason: ExitReason::Exited,
        message,
        started_at: SystemTime::UNIX_EPOCH,
        finished_at: SystemTime::UNIX_EPOCH,
    }
}

/// A provider with sandbox 1 and an artifact in it.
pub(crate) async fn furnished() -> FakeProvider {
    let fake = FakeProvider::new();
    fake.create_sandbox(sandbox(1)).await.unwrap();
    fake.prepare(&sandbox_id(1), &artifact()).await.unwrap();
    fake
}
