//! Every message survives the round trip, and no bytes make the decoder panic.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{Wire, decode, encode};
use crate::*;

fn id() -> impl Strategy<Value = String> {
    vec(0u8..16, 64).prop_map(|digits| digits.iter().map(|d| char::from_digit(u32::from(*d), 16).unwrap()).collect())
}

fn sandbox_id() -> impl Strategy<Value = SandboxId> {
    id().prop_map(|id| SandboxId::new(id).unwrap())
}

fn run_id() -> impl Strategy<Value = RunId> {
    id().prop_map(|id| RunId::new(id).unwrap())
}

fn engine_id() -> impl Strategy<Value = EngineId> {
    id().prop_map(|id| EngineId::new(id).unwrap())
}

fn time() -> impl Strategy<Value = SystemTime> {
    (-(1i64 << 40)..1i64 << 40, 0u64..1_000_000_000).prop_map(|(seconds, nanos)| {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        second + Duration::from_nanos(nanos)
    })
}

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

/// Any bytes but NUL: what a path may hold.
fn path() -> impl Strategy<Value = PathBuf> {
    vec(1u8..=255, 0..40).prop_map(super::path_of)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
    ]
}

fn engine_name() -> impl Strategy<Value = EngineName> {
    prop_oneof![Just(EngineName::Base), Just(EngineName::Wasip3)]
}

fn artifact() -> impl Strategy<Value = Artifact> {
    let kind = prop_oneof![Just(ArtifactKind::Module), Just(ArtifactKind::Component)];
    (text(), engine_id(), engine_name(), kind, path()).prop_map(|(digest, engine, engine_name, kind, path)| Artifact {
        digest,
        engine,
        engine_name,
        kind,
        path,
    })
}

fn start_failure() -> impl Strategy<Value = StartFailure> {
    prop_oneof![
        text().prop_map(StartFailure::Stale),
        vec(text(), 0..4).prop_map(StartFailure::Imports),
        text().prop_map(StartFailure::World),
        text().prop_map(StartFailure::Invalid),
    ]
}

fn error() -> impl Strategy<Value = Error> {
    prop_oneof![
        (text(), text()).prop_map(|(what, id)| Error::NotFound { what, id }),
        (text(), text()).prop_map(|(what, id)| Error::Exists { what, id }),
        text().prop_map(Error::Full),
        start_failure().prop_map(Error::Start),
        text().prop_map(Error::Unsupported),
        text().prop_map(Error::Malformed),
        text().prop_map(Error::Failed),
    ]
}

fn exit() -> impl Strategy<Value = Exit> {
    let reason = prop_oneof![
        Just(ExitReason::Exited),
        Just(ExitReason::Trap),
        Just(ExitReason::OutOfMemory),
        Just(ExitReason::Stopped),
        Just(ExitReason::Killed),
        Just(ExitReason::Lost),
    ];
    (run_id(), any::<i32>(), reason, text(), time(), time()).prop_map(
        |(run, code, reason, message, started_at, finished_at)| Exit {
            run,
            code,
            reason,
            message,
            started_at,
            finished_at,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (run_id(), time()).prop_map(|(run, at)| Event::Started { run, at }),
        exit().prop_map(Event::Exited),
        run_id().prop_map(|run| Event::FirstRequest { run }),
    ]
}

fn engine() -> impl Strategy<Value = Engine> {
    (engine_name(), engine_id()).prop_map(|(name, id)| Engine { name, id })
}

fn welcome() -> impl Strategy<Value = Welcome> {
    (any::<u32>(), text(), text(), vec(engine(), 0..3), any::<u32>(), vec(text(), 0..3)).prop_map(
        |(protocol, build, runtime, engines, capacity, features)| Welcome {
            protocol,
            build,
            runtime,
            engines,
            capacity,
            features,
        },
    )
}

fn listed() -> impl Strategy<Value = ListedRun> {
    (run_id(), sandbox_id(), text(), time()).prop_map(|(run, sandbox, container, started_at)| ListedRun {
        run,
        sandbox,
        container,
        started_at,
    })
}

fn listing() -> impl Strategy<Value = Listing> {
    (vec(sandbox_id(), 0..3), vec(listed(), 0..3), vec(exit(), 0..3)).prop_map(|(sandboxes, runs, exits)| Listing {
        sandboxes,
        runs,
        exits,
    })
}

fn sandbox() -> impl Strategy<Value = SandboxSpec> {
    let limits = (option::of(any::<u64>()), option::of(any::<u64>()));
    (sandbox_id(), text(), text(), vec(address(), 0..3), limits, isolation()).prop_map(
        |(id, name, hostname, addresses, (memory_limit, cpu_millis), isolation)| SandboxSpec {
            id,
            name,
            hostname,
            addresses,
            memory_limit,
            cpu_millis,
            isolation,
        },
    )
}

fn isolation() -> impl Strategy<Value = Isolation> {
    let paths = (path(), any::<bool>()).prop_map(|(path, read_only)| HostPath { path, read_only });
    (text(), option::of(any::<u32>()), vec(paths, 0..3)).prop_map(|(group, user, paths)| Isolation {
        group,
        user,
        paths,
    })
}

fn sandbox_update() -> impl Strategy<Value = SandboxUpdate> {
    (sandbox_id(), option::of(any::<u64>()), option::of(any::<u64>()))
        .prop_map(|(id, memory_limit, cpu_millis)| SandboxUpdate { id, memory_limit, cpu_millis })
}

fn usage() -> impl Strategy<Value = Usage> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let container = (text(), numbers).prop_map(|(container, (cpu_nanoseconds, memory_bytes, instances, requests))| {
        ContainerUsage { container, cpu_nanoseconds, memory_bytes, instances, requests }
    });
    (vec(container, 0..3), any::<u64>(), any::<u64>()).prop_map(|(containers, network_received, network_sent)| Usage {
        containers,
        network_received,
        network_sent,
    })
}

