//! What is recorded: every verb, with every field of its request set.

use bytes::Bytes;
use prost::Message;
use wasmnode_provider_api::wire::{Wire, encode};
use wasmnode_provider_api::{
    Artifact, ArtifactKind, Configure, ExecSpec, Hello, HostPath, Isolation, Limits, Log, Mount, RunId, RunSpec,
    SandboxId, SandboxSpec, SandboxUpdate, ServicesDelta, Stdin, Stdio, StopMode, TerminalSize, Workload,
};
use wasmnode_provider_fake::FakeProvider;

use crate::protocol::{AttachStart, Channel, ConnectStart, ExecStart, Frame, FrameKind, Prepare, Verb, Wanted};

/// Replies on the event stream: that there is one, a start and an exit.
pub(super) const EVENTS: usize = 3;

/// A verb and what is asked.
pub(super) struct Step {
    pub(super) verb: Verb,
    pub(super) requests: Vec<Bytes>,
}

fn step<T: Wire>(verb: Verb, value: T) -> Step {
    Step { verb, requests: vec![encode(value).into()] }
}

fn empty(verb: Verb) -> Step {
    Step { verb, requests: vec![Bytes::new()] }
}

fn frames(verb: Verb, kinds: impl IntoIterator<Item = Frame>) -> Step {
    Step { verb, requests: kinds.into_iter().map(|frame| frame.encode_to_vec().into()).collect() }
}

fn run_id(n: u8) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

fn sandbox_id() -> SandboxId {
    SandboxId::new("5a".repeat(32)).unwrap()
}

fn sandbox() -> SandboxSpec {
    let path = HostPath { path: "/srv/data".into(), read_only: true };
    SandboxSpec {
        id: sandbox_id(),
        name: "default/web-0".to_owned(),
        hostname: "web-0".to_owned(),
        addresses: vec![[10, 0, 0, 7].into(), std::net::Ipv6Addr::LOCALHOST.into()],
        memory_limit: Some(64 << 20),
        cpu_millis: Some(250),
        isolation: Isolation { group: "ns-default".to_owned(), user: Some(40_001), paths: vec![path] },
    }
}

fn artifact() -> Artifact {
    let engine = FakeProvider::engine();
    Artifact {
        digest: format!("sha256:{}", "d1".repeat(32)),
        engine: engine.id,
        engine_name: engine.name,
        kind: ArtifactKind::Component,
        path: "/var/lib/wasmnode/groups/ns-default/code/e/d1.cwasm".into(),
    }
}

fn run() -> RunSpec {
    let log = Log { path: "/var/log/pods/default_web-0_u/c/0.log".into(), max_bytes: 10 << 20, max_files: 5 };
    RunSpec {
        id: run_id(1),
        sandbox: sandbox_id(),
        container: "c".to_owned(),
        artifact: artifact(),
        argv: vec!["program".to_owned(), "never exit".to_owned()],
        env: vec![("A".to_owned(), "1".to_owned())],
        cwd: Some("/srv".to_owned()),
        mounts: vec![Mount { host: "/srv/data".into(), guest: "/data".to_owned(), read_only: true }],
        stdio: Stdio { log: Some(log), stdin: Stdin::Open { once: true }, tty: true },
        limits: Limits { memory_bytes: Some(32 << 20), cpu_millis: Some(100) },
        workload: Workload::Command { stop: StopMode::Cancel },
    }
}

fn exec() -> Step {
    let spec = ExecSpec { run: run_id(1), argv: vec!["program".to_owned(), "exit 3".to_owned()], tty: true };
    let wanted = Wanted { stdin: true, stdout: true, stderr: false, resize: true };
    let typed = [
        FrameKind::Exec(ExecStart::new(spec, wanted)).into(),
        FrameKind::Resize(TerminalSize { width: 80, height: 24 }.into()).into(),
        Channel::Stdin.data(Bytes::from_static(b"typed")),
        Channel::Stdin.closed(),
        Channel::Stdout.left(),
    ];
    frames(Verb::Exec, typed)
}

pub(super) fn steps() -> Vec<Step> {
    let hello = Hello { protocol: crate::PROTOCOL, build: "recorded".to_owned() };
    let settings = Configure {
        ca_bundle: b"-----BEGIN".to_vec(),
        cluster_cidrs: vec!["10.0.0.0/8".to_owned()],
        node_api: vec![([192, 0, 2, 1], 10250).into()],
    };
    let update = SandboxUpdate { id: sandbox_id(), memory_limit: Some(1 << 20), cpu_millis: Some(1) };
    let prepare = Prepare::new(&sandbox_id(), &artifact());
    let attach = AttachStart::new(&run_id(9), Wanted { stderr: true, ..Wanted::default() });
    vec![
        step(Verb::Hello, hello),
        step(Verb::Configure, settings),
        empty(Verb::Events),
        step(Verb::CreateSandbox, sandbox()),
        step(Verb::UpdateSandbox, update),
        step(Verb::UpdateServices, ServicesDelta { version: 3 }),
        step(Verb::Target, sandbox_id()),
        Step { verb: Verb::Prepare, requests: vec![prepare.encode_to_vec().into()] },
        step(Verb::Start, run()),
        step(Verb::Start, run()),
        step(Verb::Usage, sandbox_id()),
        exec(),
        frames(Verb::Attach, [FrameKind::Attach(attach).into()]),
        frames(Verb::Connect, [FrameKind::Connect(ConnectStart::new(&sandbox_id(), 80)).into()]),
        empty(Verb::List),
        step(Verb::Kill, run_id(9)),
        step(Verb::Stop, run_id(1)),
        step(Verb::RemoveSandbox, sandbox_id()),
        empty(Verb::List),
        step(Verb::Acknowledge, run_id(1)),
        empty(Verb::Ping),
    ]
}
