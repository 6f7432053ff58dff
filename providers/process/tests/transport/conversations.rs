//! Execs, attached clients and connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use wasmnode_provider_api::{Duplex, Error, ExecSpec, Provider, Streams, TerminalSize};

use crate::rig::{Rig, run_id, sandbox_id, soon};
use crate::talker::Talker;

/// What a peer that reads nothing may make the other side hold, besides the two ends' own channels.
const MOST_HELD: usize = 1 << 20;

const PIECE: usize = 16 << 10;

fn exec_spec() -> ExecSpec {
    ExecSpec { run: run_id(1), argv: vec!["program".to_owned()], tty: false }
}

/// A client's streams, and its ends of them.
struct Client {
    stdin: mpsc::Sender<Bytes>,
    stdout: mpsc::Receiver<Bytes>,
    stderr: mpsc::Receiver<Bytes>,
    resize: mpsc::Sender<TerminalSize>,
}

fn client() -> (Client, Streams) {
    let (stdin, from_stdin) = mpsc::channel(4);
    let (to_stdout, stdout) = mpsc::channel(4);
    let (to_stderr, stderr) = mpsc::channel(4);
    let (resize, sizes) = mpsc::channel(4);
    let streams =
        Streams { stdin: Some(from_stdin), stdout: Some(to_stdout), stderr: Some(to_stderr), resize: Some(sizes) };
    (Client { stdin, stdout, stderr, resize }, streams)
}

