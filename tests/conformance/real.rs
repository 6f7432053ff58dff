//! What only a provider that executes guests can show.

use wasmnode_provider_api::{Artifact, EngineName, Error, Exit, ExitReason, Mount, RunSpec, StartFailure};

use crate::guests;
use crate::resources::ends_at_once;
use crate::rig::Rig;
use crate::subject::{Behind, Subject, artifact};

pub(crate) async fn rig() -> Rig {
    Rig::new(Subject::Wasmtime(Behind::Nothing)).await
}

impl Rig {
    pub(crate) async fn prepared(&mut self, engine: EngineName, text: &str) -> RunSpec {
        let artifact = artifact(engine, text, self.dir.path());
        self.provider.prepare(&self.sandbox, &artifact).await.unwrap();
        self.spec_of(artifact, vec!["program.wasm".to_owned()])
    }

    pub(crate) async fn program(&mut self, text: &str) -> RunSpec {
        self.prepared(EngineName::Base, text).await
    }

    async fn refusal(&self, text: &str) -> StartFailure {
        let artifact = artifact(EngineName::Base, text, self.dir.path());
        refusal_of(self, &artifact).await
    }
}

async fn refusal_of(rig: &Rig, artifact: &Artifact) -> StartFailure {
    match rig.provider.prepare(&rig.sandbox, artifact).await {
        Err(Error::Start(failure)) => failure,
        other => panic!("{other:?} should be a start failure"),
    }
}

/// The contents of the log's lines of one stream.
pub(crate) fn printed(log: &str, stream: &str) -> Vec<String> {
    let of_stream = |line: &str| {
        let mut parts = line.splitn(4, ' ').skip(1);
        (parts.next() == Some(stream)).then(|| parts.nth(1).unwrap_or_default().to_owned())
    };
    log.lines().filter_map(of_stream).collect()
}

pub(crate) fn ended(exit: &Exit) -> (i32, ExitReason) {
    (exit.code, exit.reason)
}

#[tokio::test]
async fn passes_arguments_environment_and_working_directory() {
    let mut rig = rig().await;
    let mut spec = rig.program(&guests::print_arguments_and_environment()).await;
    spec.argv = ["program.wasm", "--flag", "two words"].map(str::to_owned).to_vec();
    spec.env = vec![("B".to_owned(), "2".to_owned()), ("A".to_owned(), "x=y".to_owned())];
    spec.cwd = Some("/data".to_owned());
    assert_eq!(rig.run(spec.clone()).await.code, 0);
    let log = rig.log(&spec);
    assert_eq!(printed(&log, "stdout"), ["program.wasm", "--flag", "two words"]);
    assert_eq!(printed(&log, "stderr"), ["B=2", "A=x=y", "PWD=/data"]);
}

#[tokio::test]
async fn runs_components() {
    let mut rig = rig().await;
    let cases = [(guests::component(true), 0), (guests::component(false), 1), (guests::component_exit(200), 200)];
    for (text, code) in cases {
        let spec = rig.program(&text).await;
        assert_eq!(ended(&rig.run(spec).await), (code, ExitReason::Exited));
    }
    let mut spec = rig.program(&guests::component_print_cwd()).await;
    spec.cwd = Some("/srv/data".to_owned());
    assert_eq!(rig.run(spec.clone()).await.code, 0);
    assert_eq!(printed(&rig.log(&spec), "stdout"), ["/srv/data"]);
}

#[tokio::test]
async fn runs_components_of_wasi_03() {
    let mut rig = rig().await;
    for (body, code) in [("(i32.const 0)", 0), ("(i32.const 1)", 1)] {
        let spec = rig.prepared(EngineName::Wasip3, &guests::component3(body)).await;
        assert_eq!(ended(&rig.run(spec).await), (code, ExitReason::Exited));
    }
    let spec = rig.prepared(EngineName::Wasip3, &guests::component3("unreachable")).await;
    let exit = rig.run(spec).await;
    assert_eq!(ended(&exit), (134, ExitReason::Trap));
    assert!(exit.message.contains("wasm backtrace:\n"), "{}", exit.message);
    let spec = rig.prepared(EngineName::Wasip3, &guests::component(false)).await;
    assert_eq!(ended(&rig.run(spec).await), (1, ExitReason::Exited), "a 0.2 component on the second engine");
    let spec = rig.prepared(EngineName::Wasip3, &guests::component3("(loop $l (br $l)) (i32.const 0)")).await;
    ends_at_once(&mut rig, spec).await;
}

#[tokio::test]
async fn a_trap_names_its_functions_also_in_the_log() {
    let mut rig = rig().await;
    let spec = rig.program(&guests::trap()).await;
    let exit = rig.run(spec.clone()).await;
    assert!(exit.message.starts_with("wasm trap: wasm `unreachable` instruction executed\n"), "{}", exit.message);
    assert!(exit.message.contains("inner"), "{}", exit.message);
    assert_eq!(printed(&rig.log(&spec), "stderr").join("\n"), exit.message);
}

#[tokio::test]
async fn lists_every_unknown_import() {
    let rig = rig().await;
    let module = rig.refusal(&guests::unknown_imports()).await;
    assert_eq!(module, StartFailure::Imports(vec!["env::dlopen".to_owned(), "wasmedge::sock_listen".to_owned()]));
    let component = rig.refusal(&guests::component_unknown_imports()).await;
    let expected = ["acme:queue/topics@1.2.3", "wasi:keyvalue/store@0.2.0-draft"].map(str::to_owned).to_vec();
    assert_eq!(component, StartFailure::Imports(expected));
}

