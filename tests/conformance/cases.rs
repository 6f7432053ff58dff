//! What every provider must do.

use std::time::SystemTime;

use tokio::sync::mpsc;
use wasmnode_provider_api::{
    Configure, Error, Event, ExecSpec, ExitReason, Hello, SandboxUpdate, Stdin, StopMode, Streams, Workload,
};

use crate::rig::{PATIENCE, Rig, is_not_found, is_there_already, run_id, sandbox_id, sandbox_spec};
use crate::subject::Does;

pub(crate) async fn says_hello(rig: Rig) {
    let hello = Hello { protocol: 1, build: "test".to_owned() };
    let welcome = rig.provider.hello(hello).await.unwrap();
    assert_eq!(welcome.protocol, 1);
    assert_eq!(welcome.capacity, 8);
    assert!(welcome.runtime.contains("://"), "{}", welcome.runtime);
    assert!(!welcome.engines.is_empty());
    rig.provider.configure(Configure::default()).await.unwrap();
    rig.provider.ping().await.unwrap();
}

pub(crate) async fn exits_with_the_low_byte_of_its_code(mut rig: Rig) {
    for (code, expected) in [(0, 0), (1, 1), (125, 125), (126, 126), (255, 255), (256, 0), (300, 44), (-1, 255)] {
        let spec = rig.spec(Does::Exit(code)).await;
        let before = SystemTime::now();
        let exit = rig.run(spec).await;
        assert_eq!((exit.code, exit.reason), (expected, ExitReason::Exited), "proc_exit({code})");
        assert!(before <= exit.started_at && exit.started_at <= exit.finished_at, "{exit:?}");
    }
}

pub(crate) async fn stops_with_143(mut rig: Rig) {
    let run = rig.start(Does::Sleep).await;
    rig.provider.stop(&run).await.unwrap();
    let exit = rig.exit_of(&run).await;
    assert_eq!((exit.code, exit.reason), (143, ExitReason::Stopped));
}

pub(crate) async fn kills_with_137(mut rig: Rig) {
    let run = rig.start(Does::Sleep).await;
    rig.provider.kill(&run).await.unwrap();
    let exit = rig.exit_of(&run).await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Killed));
}

pub(crate) async fn stop_and_kill_after_the_end_change_nothing(mut rig: Rig) {
    let spec = rig.spec(Does::Exit(3)).await;
    let exit = rig.run(spec).await;
    rig.provider.stop(&exit.run).await.unwrap();
    rig.provider.kill(&exit.run).await.unwrap();
    assert_eq!(rig.provider.list().await.unwrap().exits, [exit]);
}

pub(crate) async fn traps_with_134_and_a_backtrace(mut rig: Rig) {
    let spec = rig.spec(Does::Trap).await;
    let exit = rig.run(spec).await;
    assert_eq!((exit.code, exit.reason), (134, ExitReason::Trap));
    assert!(exit.message.contains("wasm backtrace:\n"), "{}", exit.message);
}

pub(crate) async fn ends_at_its_memory_limit(mut rig: Rig) {
    let mut spec = rig.spec(Does::Grow).await;
    spec.limits.memory_bytes = Some(10 << 20);
    let exit = rig.run(spec).await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::OutOfMemory));
    assert!(exit.message.contains("limit"), "{}", exit.message);
}

pub(crate) async fn closes_stdin_to_stop(mut rig: Rig) {
    let mut spec = rig.spec(Does::ReadStdin).await;
    spec.workload = Workload::Command { stop: StopMode::Stdin };
    spec.stdio.stdin = Stdin::Open { once: false };
    let run = spec.id.clone();
    rig.provider.start(spec).await.unwrap();
    rig.provider.ping().await.unwrap();
    assert_eq!(rig.provider.list().await.unwrap().runs.len(), 1, "open stdin should be waited for");
    rig.provider.stop(&run).await.unwrap();
    let exit = rig.exit_of(&run).await;
    assert_eq!((exit.code, exit.reason), (7, ExitReason::Exited));
}

pub(crate) async fn refuses_a_second_start_of_the_same_run(mut rig: Rig) {
    let spec = rig.spec(Does::Sleep).await;
    rig.provider.start(spec.clone()).await.unwrap();
    is_there_already(rig.provider.start(spec.clone()).await, "run");
    rig.provider.kill(&spec.id).await.unwrap();
    rig.exit_of(&spec.id).await;
    is_there_already(rig.provider.start(spec).await, "run");
}

