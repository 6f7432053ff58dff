//! A provider with one pod and a server in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, ContainerUsage, EngineName, Error, Event, EventStream, Exit, HttpSettings, Isolation,
    Limits, Log, Provider, RunId, RunSpec, SandboxId, SandboxSpec, Stdin, Stdio, Usage, Workload,
};
use wasmnode_provider_wasmtime::{Settings, WasmtimeProvider, compile, engine_ids};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The guests of this test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    Wasip2,
    Wasip3,
    Report,
}

pub(crate) struct Rig {
    pub(crate) provider: WasmtimeProvider,
    pub(crate) dir: TempDir,
    pub(crate) sandbox: SandboxId,
    events: EventStream,
    seen: Vec<Event>,
    runs: u64,
}

/// A server that runs.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) spec: RunSpec,
}

fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/components")
}

/// Compiled once for all tests.
fn compiled(guest: Guest) -> &'static (String, Vec<u8>) {
    static CODE: [OnceLock<(String, Vec<u8>)>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let (slot, name) = match guest {
        Guest::Wasip2 => (0, "http.wasm"),
        Guest::Wasip3 => (1, "http3.wasm"),
        Guest::Report => (2, "report.wasm"),
    };
    CODE[slot].get_or_init(|| {
        let wasm = std::fs::read(components().join(name)).unwrap();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&wasm)));
        (digest, compile(guest.engine(), &wasm).unwrap())
    })
}

/// A port of the host's loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Guest {
    fn engine(self) -> EngineName {
        if self == Self::Wasip3 { EngineName::Wasip3 } else { EngineName::Base }
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with_addresses(vec![Ipv4Addr::LOCALHOST.into()]).await
    }

    pub(crate) async fn with_addresses(addresses: Vec<IpAddr>) -> Self {
        let provider = WasmtimeProvider::new(Settings { capacity: 8, threads: 2, ..Settings::default() }).unwrap();
        let sandbox = SandboxId::new("a".repeat(64)).unwrap();
        let spec = SandboxSpec {
            id: sandbox.clone(),
            name: "default/web".to_owned(),
            hostname: "web".to_owned(),
            addresses,
            memory_limit: None,
            cpu_millis: None,
            isolation: Isolation::default(),
        };
        provider.create_sandbox(spec).await.unwrap();
        let events = provider.events().await.unwrap();
        Self { provider, dir: tempfile::tempdir().unwrap(), sandbox, events, seen: Vec::new(), runs: 0 }
    }

    pub(crate) async fn artifact(&self, guest: Guest) -> Artifact {
        let (digest, code) = compiled(guest);
        let path = self.dir.path().join(format!("{guest:?}.cwasm"));
        // Written once: the provider has mapped it.
        if !path.exists() {
            std::fs::write(&path, code).unwrap();
        }
        let ids = engine_ids(&Settings::default()).unwrap();
        let engine = ids.into_iter().find(|engine| engine.name == guest.engine()).unwrap().id;
        let kind = ArtifactKind::Component;
        let artifact = Artifact { digest: digest.clone(), engine, engine_name: guest.engine(), kind, path };
        self.provider.prepare(&self.sandbox, &artifact).await.unwrap();
        artifact
    }

    pub(crate) async fn spec(&mut self, guest: Guest, workload: Workload) -> RunSpec {
        self.runs += 1;
        let log = Log { path: self.dir.path().join(format!("{}.log", self.runs)), max_bytes: 1 << 20, max_files: 2 };
        RunSpec {
            id: RunId::new(format!("{:064x}", self.runs)).unwrap(),
            sandbox: self.sandbox.clone(),
            container: format!("c{}", self.runs),
            artifact: self.artifact(guest).await,
            argv: vec!["http.wasm".to_owned()],
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            stdio: Stdio { log: Some(log), stdin: Stdin::Empty, tty: false },
            limits: Limits::default(),
            workload,
        }
    }

    /// A server on a free port.
    pub(crate) async fn server_spec(&mut self, guest: Guest, settings: HttpSettings) -> (RunSpec, SocketAddr) {
        let port = free_port();
        let spec = self.spec(guest, Workload::HttpServer { ports: vec![port], settings }).await;
        (spec, (Ipv4Addr::LOCALHOST, port).into())
    }

    pub(crate) async fn start(&self, spec: RunSpec, address: SocketAddr) -> Serving {
        self.provider.start(spec.clone()).await.unwrap();
        Serving { address, spec }
    }

    pub(crate) async fn serve(&mut self, guest: Guest, settings: HttpSettings) -> Serving {
        let (spec, address) = self.server_spec(guest, settings).await;
        self.start(spec, address).await
    }

    /// The first event that is wanted, those that were read before included.
    pub(crate) async fn event<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.seen.iter().find_map(&wanted) {
                return found;
            }
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
            self.seen.push(event.expect("an event in time").unwrap());
        }
    }

    pub(crate) async fn exit(&mut self, run: &RunId) -> Exit {
        self.event(|event| match event {
            Event::Exited(exit) if exit.run == *run => Some(exit.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn usage(&self) -> Usage {
        self.provider.usage(&self.sandbox).await.unwrap()
    }

    /// Waits until the only container's usage is as wanted.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&ContainerUsage) -> bool) -> ContainerUsage {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let usage = self.usage().await.containers.remove(0);
            if holds(&usage) {
                return usage;
            }
            assert!(tokio::time::Instant::now() < patience, "{what} did not happen: {usage:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the server, so that its log is complete.
    pub(crate) async fn stopped(&mut self, serving: &Serving) -> (Exit, String) {
        self.provider.stop(&serving.spec.id).await.unwrap();
        let exit = self.exit(&serving.spec.id).await;
        (exit, serving.log())
    }
}

impl Serving {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.spec.stdio.log.as_ref().unwrap().path).unwrap()
    }
}

pub(crate) fn text_of<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}