fn mount() -> impl Strategy<Value = Mount> {
    (path(), text(), any::<bool>()).prop_map(|(host, guest, read_only)| Mount { host, guest, read_only })
}

fn log() -> impl Strategy<Value = Log> {
    (path(), any::<u64>(), any::<u32>()).prop_map(|(path, max_bytes, max_files)| Log { path, max_bytes, max_files })
}

fn stdio() -> impl Strategy<Value = Stdio> {
    let stdin = prop_oneof![Just(Stdin::Empty), any::<bool>().prop_map(|once| Stdin::Open { once })];
    (option::of(log()), stdin, any::<bool>()).prop_map(|(log, stdin, tty)| Stdio { log, stdin, tty })
}

fn limits() -> impl Strategy<Value = Limits> {
    (option::of(any::<u64>()), option::of(any::<u64>()))
        .prop_map(|(memory_bytes, cpu_millis)| Limits { memory_bytes, cpu_millis })
}

fn timeout() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()))
}

fn http_settings() -> impl Strategy<Value = HttpSettings> {
    let instances = (option::of(any::<u32>()), option::of(any::<u32>()));
    let counts = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>());
    (instances, counts, (timeout(), timeout(), timeout(), timeout(), timeout())).prop_map(
        |(instances, counts, times)| HttpSettings {
            requests_per_instance: instances.0,
            concurrent_per_instance: instances.1,
            max_requests: counts.0,
            queue: counts.1,
            connections: counts.2,
            response_timeout: times.0,
            idle_timeout: times.1,
            body_timeout: times.2,
            instance_idle: times.3,
            after_response: times.4,
            max_body: counts.3,
            max_header_bytes: counts.4,
            max_headers: counts.5,
        },
    )
}

fn workload() -> impl Strategy<Value = Workload> {
    prop_oneof![
        Just(Workload::Command { stop: StopMode::Cancel }),
        Just(Workload::Command { stop: StopMode::Stdin }),
        (vec(any::<u16>(), 0..4), http_settings())
            .prop_map(|(ports, settings)| Workload::HttpServer { ports, settings }),
    ]
}

fn run() -> impl Strategy<Value = RunSpec> {
    let names = (run_id(), sandbox_id(), text(), artifact());
    let program = (vec(text(), 0..4), vec((text(), text()), 0..4), option::of(text()), vec(mount(), 0..4));
    (names, program, (stdio(), limits(), workload())).prop_map(
        |((id, sandbox, container, artifact), (argv, env, cwd, mounts), (stdio, limits, workload))| RunSpec {
            id,
            sandbox,
            container,
            artifact,
            argv,
            env,
            cwd,
            mounts,
            stdio,
            limits,
            workload,
        },
    )
}

fn exec() -> impl Strategy<Value = ExecSpec> {
    (run_id(), vec(text(), 0..4), any::<bool>()).prop_map(|(run, argv, tty)| ExecSpec { run, argv, tty })
}

/// One property per message: round trip, and arbitrary bytes are refused or read but never panic.
macro_rules! round_trips {
    ($($name:ident: $type:ty = $strategy:expr;)*) => {
        $(proptest! {
            #[test]
            fn $name(value in $strategy, noise in vec(any::<u8>(), 0..200), cut in 0usize..200) {
                let bytes = encode::<$type>(value.clone());
                prop_assert_eq!(decode::<$type>(&bytes), Ok(value));
                let _ = decode::<$type>(&noise);
                let _ = decode::<$type>(&bytes[..cut.min(bytes.len())]);
            }
        })*
    };
}

