//! The providers under test, and how each one is made to do the same thing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmnode_provider_api::{Artifact, ArtifactKind, Engine, EngineName, Provider};
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_wasmtime::{Settings, WasmtimeProvider, compile, engine_ids};

use crate::guests;
use crate::remote;
use crate::shim::Shim;

/// What a run does, in every provider.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    Exit(i32),
    /// Blocks until it is told to end.
    Sleep,
    Trap,
    /// Asks for more memory until it gets none.
    Grow,
    /// Holds this many mebibytes and sleeps.
    Hold(u32),
    /// Exits with 7 when its standard input is closed.
    ReadStdin,
    /// Sleeps, and in an exec exits with what [`Subject::exec_argv`] says.
    ExecTarget,
}

/// What lies between a case and the provider.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind {
    Nothing,
    /// Whatever crosses the trait is encoded and decoded.
    Shim,
    /// A socket, and a journal.
    Socket,
}

pub(crate) enum Subject {
    Fake(Behind),
    Wasmtime(Behind),
}

/// Small, so that dozens of them fit into one test process.
pub(crate) fn settings(capacity: u32) -> Settings {
    Settings { capacity, threads: 2, ..Settings::default() }
}

impl Subject {
    pub(crate) async fn provider(&self, capacity: u32) -> Arc<dyn Provider> {
        match self {
            Self::Fake(what) => behind(*what, Arc::new(FakeProvider::with_capacity(capacity))).await,
            Self::Wasmtime(what) => behind(*what, Arc::new(WasmtimeProvider::new(settings(capacity)).unwrap())).await,
        }
    }

    /// What a run of this kind runs, and its arguments.
    pub(crate) fn guest(&self, does: Does, dir: &Path) -> (Artifact, Vec<String>) {
        match self {
            Self::Fake(_) => (fake_artifact(dir), vec!["program".to_owned(), script(does)]),
            Self::Wasmtime(_) => (artifact(EngineName::Base, &text(does), dir), vec!["program".to_owned()]),
        }
    }

    /// Arguments of an exec in [`Does::ExecTarget`] that make it exit with 3.
    pub(crate) fn exec_argv(&self) -> Vec<String> {
        match self {
            Self::Fake(_) => vec!["exit 3".to_owned()],
            Self::Wasmtime(_) => ["program", "a", "b"].map(str::to_owned).to_vec(),
        }
    }

    /// Arguments of an exec that does not end by itself.
    pub(crate) fn endless_exec_argv(&self) -> Vec<String> {
        vec![match self {
            Self::Fake(_) => "never exit".to_owned(),
            Self::Wasmtime(_) => "program".to_owned(),
        }]
    }
}

async fn behind(what: Behind, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
    match what {
        Behind::Nothing => provider,
        Behind::Shim => Arc::new(Shim(provider)),
        Behind::Socket => Arc::new(remote::serve(provider).await),
    }
}

fn script(does: Does) -> String {
    match does {
        Does::Exit(code) => format!("exit {code}"),
        Does::Sleep | Does::ExecTarget => "never exit".to_owned(),
        Does::Trap => "trap".to_owned(),
        Does::Grow => "use 1000000 MiB".to_owned(),
        Does::Hold(mebibytes) => format!("use {mebibytes} MiB, never exit"),
        Does::ReadStdin => "await stdin, exit 7".to_owned(),
    }
}

fn text(does: Does) -> String {
    match does {
        Does::Exit(code) => guests::exit(code),
        Does::Sleep => guests::sleep(),
        Does::Trap => guests::trap(),
        Does::Grow => guests::grow(),
        Does::Hold(mebibytes) => guests::hold(mebibytes),
        Does::ReadStdin => guests::cat(),
        Does::ExecTarget => guests::count_arguments(),
    }
}

fn fake_artifact(dir: &Path) -> Artifact {
    let Engine { name, id } = FakeProvider::engine();
    Artifact {
        digest: "sha256:fake".to_owned(),
        engine: id,
        engine_name: name,
        kind: ArtifactKind::Module,
        path: dir.join("none"),
    }
}

/// Compiles a guest as the compile job does and files it as the image store does.
pub(crate) fn artifact(engine: EngineName, text: &str, dir: &Path) -> Artifact {
    let wasm = wat::parse_str(text).unwrap();
    let digest = hex::encode(Sha256::digest(&wasm));
    let path = dir.join(format!("{digest}.cwasm"));
    if !path.exists() {
        std::fs::write(&path, compile(engine, &wasm).unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    let id = engine_ids(&Settings::default()).unwrap().into_iter().find(|e| e.name == engine).unwrap().id;
    let kind = if text.starts_with("(component") { ArtifactKind::Component } else { ArtifactKind::Module };
    Artifact { digest: format!("sha256:{digest}"), engine: id, engine_name: engine, kind, path }
}
