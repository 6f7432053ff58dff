//! Runs every guest on a bare engine: what an end-to-end test expects of a guest is true of the guest alone.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use wasmnode_tests::guests;
use wasmtime::{
    Config, Engine, Linker, Module, Result, Store, Trap,
    component::{Component, Linker as ComponentLinker, ResourceTable},
};
use wasmtime_wasi::{
    FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    p1::{self, WasiP1Ctx},
    p2::{
        self,
        pipe::{MemoryInputPipe, MemoryOutputPipe},
    },
    p3,
};

/// How a guest ended: its code, or the trap that ended it.
#[derive(Debug, PartialEq)]
enum End {
    Code(i32),
    Trap(Trap),
    Error,
}

/// What a run gave.
struct Run {
    end: End,
    stdout: String,
    stderr: String,
}

/// What a run takes.
struct Setting {
    wasi: WasiCtxBuilder,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Setting {
    fn new(argv: &[&str]) -> Self {
        let (stdout, stderr) = (MemoryOutputPipe::new(1 << 20), MemoryOutputPipe::new(1 << 20));
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(argv).stdout(stdout.clone()).stderr(stderr.clone());
        Self { wasi, stdout, stderr }
    }

    fn done(&self, outcome: Result<i32>) -> Run {
        let end = match outcome {
            Ok(code) => End::Code(code),
            Err(error) => match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
                (Some(exit), _) => End::Code(exit.0),
                (_, Some(trap)) => End::Trap(*trap),
                _ => End::Error,
            },
        };
        let text = |pipe: &MemoryOutputPipe| String::from_utf8(pipe.contents().to_vec()).unwrap();
        Run { end, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

/// One for all tests, so that what takes long to compile is compiled once.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    Engine::new(&config).unwrap()
});
static TOOL: LazyLock<Module> = LazyLock::new(|| Module::new(&ENGINE, guests::tool().unwrap()).unwrap());
static REPORT: LazyLock<Component> =
    LazyLock::new(|| Component::new(&ENGINE, guests::component("report").unwrap()).unwrap());

fn run_module(module: &Module, mut setting: Setting) -> Run {
    let outcome = (|| {
        let mut linker = Linker::<WasiP1Ctx>::new(&ENGINE);
        p1::add_to_linker_sync(&mut linker, |host| host)?;
        let mut store = Store::new(&ENGINE, setting.wasi.build_p1());
        let instance = linker.instantiate(&mut store, module)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
        Ok(0)
    })();
    setting.done(outcome)
}

async fn run_component(component: &Component, mut setting: Setting) -> Run {
    let host = Host { wasi: setting.wasi.build(), table: ResourceTable::new() };
    let outcome = command(component, host).await;
    setting.done(outcome)
}

async fn command(component: &Component, host: Host) -> Result<i32> {
    let mut linker = ComponentLinker::<Host>::new(&ENGINE);
    p2::add_to_linker_async(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    let mut store = Store::new(&ENGINE, host);
    let result = if component.get_export_index(None, "wasi:cli/run@0.3.0").is_some() {
        let command = p3::bindings::Command::instantiate_async(&mut store, component, &linker).await?;
        store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await).await??
    } else {
        let command = p2::bindings::Command::instantiate_async(&mut store, component, &linker).await?;
        command.wasi_cli_run().call_run(&mut store).await?
    };
    Ok(i32::from(result.is_err()))
}

fn module(name: &str) -> Module {
    Module::new(&ENGINE, guests::wat(name).unwrap()).unwrap()
}

fn wat(name: &str) -> Run {
    run_module(&module(name), Setting::new(&["guest.wasm"]))
}

fn tool(steps: &[&str]) -> Run {
    let argv: Vec<&str> = ["tool.wasm"].iter().chain(steps).copied().collect();
    run_module(&TOOL, Setting::new(&argv))
}

async fn report(argv: &[&str]) -> Run {
    run_component(&REPORT, Setting::new(argv)).await
}

#[test]
fn modules_do_what_their_first_line_says() {
    let hello = wat("hello");
    assert_eq!((hello.end, hello.stdout.as_str()), (End::Code(0), "hello from wasm!\n"));
    assert_eq!(wat("exit-42").end, End::Code(42));
    assert_eq!(wat("exit-300").end, End::Error, "the engine's own proc_exit refuses it");
    assert_eq!(wat("trap").end, End::Trap(Trap::UnreachableCodeReached));
    assert_eq!(wat("unknown-imports").end, End::Error);
    assert_eq!(wat("reactor").end, End::Error);

    let mut setting = Setting::new(&[]);
    setting.wasi.stdin(MemoryInputPipe::new("one\ntwo\n"));
    let echo = run_module(&module("echo"), setting);
    assert_eq!((echo.end, echo.stdout.as_str()), (End::Code(0), "one\ntwo\n"));
}

#[test]
fn all_text_is_valid_wasm() {
    for entry in std::fs::read_dir(wasmnode_tests::paths::guests().join("wat")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let wasm = guests::wat(&name).unwrap();
        let outcome =
            if wasm[4] == 1 { Module::validate(&ENGINE, &wasm) } else { Component::new(&ENGINE, &wasm).map(drop) };
        outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

#[tokio::test]
async fn components_of_both_generations_run() {
    for (name, code, stdout) in [
        ("hello-p2", End::Code(0), "hello from a component!\n"),
        ("hello-p3", End::Code(0), "hello from an async component!\n"),
        ("fail-p2", End::Code(1), ""),
        ("wrong-world", End::Error, ""),
    ] {
        let run = run_component(&Component::new(&ENGINE, guests::wat(name).unwrap()).unwrap(), Setting::new(&[])).await;
        assert_eq!((run.end, run.stdout.as_str()), (code, stdout), "{name}");
    }
}

#[tokio::test]
async fn report_shows_what_it_is_given() {
    let mut setting = Setting::new(&["report.wasm"]);
    let folder = tempfile::tempdir().unwrap();
    setting.wasi.env("COLOUR", "green").preopened_dir(folder.path(), "/data", FsPerms::ReadWrite).unwrap();
    let run = run_component(&REPORT, setting).await;
    assert_eq!(run.stdout, "arguments [\"report.wasm\"]\nvariable COLOUR=green\npreopen /data\n");
    assert_eq!(run.end, End::Code(0));

    assert_eq!(report(&["r", "exit", "200"]).await.end, End::Code(200));
    assert_eq!(report(&["r", "trap"]).await.end, End::Trap(Trap::UnreachableCodeReached));
    let failed = report(&["r", "fail"]).await;
    assert_eq!((failed.end, failed.stderr.as_str()), (End::Code(1), "failing as told\n"));
}

#[test]
fn tool_follows_its_script() {
    for (steps, code, stdout) in [
        (&["print two words", "print", "exit 3", "print never"][..], End::Code(3), "two words\n\n"),
        (&["lines 2"], End::Code(0), "line 1\nline 2\n"),
        (&["lines 2 1ms", "sleep 1ms", "spin 1ms"], End::Code(0), "line 1\nline 2\n"),
        (&["args", "--", "arg1", "arg 2"], End::Code(0), "[\"tool.wasm\",\"args\",\"--\",\"arg1\",\"arg 2\"]\n"),
        (&["alloc 2"], End::Code(0), "allocated 2 MiB\n"),
        (&["print before", "trap"], End::Trap(Trap::UnreachableCodeReached), "before\n"),
        (&["stdin"], End::Code(0), "end of input\n"),
    ] {
        let run = tool(steps);
        assert_eq!((run.end, run.stdout.as_str()), (code, stdout), "{steps:?}: {}", run.stderr);
    }
}

#[test]
fn tool_says_what_failed() {
    for (steps, code, stderr) in [
        (&["env NOT_SET"][..], 1, "ERR: environment variable NOT_SET is not set\n"),
        (&["exists /data/file"], 1, "ERR: /data/file should exist: "),
        (&["print never", "dance"], 2, "ERR: unknown step \"dance\"\n"),
        (&["sleep"], 2, "ERR: step \"sleep\": want sleep DURATION\n"),
        (&[], 2, "ERR: no step given\n"),
    ] {
        let run = tool(steps);
        assert_eq!((run.end, run.stdout.as_str()), (End::Code(code), ""), "{steps:?}");
        assert!(run.stderr.starts_with(stderr), "{steps:?}: {}", run.stderr);
    }
}

#[test]
fn tool_reads_and_writes_files() {
    let folder = tempfile::tempdir().unwrap();
    let steps = [
        "absent /data/note",
        "write /data/note some text",
        "append /data/note more",
        "exists /data/note",
        "ls /data",
        "read /data/note",
        "remove /data/note",
        "absent /data/note",
        "env COLOUR",
        "env",
        "absent /data",
    ];
    let argv: Vec<&str> = ["tool.wasm"].iter().chain(&steps).copied().collect();
    let mut setting = Setting::new(&argv);
    setting.wasi.env("COLOUR", "green").preopened_dir(folder.path(), "/data", FsPerms::ReadWrite).unwrap();
    let run = run_module(&TOOL, setting);
    assert_eq!(run.stdout, "note\nsome text\nmore\ngreen\nCOLOUR=green\n");
    assert_eq!((run.end, run.stderr.as_str()), (End::Code(1), "ERR: /data should not exist\n"));
}
