//! Runners come when they are needed, and go.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use wasmnode_provider_api::{EngineId, Error, Hello, HostPath, Provider};
use wasmnode_provider_process::runners::Runners;

use crate::rig::{GROUP, Rig, entries, eventually, exited, run_id, sandbox, sandbox_id, started};

crate::cases!(
    from_the_first_sandbox_to_nothing_left,
    a_full_runner_gets_a_neighbour,
    a_full_runner_passes_an_idle_sandbox_on,
    groups_and_sandboxes_with_host_paths_are_apart,
    draining_ends_all_and_starts_nothing,
    draining_ends_what_is_being_started,
    a_runner_is_not_asked_what_to_compile_for,
    one_start_serves_all_who_wait,
    runs_as_the_groups_user,
);

async fn from_the_first_sandbox_to_nothing_left() {
    let mut rig = Rig::new();
    rig.idle = Duration::from_millis(100);
    let (runners, mut events) = rig.open().await;
    let welcome = runners.hello(Hello { protocol: 1, build: "x".to_owned() }).await.unwrap();
    assert_eq!((welcome.runtime.as_str(), welcome.capacity), ("fake://1", 1000));
    assert_eq!(rig.records(GROUP).len(), 0, "no runner before it is needed");
    rig.pod(&runners, 1, GROUP, "exit 3").await;
    started(&mut events, 1).await;
    let exit = exited(&mut events, 1).await;
    assert_eq!(exit.code, 3);
    let target = runners.target(&sandbox_id(1)).await.unwrap();
    assert_eq!((target.engines, target.compiler), (welcome.engines, rig.config().program));
    assert_eq!(fs::metadata(rig.path("store/a.cwasm")).unwrap().nlink(), 2, "code is linked, not copied");
    let listing = runners.list().await.unwrap();
    assert_eq!((listing.sandboxes, listing.runs, listing.exits), (vec![sandbox_id(1)], vec![], vec![exit]));
    assert_eq!(entries(&rig.exits(GROUP), "exit").len(), 1);
    assert!(matches!(runners.start(rig.run(1, 1, "exit 0")).await, Err(Error::Exists { .. })));
    runners.kill(&run_id(1)).await.unwrap();
    runners.acknowledge(&run_id(1)).await.unwrap();
    runners.acknowledge(&run_id(1)).await.unwrap();
    assert_eq!(entries(&rig.exits(GROUP), "exit").len(), 0);
    assert!(matches!(runners.stop(&run_id(1)).await, Err(Error::NotFound { .. })));
    assert_eq!(runners.metrics().runners[GROUP], 1);
    for _ in 0..2 {
        runners.remove_sandbox(&sandbox_id(1)).await.unwrap();
    }
    rig.assert_clean(GROUP).await;
    let metrics = runners.metrics();
    assert_eq!((metrics.runners.len(), metrics.starts, metrics.deaths.len()), (0, 1, 0));
    assert_eq!(fs::metadata(rig.path("store/a.cwasm")).unwrap().nlink(), 1);
}

async fn a_full_runner_gets_a_neighbour() {
    let mut rig = Rig::new();
    rig.capacity = 2;
    let (runners, _events) = rig.open().await;
    for n in 1..=3 {
        rig.pod(&runners, n, GROUP, "never exit").await;
    }
    assert_eq!(rig.records(GROUP).len(), 2);
    assert_eq!(runners.list().await.unwrap().runs.len(), 3);
    runners.prepare(&sandbox_id(1), &rig.artifact()).await.unwrap();
    let full = runners.start(rig.run(9, 1, "never exit")).await;
    assert!(matches!(full, Err(Error::Full(_))), "a sandbox with runs cannot be moved: {full:?}");
    runners.stop_all(Duration::ZERO).await;
}

async fn a_full_runner_passes_an_idle_sandbox_on() {
    let mut rig = Rig::new();
    rig.capacity = 2;
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    runners.create_sandbox(sandbox(2, GROUP)).await.unwrap();
    runners.start(rig.run(3, 1, "never exit")).await.unwrap();
    assert_eq!(rig.records(GROUP).len(), 1);
    // Its runner is full by now, and it never was prepared for in the next.
    runners.start(rig.run(2, 2, "exit 5")).await.unwrap();
    assert_eq!(rig.records(GROUP).len(), 2);
    for n in [1, 3, 2] {
        started(&mut events, n).await;
    }
    assert_eq!(exited(&mut events, 2).await.code, 5);
    runners.stop_all(Duration::ZERO).await;
}

