//! Damage, other releases, other agents, and what a runner that was taken over may leave.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::Signal;
use wasmnode_provider_api::{ExitReason, Provider};
use wasmnode_provider_process::runners::OpenError;

use crate::rig::{GROUP, Rig, eventually, exited, pid_in, run_id, sandbox_id, started};

crate::cases!(
    one_agent_at_a_time,
    a_newer_record_is_refused_and_left_alone,
    another_protocol_is_refused_while_its_runner_lives,
    a_damaged_record_costs_its_runner_and_no_more,
    another_boot_voids_everything,
    planted_files_are_neither_read_nor_followed,
    a_pid_that_is_another_process_now_is_not_touched,
);

async fn one_agent_at_a_time() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    let second = rig.try_open().await;
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(runners);
    rig.try_open().await.unwrap();
}

/// Opens the next agent on a record that was changed.
async fn reopened(rig: &Rig, change: impl Fn(&mut serde_json::Value)) -> Option<OpenError> {
    let record = rig.records(GROUP).remove(0);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    change(&mut value);
    fs::write(&record, serde_json::to_vec(&value).unwrap()).unwrap();
    rig.try_open().await.err()
}

async fn a_newer_record_is_refused_and_left_alone() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    drop(runners);
    let refusal = reopened(&rig, |record| record["version"] = 2.into()).await.unwrap();
    assert!(matches!(refusal, OpenError::Newer { version: 2, .. }), "{refusal}");
    assert!(refusal.to_string().contains(".json was written by a newer release"), "{refusal}");
    // Going forward again finds everything as it was; so does a release that only added a field.
    let again = reopened(&rig, |record| {
        record["version"] = 1.into();
        record["addedLater"] = "x".into();
    });
    assert!(again.await.is_none());
    let (runners, _events) = rig.open().await;
    assert_eq!(runners.list().await.unwrap().runs.len(), 1);
    runners.stop_all(Duration::ZERO).await;
}

async fn another_protocol_is_refused_while_its_runner_lives() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    drop(runners);
    let refusal = reopened(&rig, |record| record["protocol"] = 9.into()).await.unwrap();
    assert!(refusal.to_string().contains("speaks protocol 9, this build speaks"), "{refusal}");
    let stat = format!("/proc/{}/stat", rig.pid(GROUP));
    rig.signal(GROUP, Signal::KILL);
    eventually("it has ended", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))).await;
    let (runners, _events) = rig.open().await;
    assert_eq!(runners.list().await.unwrap().exits[0].reason, ExitReason::Lost);
}

async fn a_damaged_record_costs_its_runner_and_no_more() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    rig.pod(&runners, 2, "ns-other", "never exit").await;
    drop(runners);
    let (record, pid) = (rig.records(GROUP).remove(0), rig.pid(GROUP));
    fs::write(&record, "\0garbage{").unwrap();
    fs::write(record.with_file_name("not-a-runner.json"), "x").unwrap();
    fs::write(record.with_file_name(format!("{}.spec", sandbox_id(7))), "garbage").unwrap();
    symlink("/etc", record.with_file_name("0123456789abcdef.runs")).unwrap();
    let (runners, _events) = rig.open().await;
    let listing = runners.list().await.unwrap();
    assert_eq!(listing.runs.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [run_id(2)]);
    let message = format!("runner {pid} of group {GROUP} was ended: its record is damaged or incomplete");
    assert_eq!((listing.exits.len(), &listing.exits[0].message), (1, &message));
    assert!(fs::metadata("/etc/passwd").is_ok());
    runners.start(rig.run(3, 1, "never exit")).await.unwrap();
    runners.stop_all(Duration::ZERO).await;
}

async fn another_boot_voids_everything() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "exit 0").await;
    let pid = rig.pid(GROUP);
    drop(runners);
    rig.signal(GROUP, Signal::KILL);
    fs::write(rig.path("memory/runners.lock"), "another boot").unwrap();
    let (runners, _events) = rig.open().await;
    assert_eq!(runners.list().await.unwrap(), wasmnode_provider_api::Listing::default());
    assert!(pid > 0);
    rig.assert_clean(GROUP).await;
}

async fn planted_files_are_neither_read_nor_followed() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    rig.pod(&runners, 2, "ns-other", "never exit").await;
    started(&mut events, 1).await;
    started(&mut events, 2).await;
    let (exits, secret) = (rig.exits(GROUP), rig.path("secret"));
    fs::write(&secret, "secret line").unwrap();
    symlink(&secret, exits.join("crash")).unwrap();
    symlink(&secret, exits.join(format!("{}.exit", run_id(1)))).unwrap();
    // An exit for a run of another group.
    let lie = wasmnode_provider_api::Exit {
        run: run_id(2),
        code: 0,
        reason: ExitReason::Exited,
        message: String::new(),
        started_at: std::time::UNIX_EPOCH,
        finished_at: std::time::UNIX_EPOCH,
    };
    fs::write(exits.join(format!("{}.exit", run_id(2))), wasmnode_provider_api::wire::encode(lie)).unwrap();
    rig.signal(GROUP, Signal::KILL);
    let lost = exited(&mut events, 1).await;
    assert_eq!(lost.reason, ExitReason::Lost);
    assert!(!lost.message.contains("secret"), "{lost:?}");
    assert_eq!(runners.list().await.unwrap().runs.len(), 1, "the other group's run lives");
    runners.acknowledge(&run_id(1)).await.unwrap();
    runners.remove_sandbox(&sandbox_id(1)).await.unwrap();
    rig.assert_clean(GROUP).await;
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret line");
    runners.stop_all(Duration::ZERO).await;
}

async fn a_pid_that_is_another_process_now_is_not_touched() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    drop(runners);
    let record = rig.records(GROUP).remove(0);
    let real = pid_in(&record).unwrap();
    rig.signal(GROUP, Signal::KILL);
    let mine = std::process::id();
    assert!(reopened(&rig, |record| record["pid"] = mine.into()).await.is_none());
    let (runners, _events) = rig.open().await;
    let exits = runners.list().await.unwrap().exits;
    assert!(real > 0 && exits.len() == 1, "{exits:?}");
}