pub(crate) async fn refuses_unknown_ids(mut rig: Rig) {
    let spec = rig.spec(Does::Exit(0)).await;
    let mut elsewhere = spec.clone();
    elsewhere.sandbox = sandbox_id(99);
    let mut unprepared = spec.clone();
    unprepared.artifact.digest = "sha256:unknown".to_owned();
    is_not_found(rig.provider.start(elsewhere).await, "sandbox");
    is_not_found(rig.provider.start(unprepared).await, "artifact");

    let run = run_id(99);
    is_not_found(rig.provider.stop(&run).await, "run");
    is_not_found(rig.provider.kill(&run).await, "run");
    is_not_found(rig.provider.attach(&run, Streams::default()).await, "run");
    let exec = ExecSpec { run: run.clone(), argv: rig.subject.exec_argv(), tty: false };
    is_not_found(rig.provider.exec(exec, Streams::default()).await, "run");
    let update = SandboxUpdate { id: sandbox_id(99), memory_limit: None, cpu_millis: None };
    is_not_found(rig.provider.update_sandbox(update).await, "sandbox");
    is_not_found(rig.provider.usage(&sandbox_id(99)).await, "sandbox");

    rig.provider.acknowledge(&run).await.unwrap();
    rig.provider.remove_sandbox(&sandbox_id(99)).await.unwrap();
    assert_eq!(rig.provider.list().await.unwrap().runs, []);
}

pub(crate) async fn forgives_what_may_be_repeated(mut rig: Rig) {
    let spec = rig.spec(Does::Exit(0)).await;
    rig.provider.prepare(&spec.sandbox, &spec.artifact).await.unwrap();
    rig.provider.create_sandbox(sandbox_spec(rig.sandbox.clone())).await.unwrap();
    let mut other = sandbox_spec(rig.sandbox.clone());
    other.hostname = "other".to_owned();
    is_there_already(rig.provider.create_sandbox(other).await, "sandbox");
    rig.provider.remove_sandbox(&rig.sandbox).await.unwrap();
    rig.provider.remove_sandbox(&rig.sandbox).await.unwrap();
    assert_eq!(rig.provider.list().await.unwrap().sandboxes, []);
}

pub(crate) async fn lists_what_runs(mut rig: Rig) {
    let run = rig.start(Does::Sleep).await;
    let listing = rig.provider.list().await.unwrap();
    assert_eq!(listing.sandboxes, [rig.sandbox.clone()]);
    assert_eq!(listing.exits, []);
    let [listed] = listing.runs.as_slice() else { panic!("{listing:?} should hold one run") };
    assert_eq!((&listed.run, &listed.sandbox, listed.container.as_str()), (&run, &rig.sandbox, "c1"));
    let Some(Event::Started { run: started, at }) = rig.next_event().await else {
        panic!("the start was not reported")
    };
    assert_eq!((started, at), (run, listed.started_at));
}

pub(crate) async fn lists_exits_until_acknowledged(mut rig: Rig) {
    let spec = rig.spec(Does::Exit(5)).await;
    let exit = rig.run(spec).await;
    for _ in 0..2 {
        let listing = rig.provider.list().await.unwrap();
        assert_eq!((listing.runs, listing.exits), (Vec::new(), vec![exit.clone()]));
    }
    rig.provider.acknowledge(&exit.run).await.unwrap();
    rig.provider.acknowledge(&exit.run).await.unwrap();
    assert_eq!(rig.provider.list().await.unwrap().exits, []);
    is_not_found(rig.provider.kill(&exit.run).await, "run");
}

pub(crate) async fn removing_a_sandbox_kills_what_runs_in_it(mut rig: Rig) {
    let run = rig.start(Does::Sleep).await;
    rig.provider.remove_sandbox(&rig.sandbox).await.unwrap();
    let listing = rig.provider.list().await.unwrap();
    assert_eq!((listing.sandboxes, listing.runs), (Vec::new(), Vec::new()));
    let [exit] = listing.exits.as_slice() else { panic!("{:?} should hold one exit", listing.exits) };
    assert_eq!((&exit.run, exit.code, exit.reason), (&run, 137, ExitReason::Killed));
}