#[tokio::test]
async fn says_what_is_not_a_program() {
    let rig = rig().await;
    let cases = [
        (guests::reactor(), "it has no `_start`, its exports are: _initialize, handle"),
        ("(component)".to_owned(), "it has no wasi:cli/run, its exports are: none"),
        ("(module (func (export \"_start\") (param i32)))".to_owned(), "is not a function without parameters"),
    ];
    for (text, expected) in cases {
        match rig.refusal(&text).await {
            StartFailure::World(message) => assert!(message.contains(expected), "{message}"),
            other => panic!("{other:?} should be about the world"),
        }
    }
}

#[tokio::test]
async fn a_server_is_not_started_as_a_program() {
    let mut rig = rig().await;
    let spec = rig.program(&guests::component_http()).await;
    match rig.provider.start(spec).await {
        Err(Error::Start(StartFailure::World(message))) => {
            assert!(message.ends_with("exports are: wasi:http/incoming-handler@0.2.6"), "{message}");
        }
        other => panic!("{other:?} should be about the world"),
    }
}

#[tokio::test]
async fn refuses_code_that_it_cannot_trust() {
    let rig = rig().await;
    let good = artifact(EngineName::Base, &guests::exit(0), rig.dir.path());
    let damaged = Artifact { path: rig.dir.path().join("damaged"), digest: "sha256:d".to_owned(), ..good.clone() };
    let bytes = std::fs::read(&good.path).unwrap();
    std::fs::write(&damaged.path, &bytes[..bytes.len() / 2]).unwrap();
    let missing = Artifact { path: rig.dir.path().join("none"), digest: "sha256:m".to_owned(), ..good.clone() };
    let other = artifact(EngineName::Wasip3, &guests::exit(1), rig.dir.path());
    let foreign = Artifact { engine_name: EngineName::Base, ..other };
    let writable = Artifact { path: rig.dir.path().join("writable"), digest: "sha256:w".to_owned(), ..good.clone() };
    std::fs::write(&writable.path, &bytes).unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&writable.path, everyone).unwrap();
    for artifact in [damaged, missing, foreign, writable] {
        let failure = refusal_of(&rig, &artifact).await;
        assert!(matches!(failure, StartFailure::Stale(_)), "{failure:?} for {}", artifact.path.display());
    }
    assert_eq!(rig.provider.prepare(&rig.sandbox, &good).await, Ok(()));
}

#[tokio::test]
async fn mounts_are_writable_unless_read_only() {
    let mut rig = rig().await;
    let (root, data) = (rig.dir.path().join("root"), rig.dir.path().join("data"));
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(&data).unwrap();
    let mount = |host: &std::path::Path, guest: &str, read_only| Mount {
        host: host.to_owned(),
        guest: guest.to_owned(),
        read_only,
    };
    let mut spec = rig.program(&guests::create_file(2)).await;
    spec.mounts = vec![mount(&root, "/", false), mount(&data, "/data", false)];
    assert_eq!(rig.run(spec.clone()).await.code, 0);
    assert!(root.join("file").exists() && data.join("file").exists());

    std::fs::remove_file(data.join("file")).unwrap();
    let mut read_only = rig.program(&guests::create_file(2)).await;
    read_only.mounts = vec![mount(&root, "/", false), mount(&data, "/data", true)];
    assert_ne!(rig.run(read_only).await.code, 0);
    assert!(!data.join("file").exists());

    let mut missing = rig.program(&guests::create_file(1)).await;
    missing.mounts = vec![mount(&rig.dir.path().join("none"), "/", false)];
    let id = missing.id.clone();
    let refusal = rig.provider.start(missing).await;
    assert!(matches!(refusal, Err(Error::Start(StartFailure::Invalid(_)))), "{refusal:?}");
    crate::rig::is_not_found(rig.provider.kill(&id).await, "run");
}

#[tokio::test]
async fn metrics_show_what_is_in_use() {
    let provider = wasmnode_provider_wasmtime::WasmtimeProvider::new(crate::subject::settings(8)).unwrap();
    let provider = std::sync::Arc::new(provider);
    let mut rig = rig().await.over(provider.clone()).await;
    let spec = rig.program(&guests::sleep()).await;
    rig.provider.start(spec.clone()).await.unwrap();
    let metrics = provider.metrics();
    assert_eq!((metrics.capacity, metrics.runs, metrics.execs), (8, 1, 0));
    let [base] = metrics.engines.as_slice() else { panic!("{metrics:?} should have one engine") };
    assert_eq!((base.name, base.core_instances, base.memories), (EngineName::Base, 1, 1));
    rig.provider.kill(&spec.id).await.unwrap();
    rig.exit_of(&spec.id).await;
    assert_eq!(provider.metrics().engines[0].memories, 0);
}

#[tokio::test]
async fn works_without_a_pool() {
    let settings = wasmnode_provider_wasmtime::Settings { pooling: false, ..crate::subject::settings(8) };
    let provider = wasmnode_provider_wasmtime::WasmtimeProvider::new(settings).unwrap();
    let mut rig = rig().await.over(std::sync::Arc::new(provider)).await;
    let spec = rig.program(&guests::exit(9)).await;
    assert_eq!(rig.run(spec).await.code, 9);
}
