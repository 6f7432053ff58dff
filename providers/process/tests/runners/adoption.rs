//! Agents come and go; runners stay.

use std::fs;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode};
use rustix::process::Signal;
use wasmnode_provider_api::{ExitReason, Provider};
use wasmnode_provider_process::runners::DeathCause;

use crate::rig::{GROUP, Rig, eventually, exited, run_id, sandbox, sandbox_id, started};

crate::cases!(
    the_next_agent_goes_on_where_the_last_one_ended,
    what_died_without_an_agent_is_told_by_the_next,
    what_was_told_and_not_acknowledged_is_told_again,
    a_runner_that_does_not_answer_holds_its_runs,
    a_runner_that_answers_pings_alone_is_hung,
    an_older_build_keeps_its_pods_and_gets_no_new_ones,
    a_thousand_exits_wait,
);

async fn the_next_agent_goes_on_where_the_last_one_ended() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    rig.pod(&runners, 2, GROUP, "await stdin, exit 9").await;
    started(&mut events, 1).await;
    started(&mut events, 2).await;
    let before = runners.list().await.unwrap();
    let pid = rig.pid(GROUP);
    drop(runners);
    let (runners, mut events) = rig.open().await;
    let mut after = runners.list().await.unwrap();
    after.runs.sort_by(|a, b| a.run.cmp(&b.run));
    let mut runs = before.runs;
    runs.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!(after.runs, runs, "same runs, same times of start");
    assert_eq!(after.sandboxes.len(), 2);
    assert_eq!(rig.pid(GROUP), pid);
    // Known sandboxes are known, new ones find room, and what is going on goes on.
    runners.create_sandbox(sandbox(1, GROUP)).await.unwrap();
    rig.pod(&runners, 3, GROUP, "exit 1").await;
    started(&mut events, 3).await;
    assert_eq!(exited(&mut events, 3).await.code, 1);
    assert_eq!(rig.pid(GROUP), pid);
    runners.kill(&run_id(1)).await.unwrap();
    assert_eq!(exited(&mut events, 1).await.code, 137);
    assert_eq!((runners.metrics().adopted, runners.metrics().starts), (1, 0));
    runners.stop_all(Duration::ZERO).await;
}

async fn what_died_without_an_agent_is_told_by_the_next() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    rig.pod(&runners, 2, GROUP, "run 200ms, exit 9").await;
    rig.pod(&runners, 3, GROUP, "exit 0").await;
    started(&mut events, 1).await;
    runners.acknowledge(&run_id(3)).await.unwrap();
    let (pid, exits) = (rig.pid(GROUP), rig.exits(GROUP));
    drop(runners);
    eventually("the exit is on disk", || {
        crate::rig::entries(&exits, "exit")
            .iter()
            .any(|path| path.file_stem().is_some_and(|stem| stem.to_string_lossy() == run_id(2).as_str()))
    })
    .await;
    rig.signal(GROUP, Signal::KILL);
    let (runners, _events) = rig.open().await;
    let listing = runners.list().await.unwrap();
    assert_eq!((listing.runs.len(), listing.sandboxes.len()), (0, 3));
    let exit = |n| listing.exits.iter().find(|exit| exit.run == run_id(n));
    assert_eq!(exit(2).map(|exit| (exit.code, exit.reason)), Some((9, ExitReason::Exited)));
    let lost = exit(1).unwrap();
    assert_eq!((lost.code, lost.reason), (255, ExitReason::Lost));
    assert!(lost.message.starts_with(&format!("runner {pid} of group {GROUP} ")), "{lost:?}");
    assert_eq!(runners.metrics().runners.len(), 0, "nothing is started by looking");
    for exit in &listing.exits {
        runners.acknowledge(&exit.run).await.unwrap();
    }
    // The sandbox outlives its runner and its agent.
    runners.start(rig.run(9, 1, "never exit")).await.unwrap();
    runners.stop_all(Duration::ZERO).await;
    for n in [1, 2, 3] {
        runners.remove_sandbox(&sandbox_id(n)).await.unwrap();
    }
    runners.acknowledge(&run_id(9)).await.unwrap();
    rig.assert_clean(GROUP).await;
}

async fn what_was_told_and_not_acknowledged_is_told_again() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    started(&mut events, 1).await;
    rig.signal(GROUP, Signal::KILL);
    let lost = exited(&mut events, 1).await;
    drop(runners);
    for _ in 0..2 {
        let (runners, _events) = rig.open().await;
        let again = runners.list().await.unwrap().exits;
        assert_eq!(again.len(), 1);
        assert_eq!((&again[0].message, again[0].reason), (&lost.message, lost.reason));
    }
    let (runners, _events) = rig.open().await;
    runners.acknowledge(&run_id(1)).await.unwrap();
    runners.remove_sandbox(&sandbox_id(1)).await.unwrap();
    rig.assert_clean(GROUP).await;
    drop(runners);
    let (runners, _events) = rig.open().await;
    assert!(runners.list().await.unwrap().exits.is_empty());
}