pub(crate) async fn reports_start_then_exit_once(mut rig: Rig) {
    let runs = [rig.start(Does::Sleep).await, rig.start(Does::Exit(0)).await, rig.start(Does::Trap).await];
    rig.provider.kill(&runs[0]).await.unwrap();
    for run in &runs {
        rig.exit_of(run).await;
    }
    for run in &runs {
        let of_run = rig.seen.iter().filter_map(|event| match event {
            Event::Started { run: started, .. } if started == run => Some("started"),
            Event::Exited(exit) if exit.run == *run => Some("exited"),
            _ => None,
        });
        assert_eq!(of_run.collect::<Vec<_>>(), ["started", "exited"]);
    }
    assert_eq!(rig.seen.len(), 6);
}

pub(crate) async fn a_second_event_stream_ends_the_first(mut rig: Rig) {
    let mut second = rig.provider.events().await.unwrap();
    assert_eq!(rig.next_event().await, None);
    let run = rig.start(Does::Exit(0)).await;
    assert!(matches!(second.recv().await, Some(Event::Started { run: started, .. }) if started == run));
    assert!(matches!(second.recv().await, Some(Event::Exited(exit)) if exit.run == run));
}

pub(crate) async fn is_full_at_its_capacity(mut rig: Rig) {
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(rig.start(Does::Sleep).await);
    }
    let spec = rig.spec(Does::Exit(0)).await;
    let refusal = rig.provider.start(spec.clone()).await;
    assert!(matches!(refusal, Err(Error::Full(_))), "{refusal:?}");
    rig.provider.kill(&runs[0]).await.unwrap();
    rig.exit_of(&runs[0]).await;
    assert_eq!(rig.run(spec).await.code, 0);
}

pub(crate) async fn executes_with_other_arguments(mut rig: Rig) {
    let run = rig.start(Does::ExecTarget).await;
    let exec = ExecSpec { run: run.clone(), argv: rig.subject.exec_argv(), tty: false };
    assert_eq!(rig.provider.exec(exec, Streams::default()).await, Ok(3));
    assert_eq!(rig.provider.list().await.unwrap().runs.len(), 1, "the run itself should go on");
    rig.provider.kill(&run).await.unwrap();
    rig.exit_of(&run).await;
    assert_eq!(rig.seen.len(), 2, "nobody is told of an exec");
}

pub(crate) async fn ends_an_exec_with_its_run(mut rig: Rig) {
    let run = rig.start(Does::ExecTarget).await;
    let (resizes, resize) = mpsc::channel(1);
    let streams = Streams { resize: Some(resize), ..Streams::default() };
    let exec = ExecSpec { run: run.clone(), argv: rig.subject.endless_exec_argv(), tty: true };
    let provider = rig.provider.clone();
    let executing = tokio::spawn(async move { provider.exec(exec, streams).await });
    tokio::task::yield_now().await;
    rig.provider.kill(&run).await.unwrap();
    // Depending on which came first, the exec found the run or was ended with it.
    match executing.await.unwrap() {
        Ok(code) => assert_eq!(code, 137),
        refusal => is_not_found(refusal, "run"),
    }
    drop(resizes);
}

pub(crate) async fn accounts_for_memory(mut rig: Rig) {
    let run = rig.start(Does::Hold(4)).await;
    let expected = 4 << 20;
    // The guest was entered; its first growth may still be ahead of it.
    let growing = async {
        loop {
            let usage = rig.provider.usage(&rig.sandbox).await.unwrap();
            let [container] = usage.containers.as_slice() else { panic!("{usage:?} should have one container") };
            assert_eq!((container.container.as_str(), container.instances), ("c1", 1));
            if container.memory_bytes >= expected {
                return container.memory_bytes;
            }
            tokio::task::yield_now().await;
        }
    };
    let used = tokio::time::timeout(PATIENCE, growing).await.expect("memory in use");
    assert_eq!(used, expected);
    rig.provider.kill(&run).await.unwrap();
    rig.exit_of(&run).await;
    assert_eq!(rig.provider.usage(&rig.sandbox).await.unwrap().containers, []);
}

pub(crate) async fn has_typed_refusals_for_what_it_lacks(rig: Rig) {
    // Nobody listens there, where connections are possible at all.
    let connected = rig.provider.connect(&rig.sandbox, 80).await;
    assert!(matches!(connected, Err(Error::Unsupported(_) | Error::Failed(_))), "{connected:?}");
    let updated = rig.provider.update_services(Default::default()).await;
    assert!(matches!(updated, Err(Error::Unsupported(_))), "{updated:?}");
}
