//! Whoever connects and does not speak as an agent does.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wasmnode_provider_api::Provider;

use crate::rig::{Rig, furnished, run, soon};

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn is_disconnected(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    matches!(soon(stream.read_to_end(&mut rest)).await, Ok(_) | Err(_))
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let fake = furnished().await;
    let rig = Rig::new(Arc::new(fake.clone()));
    let remote = rig.remote().await;
    soon(remote.start(run(1, "never exit"))).await.unwrap();
    let half_a_frame = [PREFACE, &[0, 255, 255, 1]].concat();
    let wrong_frame = [PREFACE, &[0, 0, 4, 9, 9, 9, 9, 9, 9, 1, 2, 3, 4]].concat();
    let noise: Vec<u8> = (0..65_536_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for bytes in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), noise, wrong_frame, half_a_frame, Vec::new()] {
        let mut stream = rig.raw().await;
        // The other side may hang up before it has all.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        assert!(is_disconnected(&mut stream).await);
        soon(remote.ping()).await.unwrap();
    }
    assert_eq!(soon(rig.remote().await.list()).await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn silent_clients_make_room() {
    let rig = Rig::new(Arc::new(furnished().await));
    let remote = rig.remote().await;
    soon(remote.ping()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(rig.raw().await);
    }
    let other = rig.remote().await;
    soon(other.ping()).await.unwrap();
    assert!(is_disconnected(&mut silent[0]).await, "the first of those that said nothing");
    soon(remote.ping()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_disconnected() {
    let rig = Rig::new(Arc::new(furnished().await));
    let mut silent = rig.raw().await;
    silent.write_all(PREFACE).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "within the time for a hello");
}