async fn groups_and_sandboxes_with_host_paths_are_apart() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    rig.pod(&runners, 2, "ns-other", "never exit").await;
    let mut alone = sandbox(3, GROUP);
    alone.isolation.paths = vec![HostPath { path: "/srv".into(), read_only: true }];
    runners.create_sandbox(alone.clone()).await.unwrap();
    runners.create_sandbox(alone).await.unwrap();
    rig.pod(&runners, 4, GROUP, "never exit").await;
    let metrics = runners.metrics();
    assert_eq!((metrics.runners[GROUP], metrics.runners["ns-other"]), (2, 1));
    let mut nowhere = sandbox(5, "..");
    assert!(matches!(runners.create_sandbox(nowhere.clone()).await, Err(Error::Malformed(_))));
    nowhere.isolation.group = "ns-without-directories".to_owned();
    assert!(runners.create_sandbox(nowhere).await.is_err());
    assert!(matches!(runners.target(&sandbox_id(5)).await, Err(Error::NotFound { .. })));
    runners.stop_all(Duration::ZERO).await;
}

async fn draining_ends_all_and_starts_nothing() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "run 50ms, exit 7").await;
    rig.pod(&runners, 2, "ns-other", "never exit").await;
    runners.stop_all(Duration::from_millis(500)).await;
    started(&mut events, 1).await;
    started(&mut events, 2).await;
    assert_eq!(exited(&mut events, 1).await.code, 7);
    assert_eq!(exited(&mut events, 2).await.code, 143);
    assert!(runners.metrics().runners.is_empty());
    let refused = runners.create_sandbox(sandbox(3, GROUP)).await.unwrap_err().to_string();
    assert_eq!(refused, "the node is being drained: no runner is started");
    for n in [1, 2] {
        runners.acknowledge(&run_id(n)).await.unwrap();
        runners.remove_sandbox(&sandbox_id(n)).await.unwrap();
    }
    rig.assert_clean(GROUP).await;
    rig.assert_clean("ns-other").await;
}

async fn draining_ends_what_is_being_started() {
    let rig = Rig::new();
    let groups: Vec<String> = (0..8).map(|n| format!("ns-{n}")).collect();
    groups.iter().for_each(|group| rig.group(group));
    let (runners, _events) = rig.open().await;
    let runners = Arc::new(runners);
    let pods: Vec<_> = (0..8)
        .map(|n| {
            let (runners, spec) = (runners.clone(), sandbox(n, &groups[n as usize]));
            tokio::spawn(async move { runners.create_sandbox(spec).await })
        })
        .collect();
    eventually("some are started", || groups.iter().any(|group| !rig.records(group).is_empty())).await;
    assert_eq!(runners.stop_all(Duration::ZERO).await, 0);
    for pod in pods {
        let _refused = pod.await.unwrap();
    }
    assert!(runners.metrics().runners.is_empty(), "{:?}", runners.metrics());
}

async fn a_runner_is_not_asked_what_to_compile_for() {
    let rig = Rig::new();
    let mut config = rig.config();
    let own = EngineId::new("9".repeat(64)).unwrap();
    config.engines[0].id = own.clone();
    let runners = Runners::open(config).await.unwrap();
    runners.create_sandbox(sandbox(1, GROUP)).await.unwrap();
    assert_eq!(runners.target(&sandbox_id(1)).await.unwrap().engines[0].id, own);
    drop(runners);
    // What it was started with counts, whatever build asks.
    let (runners, _events) = rig.open().await;
    assert_eq!(runners.target(&sandbox_id(1)).await.unwrap().engines[0].id, own);
    runners.stop_all(Duration::ZERO).await;
}

async fn one_start_serves_all_who_wait() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    let pods = (0..50).map(|n| rig.pod(&runners, n, GROUP, "never exit"));
    futures::future::join_all(pods).await;
    assert_eq!(rig.records(GROUP).len(), 1);
    assert_eq!(runners.list().await.unwrap().runs.len(), 50);
    assert_eq!(runners.metrics().starts, 1);
    eventually("all are told of", || runners.metrics().runs == 50).await;
    runners.stop_all(Duration::ZERO).await;
}

/// Only root can: elsewhere the runner has the user of the agent.
async fn runs_as_the_groups_user() {
    let rig = Rig::new();
    let root = rustix::process::geteuid().is_root();
    let user = root.then_some(64_321);
    for directory in ["", "state", "state/groups", "state/groups/ns-default", "state/bin", "state/bin/b1"] {
        let _later = fs::set_permissions(rig.path(directory), std::os::unix::fs::PermissionsExt::from_mode(0o755));
    }
    let (runners, _events) = rig.open().await;
    let mut spec = sandbox(1, GROUP);
    spec.isolation.user = user;
    if let Err(error) = runners.create_sandbox(spec).await {
        // The program's own directory may be closed to others.
        assert!(root && error.to_string().contains("ermission denied"), "{error}");
        return;
    }
    let owner = fs::metadata(format!("/proc/{}", rig.pid(GROUP))).unwrap().uid();
    assert_eq!(owner, user.unwrap_or_else(|| rustix::process::geteuid().as_raw()));
    assert_eq!(fs::metadata(rig.exits(GROUP)).unwrap().uid(), owner);
    runners.stop_all(Duration::ZERO).await;
}
