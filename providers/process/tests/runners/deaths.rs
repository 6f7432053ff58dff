//! Runners die.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmnode_provider_api::{Error, ExitReason, Provider};
use wasmnode_provider_process::runners::DeathCause;

use crate::rig::{GROUP, Rig, exited, run_id, sandbox, sandbox_id, started};
use crate::runner::{CRASHING, MUTE};

crate::cases!(
    every_run_of_it_ends_once_and_goes_on_in_the_next,
    silence_is_death,
    a_group_that_crashes_is_held_back,
    a_runner_that_never_answers_is_given_up,
);

async fn every_run_of_it_ends_once_and_goes_on_in_the_next() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "exit 4").await;
    started(&mut events, 1).await;
    exited(&mut events, 1).await;
    rig.pod(&runners, 2, GROUP, "never exit").await;
    started(&mut events, 2).await;
    rig.pod(&runners, 3, "ns-other", "never exit").await;
    started(&mut events, 3).await;
    let pid = rig.pid(GROUP);
    let killed = Instant::now();
    rig.signal(GROUP, Signal::KILL);
    let lost = exited(&mut events, 2).await;
    assert_eq!((lost.code, lost.reason), (255, ExitReason::Lost));
    assert_eq!(lost.message, format!("runner {pid} of group {GROUP} was killed by signal 9 (SIGKILL)"));
    let listing = runners.list().await.unwrap();
    let mut codes: Vec<i32> = listing.exits.iter().map(|exit| exit.code).collect();
    codes.sort_unstable();
    assert_eq!((codes, listing.runs.len(), listing.sandboxes.len()), (vec![4, 255], 1, 3));
    // The sandbox is still there, and neither created nor prepared for again.
    runners.start(rig.run(4, 2, "exit 6")).await.unwrap();
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    started(&mut events, 4).await;
    assert_eq!(exited(&mut events, 4).await.code, 6);
    let metrics = runners.metrics();
    assert_eq!((metrics.deaths[&DeathCause::Signal], metrics.starts), (1, 3));
    for n in [1, 2, 4] {
        runners.acknowledge(&run_id(n)).await.unwrap();
    }
    assert!(runners.list().await.unwrap().exits.is_empty());
    assert_eq!(runners.usage(&sandbox_id(1)).await.unwrap().containers.len(), 0);
    runners.stop_all(Duration::ZERO).await;
}

async fn silence_is_death() {
    let rig = Rig::new();
    let (runners, mut events) = rig.open().await;
    rig.pod(&runners, 1, GROUP, "never exit").await;
    started(&mut events, 1).await;
    rig.signal(GROUP, Signal::STOP);
    let pid = rig.pid(GROUP);
    // It holds up nobody who asks for what is known.
    assert_eq!(runners.list().await.unwrap().runs.len(), 1);
    let lost = exited(&mut events, 1).await;
    assert_eq!(lost.message, format!("runner {pid} of group {GROUP} did not answer for 15 s and was killed"));
    assert_eq!(runners.metrics().deaths[&DeathCause::Hung], 1);
    runners.start(rig.run(2, 1, "never exit")).await.unwrap();
    runners.stop_all(Duration::ZERO).await;
}

async fn a_group_that_crashes_is_held_back() {
    let rig = Rig::new();
    rig.group(CRASHING);
    let (runners, _events) = rig.open().await;
    let mut refusals = Vec::new();
    for _ in 0..3 {
        refusals.push(runners.create_sandbox(sandbox(1, CRASHING)).await.unwrap_err().to_string());
    }
    assert!(refusals[0].ends_with("of group ns-crashing exited with status 3: scripted crash"), "{refusals:?}");
    let last = refusals.last().unwrap();
    assert_eq!(last, "runner of group ns-crashing ended 2 times, next start in 1 s");
    assert!(
        matches!(runners.target(&sandbox_id(1)).await, Err(Error::NotFound { .. })),
        "a failed create leaves nothing"
    );
    // Others are not held up.
    rig.pod(&runners, 2, GROUP, "never exit").await;
    assert_eq!(runners.metrics().failed_starts, 2);
    rig.assert_clean(CRASHING).await;
    runners.stop_all(Duration::ZERO).await;
}

async fn a_runner_that_never_answers_is_given_up() {
    let rig = Rig::new();
    rig.group(MUTE);
    let (runners, _events) = rig.open().await;
    let refusal = runners.create_sandbox(sandbox(1, MUTE)).await.unwrap_err().to_string();
    assert!(refusal.contains("of group ns-mute was not ready within 10 s"), "{refusal}");
    rig.assert_clean(MUTE).await;
}
