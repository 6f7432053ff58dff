//! A provider with a sandbox, and what cases do with them.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, Error, Event, EventStream, Exit, Isolation, Limits, Log, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, Stdin, Stdio, StopMode, Workload,
};

use crate::subject::{Does, Subject};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) subject: Subject,
    pub(crate) dir: TempDir,
    pub(crate) sandbox: SandboxId,
    /// Events that were read, in order.
    pub(crate) seen: Vec<Event>,
    events: EventStream,
    runs: u64,
}

pub(crate) fn run_id(n: u64) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn sandbox_id(n: u64) -> SandboxId {
    SandboxId::new(format!("{n:064x}")).unwrap()
}

pub(crate) fn sandbox_spec(id: SandboxId) -> SandboxSpec {
    SandboxSpec {
        id,
        name: "default/conformance".to_owned(),
        hostname: "conformance".to_owned(),
        addresses: vec![[127, 0, 0, 1].into()],
        memory_limit: None,
        cpu_millis: None,
        isolation: Isolation { group: "conformance".to_owned(), ..Isolation::default() },
    }
}

impl Rig {
    pub(crate) async fn new(subject: Subject) -> Self {
        Self::with_capacity(subject, 8).await
    }

    pub(crate) async fn with_capacity(subject: Subject, capacity: u32) -> Self {
        let provider = subject.provider(capacity).await;
        let sandbox = sandbox_id(1);
        provider.create_sandbox(sandbox_spec(sandbox.clone())).await.unwrap();
        let events = provider.events().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { provider, subject, dir, sandbox, seen: Vec::new(), events, runs: 0 }
    }

    /// The same with another provider.
    pub(crate) async fn over(mut self, provider: Arc<dyn Provider>) -> Self {
        provider.create_sandbox(sandbox_spec(self.sandbox.clone())).await.unwrap();
        self.events = provider.events().await.unwrap();
        self.provider = provider;
        self
    }

    /// A run of an artifact with the next free id.
    pub(crate) fn spec_of(&mut self, artifact: Artifact, argv: Vec<String>) -> RunSpec {
        self.runs += 1;
        let id = run_id(self.runs);
        let log = Log { path: self.dir.path().join(format!("{}.log", self.runs)), max_bytes: 1 << 20, max_files: 2 };
        RunSpec {
            id,
            sandbox: self.sandbox.clone(),
            container: format!("c{}", self.runs),
            artifact,
            argv,
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            stdio: Stdio { log: Some(log), stdin: Stdin::Empty, tty: false },
            limits: Limits::default(),
            workload: Workload::Command { stop: StopMode::Cancel },
        }
    }

    pub(crate) async fn spec(&mut self, does: Does) -> RunSpec {
        let (artifact, argv) = self.subject.guest(does, self.dir.path());
        self.provider.prepare(&self.sandbox, &artifact).await.unwrap();
        self.spec_of(artifact, argv)
    }

    pub(crate) async fn start(&mut self, does: Does) -> RunId {
        let spec = self.spec(does).await;
        let id = spec.id.clone();
        self.provider.start(spec).await.unwrap();
        id
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn run(&mut self, spec: RunSpec) -> Exit {
        let id = spec.id.clone();
        self.provider.start(spec).await.unwrap();
        self.exit_of(&id).await
    }

    /// Reads events until the run has ended, unless that was read before.
    pub(crate) async fn exit_of(&mut self, run: &RunId) -> Exit {
        loop {
            let ended = self.seen.iter().find_map(|event| match event {
                Event::Exited(exit) if exit.run == *run => Some(exit.clone()),
                _ => None,
            });
            match ended {
                Some(exit) => return exit,
                None => {
                    let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
                    self.seen.push(event.expect("an exit in time").expect("an open event stream"));
                }
            }
        }
    }

    /// The next event, `None` at the end of the stream.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time")
    }

    /// What the run's log file holds.
    pub(crate) fn log(&self, run: &RunSpec) -> String {
        std::fs::read_to_string(&run.stdio.log.as_ref().unwrap().path).unwrap()
    }
}

pub(crate) fn is_not_found<T: std::fmt::Debug>(result: Result<T, Error>, what: &str) {
    match result {
        Err(Error::NotFound { what: found, .. }) if found == what => {}
        other => panic!("{other:?} should say that the {what} does not exist"),
    }
}

pub(crate) fn is_there_already(result: Result<(), Error>, what: &str) {
    match result {
        Err(Error::Exists { what: found, .. }) if found == what => {}
        other => panic!("{other:?} should say that the {what} exists"),
    }
}
