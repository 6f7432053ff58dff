//! Standard streams: the log, an open input, clients that attach, and execs.

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmnode_provider_api::{ExecSpec, ExitReason, Stdin, StopMode, Streams, Workload};

use crate::guests;
use crate::real::{ended, printed, rig};
use crate::rig::PATIENCE;

#[tokio::test]
async fn no_line_is_lost_at_the_end() {
    let mut rig = rig().await;
    let spec = rig.program(&guests::print_lines(5000)).await;
    assert_eq!(rig.run(spec.clone()).await.code, 0);
    let log = rig.log(&spec);
    assert_eq!(printed(&log, "stdout"), vec!["a line of output"; 5000]);
}

#[tokio::test]
async fn stdin_is_at_its_end_unless_open() {
    let mut rig = rig().await;
    let spec = rig.program(&guests::cat()).await;
    assert_eq!(ended(&rig.run(spec).await), (7, ExitReason::Exited));
    // The mode of stopping opens it too.
    let mut spec = rig.program(&guests::cat()).await;
    spec.workload = Workload::Command { stop: StopMode::Stdin };
    let run = spec.id.clone();
    rig.provider.start(spec).await.unwrap();
    rig.provider.stop(&run).await.unwrap();
    assert_eq!(ended(&rig.exit_of(&run).await), (7, ExitReason::Exited));
}

async fn next(from: &mut mpsc::Receiver<Bytes>) -> Option<Bytes> {
    tokio::time::timeout(PATIENCE, from.recv()).await.expect("output in time")
}

#[tokio::test]
async fn attaches_to_the_streams_of_a_run() {
    let mut rig = rig().await;
    let mut spec = rig.program(&guests::cat()).await;
    spec.stdio.stdin = Stdin::Open { once: true };
    rig.provider.start(spec.clone()).await.unwrap();
    let (to, stdin) = mpsc::channel(1);
    let (stdout, mut from) = mpsc::channel(1);
    let streams = Streams { stdin: Some(stdin), stdout: Some(stdout), ..Streams::default() };
    let (provider, run) = (rig.provider.clone(), spec.id.clone());
    let attached = tokio::spawn(async move { provider.attach(&run, streams).await });
    for text in ["hello\n", "again\n"] {
        to.send(Bytes::from(text)).await.unwrap();
        assert_eq!(next(&mut from).await.as_deref(), Some(text.as_bytes()));
    }
    drop(to);
    assert_eq!(ended(&rig.exit_of(&spec.id).await), (7, ExitReason::Exited));
    assert_eq!(next(&mut from).await, None);
    attached.await.unwrap().unwrap();
    assert_eq!(printed(&rig.log(&spec), "stdout"), ["hello", "again"]);
}

#[tokio::test]
async fn an_exec_has_streams_of_its_own() {
    let mut rig = rig().await;
    let mut spec = rig.program(&guests::cat()).await;
    spec.stdio.stdin = Stdin::Open { once: false };
    rig.provider.start(spec.clone()).await.unwrap();
    let (to, stdin) = mpsc::channel(1);
    let (stdout, mut from) = mpsc::channel(16);
    let streams = Streams { stdin: Some(stdin), stdout: Some(stdout), ..Streams::default() };
    to.send(Bytes::from_static(b"to the exec")).await.unwrap();
    drop(to);
    let exec = ExecSpec { run: spec.id.clone(), argv: vec!["program.wasm".to_owned()], tty: false };
    assert_eq!(rig.provider.exec(exec, streams).await, Ok(7));
    assert_eq!(next(&mut from).await.as_deref(), Some(&b"to the exec"[..]));
    assert_eq!(next(&mut from).await, None);
    assert_eq!(rig.log(&spec), "");
    rig.provider.kill(&spec.id).await.unwrap();
    rig.exit_of(&spec.id).await;
}