round_trips! {
    sandbox_ids: SandboxId = sandbox_id();
    run_ids: RunId = run_id();
    engine_ids: EngineId = engine_id();
    artifacts: Artifact = artifact();
    start_failures: StartFailure = start_failure();
    errors: Error = error();
    exits: Exit = exit();
    events: Event = event();
    hellos: Hello = (any::<u32>(), text()).prop_map(|(protocol, build)| Hello { protocol, build });
    welcomes: Welcome = welcome();
    settings: Configure = (vec(any::<u8>(), 0..40), vec(text(), 0..3), vec(any::<(IpAddr, u16)>(), 0..3)).prop_map(
        |(ca_bundle, cluster_cidrs, node_api)| {
            let node_api = node_api.into_iter().map(SocketAddr::from).collect();
            Configure { ca_bundle, cluster_cidrs, node_api }
        });
    http_servers: HttpSettings = http_settings();
    targets: Target = (vec(engine(), 0..3), path()).prop_map(|(engines, compiler)| Target { engines, compiler });
    listings: Listing = listing();
    sandboxes: SandboxSpec = sandbox();
    sandbox_updates: SandboxUpdate = sandbox_update();
    service_deltas: ServicesDelta = any::<u64>().prop_map(|version| ServicesDelta { version });
    usages: Usage = usage();
    workloads: Workload = workload();
    runs: RunSpec = run();
    execs: ExecSpec = exec();
    terminal_sizes: TerminalSize = (any::<u16>(), any::<u16>())
        .prop_map(|(width, height)| TerminalSize { width, height });
}

fn refusal<T: Wire>(message: T::Message) -> String {
    match T::try_from(message) {
        Ok(_) => panic!("the message should have been refused"),
        Err(Error::Malformed(text)) => text,
        Err(other) => panic!("not a refusal of the form: {other}"),
    }
}

#[test]
fn names_what_is_missing_or_unknown() {
    let id = super::Id { value: "a".repeat(64) };
    let artifact = super::Artifact { engine: Some(id.clone()), engine_name: 1, kind: 9, ..Default::default() };
    let exit = super::Exit { run: Some(id), reason: 1, ..Default::default() };
    let port = super::HttpServer { ports: vec![70_000], settings: None };
    let node = super::Configure { node_api: vec!["node:1".to_owned()], ..Default::default() };
    let short = super::SandboxSpec {
        id: Some(super::Id { value: "b".repeat(64) }),
        addresses: vec![vec![1, 2, 3]],
        ..Default::default()
    };

    assert_eq!(refusal::<Artifact>(super::Artifact::default()), "artifact.engine is missing");
    assert_eq!(refusal::<Artifact>(artifact), "artifact.kind has the unknown variant 9");
    assert_eq!(refusal::<Exit>(exit), "exit.started_at is missing");
    assert_eq!(refusal::<Event>(super::Event::default()), "event has no known kind");
    assert_eq!(refusal::<RunId>(super::Id::default()), "run id \"\" is not 64 lower-case hexadecimal digits");
    assert_eq!(refusal::<SandboxSpec>(short), "sandbox.addresses has an address of 3 bytes");
    assert_eq!(refusal::<Configure>(node), "configure.node_api has \"node:1\", which is no address");
    assert_eq!(
        refusal::<Workload>(super::Workload { kind: Some(super::WorkloadKind::HttpServer(port)) }),
        "http_server.ports is 70000, more than 65535"
    );
}

#[test]
fn refuses_times_that_do_not_exist() {
    let overflow = super::Time { seconds: 0, nanos: 1_000_000_000 };
    assert!(SystemTime::try_from(overflow).is_err());
    let too_far = super::Time { seconds: i64::MAX, nanos: 999_999_999 };
    let _ = SystemTime::try_from(too_far);
    assert_eq!(
        SystemTime::try_from(super::Time { seconds: -1, nanos: 5 }).ok(),
        UNIX_EPOCH.checked_sub(Duration::from_nanos(999_999_995))
    );
}

#[test]
fn reads_what_a_newer_peer_sends() {
    let mut bytes = encode(Hello { protocol: 1, build: "x".to_owned() });
    // Field 99, a varint: what a later version might add.
    bytes.extend([0x98, 0x06, 0x01]);
    assert_eq!(decode::<Hello>(&bytes), Ok(Hello { protocol: 1, build: "x".to_owned() }));
}