async fn a_runner_that_does_not_answer_holds_its_runs() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    drop(runners);
    rig.signal(GROUP, Signal::STOP);
    let (runners, _events) = rig.open().await;
    let listing = {
        let listed = runners.list();
        tokio::pin!(listed);
        // Its runs must not be taken for lost while it may come back.
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut listed).await.is_err());
        rig.signal(GROUP, Signal::CONT);
        listed.await.unwrap()
    };
    assert_eq!(listing.runs.len(), 1);
    runners.stop_all(Duration::ZERO).await;
}

async fn a_runner_that_answers_pings_alone_is_hung() {
    let rig = Rig::new();
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    runners.create_sandbox(sandbox(2, GROUP)).await.unwrap();
    // Writing the exit waits for a reader of this for ever, and so does whoever asks the journal for a listing.
    let planted = rig.exits(GROUP).join(format!("{}.tmp", run_id(2)));
    rustix::fs::mknodat(rustix::fs::CWD, &planted, FileType::Fifo, Mode::RWXU, 0).unwrap();
    runners.prepare(&sandbox_id(2), &rig.artifact()).await.unwrap();
    runners.start(rig.run(2, 2, "exit 0")).await.unwrap();
    let answers = async || {
        let asked = Instant::now();
        runners.list().await.unwrap();
        asked.elapsed() < Duration::from_secs(1)
    };
    while answers().await {}
    drop(runners);
    let (runners, _events) = rig.open().await;
    runners.list().await.unwrap();
    eventually("it was killed", || runners.metrics().deaths.contains_key(&DeathCause::Hung)).await;
    let exits = runners.list().await.unwrap().exits;
    assert!(exits.len() == 2 && exits.iter().all(|exit| exit.reason == ExitReason::Lost), "{exits:?}");
    runners.stop_all(Duration::ZERO).await;
}

async fn an_older_build_keeps_its_pods_and_gets_no_new_ones() {
    let mut rig = Rig::new();
    rig.idle = Duration::from_millis(300);
    let (runners, _events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    drop(runners);
    let older = rig.config().program;
    rig.build = "b2".to_owned();
    fs::create_dir_all(rig.path("state/bin/b0")).unwrap();
    let (runners, _events) = rig.open().await;
    assert!(!rig.path("state/bin/b0").exists(), "nobody was started from it");
    assert_eq!(runners.metrics().older, 1);
    assert_eq!(runners.target(&sandbox_id(1)).await.unwrap().compiler, older);
    rig.pod(&runners, 2, GROUP, "never exit").await;
    assert_eq!(runners.target(&sandbox_id(2)).await.unwrap().compiler, rig.config().program);
    // A container that is started again stays with its pod.
    runners.start(rig.run(3, 1, "never exit")).await.unwrap();
    assert_eq!(rig.records(GROUP).len(), 2);
    runners.remove_sandbox(&sandbox_id(1)).await.unwrap();
    for n in [1, 3] {
        eventually("it was ended", || runners.metrics().runs == 1).await;
        runners.acknowledge(&run_id(n)).await.unwrap();
    }
    eventually("the older build is gone", || !older.exists() && runners.metrics().older == 0).await;
    assert!(rig.config().program.exists());
    runners.stop_all(Duration::ZERO).await;
}

async fn a_thousand_exits_wait() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    runners.create_sandbox(sandbox(1, GROUP)).await.unwrap();
    runners.prepare(&sandbox_id(1), &rig.artifact()).await.unwrap();
    for n in 0..1000 {
        runners.start(rig.run(n, 1, "exit 2")).await.unwrap();
    }
    for n in 0..1000 {
        started(&mut events, n).await;
        exited(&mut events, n).await;
    }
    drop(runners);
    let (runners, _events) = rig.open().await;
    let exits = runners.list().await.unwrap().exits;
    assert_eq!(exits.iter().filter(|exit| exit.code == 2).count(), 1000);
    // Again with the runner gone: from disk.
    drop(runners);
    rig.signal(GROUP, Signal::KILL);
    let (runners, _events) = rig.open().await;
    let exits = runners.list().await.unwrap().exits;
    assert_eq!(exits.iter().filter(|exit| exit.code == 2).count(), 1000);
    for exit in exits {
        runners.acknowledge(&exit.run).await.unwrap();
    }
    runners.remove_sandbox(&sandbox_id(1)).await.unwrap();
    rig.assert_clean(GROUP).await;
}