async fn all(mut from: mpsc::Receiver<Bytes>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = soon(from.recv()).await {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[tokio::test]
async fn an_exec_delivers_everything_before_its_code() {
    let rig = Rig::new(Talker::exec(|mut streams| async move {
        let (stdout, stderr) = (streams.stdout.take().unwrap(), streams.stderr.take().unwrap());
        let mut stdin = streams.stdin.take().unwrap();
        while let Some(bytes) = stdin.recv().await {
            stdout.send(bytes).await.unwrap();
        }
        // More than one frame holds, after the client has said all.
        stdout.send(vec![b'o'; 300_000].into()).await.unwrap();
        stderr.send(Bytes::from_static(b"bye")).await.unwrap();
        Ok(42)
    }));
    let remote = rig.remote().await;
    let (client, streams) = client();
    let executing = tokio::spawn(async move { remote.exec(exec_spec(), streams).await });
    let reading = tokio::spawn(async move { (all(client.stdout).await, all(client.stderr).await) });
    for text in ["a", "b", "c"] {
        client.stdin.send(text.into()).await.unwrap();
    }
    drop(client.stdin);
    assert_eq!(soon(executing).await.unwrap(), Ok(42));
    let (stdout, stderr) = reading.await.unwrap();
    assert!(stdout.starts_with(b"abcooo"), "{:?}", &stdout[..6]);
    assert_eq!((stdout.len(), stderr.as_slice()), (300_003, &b"bye"[..]));
}

#[tokio::test]
async fn only_wanted_streams_are_there() {
    let rig = Rig::new(Talker::exec(|streams| async move {
        let Streams { stdin, stdout, stderr, resize } = streams;
        Ok(i32::from(stdin.is_some()) + i32::from(stdout.is_some()) + i32::from(stderr.is_some() || resize.is_some()))
    }));
    let remote = rig.remote().await;
    assert_eq!(soon(remote.exec(exec_spec(), Streams::default())).await, Ok(0));
    let (client, streams) = client();
    assert_eq!(soon(remote.exec(exec_spec(), streams)).await, Ok(3));
    drop(client);
}

#[tokio::test]
async fn sizes_of_the_terminal_arrive() {
    let rig = Rig::new(Talker::exec(|mut streams| async move {
        let mut resize = streams.resize.take().unwrap();
        let size = resize.recv().await.unwrap();
        Ok(i32::from(size.width) * 1000 + i32::from(size.height))
    }));
    let remote = rig.remote().await;
    let (client, streams) = client();
    client.resize.send(TerminalSize { width: 80, height: 24 }).await.unwrap();
    assert_eq!(soon(remote.exec(exec_spec(), streams)).await, Ok(80_024));
}

#[tokio::test]
async fn a_slow_reader_holds_the_guest_up() {
    let printed = Arc::new(AtomicUsize::new(0));
    let counted = printed.clone();
    let rig = Rig::new(Talker::exec(move |mut streams| {
        let (stdout, counted) = (streams.stdout.take().unwrap(), counted.clone());
        async move {
            for _ in 0..64 * MOST_HELD / PIECE {
                if stdout.send(vec![b'x'; PIECE].into()).await.is_err() {
                    return Ok(1);
                }
                counted.fetch_add(PIECE, Ordering::SeqCst);
            }
            Ok(0)
        }
    }));
    let remote = Arc::new(rig.remote().await);
    let (mut client, streams) = client();
    let executing = {
        let remote = remote.clone();
        tokio::spawn(async move { remote.exec(exec_spec(), streams).await })
    };
    // The client takes one piece and no more. As long as the other verbs work, time passes.
    soon(client.stdout.recv()).await.unwrap();
    let mut before = usize::MAX;
    while before != printed.load(Ordering::SeqCst) {
        before = printed.load(Ordering::SeqCst);
        for _ in 0..500 {
            remote.ping().await.unwrap();
        }
    }
    // The client's channel takes four messages of up to 64 KiB, and the provider's two.
    assert!(before <= MOST_HELD + 6 * (64 << 10), "{before} bytes are held");
    drop(client.stdout);
    assert_eq!(soon(executing).await.unwrap(), Ok(1), "a client that has left is told from a slow one");
}

#[tokio::test]
async fn a_guest_that_reads_nothing_holds_its_client_up() {
    let rig = Rig::new(Talker::exec(|streams| async move {
        let _unread = streams.stdin;
        std::future::pending().await
    }));
    let remote = Arc::new(rig.remote().await);
    let (client, streams) = client();
    let executing = {
        let remote = remote.clone();
        tokio::spawn(async move { remote.exec(exec_spec(), streams).await })
    };
    let mut sent = 0;
    loop {
        tokio::select! {
            biased;
            accepted = client.stdin.send(vec![b'x'; PIECE].into()) => accepted.unwrap(),
            () = async { for _ in 0..500 { remote.ping().await.unwrap() } } => break,
        }
        sent += PIECE;
        assert!(sent <= MOST_HELD + 6 * (64 << 10), "{sent} bytes are held");
    }
    executing.abort();
}

#[tokio::test]
async fn an_exec_ends_when_its_client_leaves() {
    let (dropped, ended) = oneshot::channel::<()>();
    let dropped = std::sync::Mutex::new(Some(dropped));
    let rig = Rig::new(Talker::exec(move |streams| {
        let kept = (dropped.lock().unwrap().take(), streams);
        async move {
            let _kept = kept;
            std::future::pending().await
        }
    }));
    let remote = rig.remote().await;
    let (client, streams) = client();
    let executing = tokio::spawn(async move { remote.exec(exec_spec(), streams).await });
    // Once this arrived, the exec is under way.
    client.stdin.send("x".into()).await.unwrap();
    while client.stdin.capacity() < client.stdin.max_capacity() {
        tokio::task::yield_now().await;
    }
    executing.abort();
    assert!(soon(ended).await.is_err(), "dropped");
}

#[tokio::test]
async fn an_attached_client_that_reads_no_more_is_noticed() {
    let rig = Rig::new(Talker::attach(|streams| async move {
        let stdout = streams.stdout.unwrap();
        stdout.closed().await;
        Ok(())
    }));
    let remote = rig.remote().await;
    let (client, streams) = client();
    let attached = tokio::spawn(async move { remote.attach(&run_id(1), streams).await });
    drop(client.stdout);
    assert_eq!(soon(attached).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_guest_that_reads_no_more_is_noticed() {
    let rig = Rig::new(Talker::exec(|mut streams| async move {
        drop(streams.stdin.take());
        let (stdout, _more) = (streams.stdout.take().unwrap(), streams);
        stdout.closed().await;
        Ok(0)
    }));
    let remote = rig.remote().await;
    let (client, streams) = client();
    let executing = tokio::spawn(async move { remote.exec(exec_spec(), streams).await });
    soon(client.stdin.closed()).await;
    drop(client.stdout);
    assert_eq!(soon(executing).await.unwrap(), Ok(0));
}

#[tokio::test]
async fn refusals_of_conversations_keep_their_type() {
    let rig = Rig::new(Talker::exec(|_| async { Err(Error::Full("no".to_owned())) }));
    let remote = rig.remote().await;
    assert_eq!(soon(remote.exec(exec_spec(), Streams::default())).await, Err(Error::Full("no".to_owned())));
    let connected = soon(remote.connect(&sandbox_id(1), 80)).await;
    assert!(matches!(connected, Err(Error::Unsupported(_))), "{connected:?}");
    let attached = soon(remote.attach(&run_id(9), Streams::default())).await;
    assert!(matches!(attached, Err(Error::NotFound { .. })), "{attached:?}");
}

#[tokio::test]
async fn connections_are_closed_one_direction_at_a_time() {
    // Answers when it has heard all.
    let rig = Rig::new(Talker::pod(|Duplex { to, mut from }| async move {
        let mut heard = Vec::new();
        while let Some(bytes) = from.recv().await {
            heard.extend_from_slice(&bytes);
        }
        heard.reverse();
        to.send(heard.into()).await.unwrap();
    }));
    let remote = rig.remote().await;
    let Duplex { to, from } = soon(remote.connect(&sandbox_id(1), 80)).await.unwrap();
    to.send("abc".into()).await.unwrap();
    to.send("def".into()).await.unwrap();
    drop(to);
    assert_eq!(all(from).await, b"fedcba");
    let refused = soon(remote.connect(&sandbox_id(1), 81)).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_pod_may_say_all_first() {
    let (heard, hearing) = oneshot::channel();
    let heard = std::sync::Mutex::new(Some(heard));
    let rig = Rig::new(Talker::pod(move |Duplex { to, from }| {
        let heard = heard.lock().unwrap().take();
        async move {
            to.send("hello".into()).await.unwrap();
            drop(to);
            let _ = heard.unwrap().send(all(from).await);
        }
    }));
    let remote = rig.remote().await;
    let Duplex { to, from } = soon(remote.connect(&sandbox_id(1), 80)).await.unwrap();
    assert_eq!(all(from).await, b"hello");
    to.send("late".into()).await.unwrap();
    drop(to);
    assert_eq!(soon(hearing).await.unwrap(), b"late");
}

#[tokio::test]
async fn a_client_that_drops_its_connection_has_said_its_last() {
    let (heard, hearing) = oneshot::channel();
    let heard = std::sync::Mutex::new(Some(heard));
    let rig = Rig::new(Talker::pod(move |Duplex { to, from }| {
        let heard = heard.lock().unwrap().take();
        async move {
            let bytes = all(from).await;
            to.closed().await;
            let _ = heard.unwrap().send(bytes);
        }
    }));
    let remote = rig.remote().await;
    let connection = soon(remote.connect(&sandbox_id(1), 80)).await.unwrap();
    connection.to.send("last words".into()).await.unwrap();
    drop(connection);
    assert_eq!(soon(hearing).await.unwrap(), b"last words");
}
