//! Verbs, events, and what becomes of them when a connection ends.

use std::sync::Arc;

use wasmnode_provider_api::{Error, Event, Hello, Listing, Provider, StartFailure};
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_process::{PROTOCOL, Remote};

use crate::rig::{Rig, exit, furnished, run, run_id, sandbox, sandbox_id, soon};
use crate::talker::Talker;

#[tokio::test]
async fn a_listing_may_be_large() {
    let exits: Vec<_> = (0..8000).map(|n| exit(n, "m".repeat(4096))).collect();
    let rig = Rig::new(Talker::listing(Listing { exits, ..Listing::default() }));
    let listing = soon(rig.remote().await.list()).await.unwrap();
    assert_eq!(listing.exits.len(), 8000);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_the_pods_fault() {
    let rig = Rig::new(Arc::new(furnished().await));
    let remote = rig.remote().await;
    let mut spec = run(1, "exit 0");
    spec.env = vec![("HUGE".to_owned(), "x".repeat(5 << 20))];
    let refusal = soon(remote.start(spec)).await;
    assert!(matches!(refusal, Err(Error::Start(StartFailure::Invalid(_)))), "{refusal:?}");
    assert_eq!(soon(remote.list()).await.unwrap().runs, []);
}

#[tokio::test]
async fn a_start_is_carried_out_although_its_client_left() {
    let fake = furnished().await;
    let rig = Rig::new(Arc::new(fake.clone()));
    let remote = rig.remote().await;
    let mut events = fake.events().await.unwrap();
    let starting = tokio::spawn(async move { remote.start(run(1, "never exit")).await });
    // Whether before or after the reply, the client goes away with its connection.
    while fake.starts().is_empty() {
        tokio::task::yield_now().await;
    }
    starting.abort();
    assert!(matches!(soon(events.recv()).await, Some(Event::Started { .. })));
    assert_eq!(fake.list().await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn a_broken_connection_is_made_again() {
    let fake = furnished().await;
    let rig = Rig::new(Arc::new(fake.clone()));
    let remote = rig.remote().await;
    let mut events = soon(remote.events()).await.unwrap();
    soon(remote.start(run(1, "never exit"))).await.unwrap();
    assert!(matches!(soon(events.recv()).await, Some(Event::Started { .. })));
    let dir = rig.end().await;
    assert_eq!(soon(events.recv()).await, None, "events end with their connection");
    let refusal = soon(remote.ping()).await;
    assert!(matches!(&refusal, Err(Error::Failed(text)) if text.contains("/sock")), "{refusal:?}");

    let rig = Rig::within(dir, Arc::new(fake));
    assert_eq!(soon(remote.list()).await.unwrap().runs.len(), 1);
    let mut events = soon(remote.events()).await.unwrap();
    soon(remote.kill(&run_id(1))).await.unwrap();
    assert!(matches!(soon(events.recv()).await, Some(Event::Exited(exit)) if exit.code == 137));
    drop(rig);
}

#[tokio::test]
async fn the_newest_client_gets_the_events() {
    let rig = Rig::new(Arc::new(furnished().await));
    let (old, new) = (rig.remote().await, rig.remote().await);
    let mut before = soon(old.events()).await.unwrap();
    let mut after = soon(new.events()).await.unwrap();
    assert_eq!(soon(before.recv()).await, None);
    soon(old.start(run(1, "exit 0"))).await.unwrap();
    assert!(matches!(soon(after.recv()).await, Some(Event::Started { .. })));
}

#[tokio::test]
async fn two_builds_too_far_apart_part_again() {
    let rig = Rig::new(Arc::new(FakeProvider::new()));
    let remote = rig.remote().await;
    let hello = |protocol| Hello { protocol, build: "agent-9".to_owned() };
    let refusal = soon(remote.hello(hello(PROTOCOL + 2))).await;
    assert!(matches!(&refusal, Err(Error::Failed(text)) if text.contains("agent-9")), "{refusal:?}");
    let welcome = soon(remote.hello(hello(PROTOCOL + 1))).await.unwrap();
    assert_eq!(welcome.protocol, PROTOCOL);
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = soon(Remote::connect(&dir.path().join("none"))).await;
    assert!(matches!(&refusal, Err(Error::Failed(text)) if text.contains("cannot be reached")), "{refusal:?}");
}

#[tokio::test]
async fn a_thousand_starts_at_the_same_time() {
    let rig = Rig::new(Arc::new(FakeProvider::with_capacity(2000)));
    let remote = Arc::new(rig.remote().await);
    soon(remote.create_sandbox(sandbox(1))).await.unwrap();
    soon(remote.prepare(&sandbox_id(1), &crate::rig::artifact())).await.unwrap();
    let starts = (1..=1000).map(|n| {
        let remote = remote.clone();
        tokio::spawn(async move { remote.start(run(n, "never exit")).await })
    });
    for start in starts.collect::<Vec<_>>() {
        soon(start).await.unwrap().unwrap();
    }
    assert_eq!(soon(remote.list()).await.unwrap().runs.len(), 1000);
}
