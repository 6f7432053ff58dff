#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::Pod;
use wasmnode_core::{PodRef, run_id};

use super::*;

fn id(attempt: u32) -> String {
    let pod = PodRef { namespace: "ns".to_owned(), name: "p".to_owned(), uid: "u".to_owned() };
    format!("wasmtime://{}", run_id(&pod.sandbox_id(0), "c", attempt))
}

/// A pod whose container `c` has the given state, last state and restart count.
fn pod(state: &str, last: &str, restarts: u32) -> Pod {
    let json = format!(
        r#"{{"metadata": {{"name": "p", "namespace": "ns", "uid": "u"}},
            "spec": {{"containers": [{{"name": "c"}}, {{"name": "d"}}], "initContainers": [{{"name": "i"}}],
                      "ephemeralContainers": [{{"name": "e"}}]}},
            "status": {{"containerStatuses": [{{"name": "c", "state": {state}, "lastState": {last},
                        "restartCount": {restarts}, "containerID": "{}",
                        "image": "", "imageID": "", "ready": false}}],
                        "initContainerStatuses": [{{"name": "i", "state": {{"running": {{}}}}, "restartCount": 0,
                        "containerID": "wasmtime://init", "image": "", "imageID": "", "ready": false}}]}}}}"#,
        id(restarts)
    );
    serde_json::from_str(&json).unwrap()
}

fn terminated(id: &str) -> String {
    format!(r#"{{"terminated": {{"exitCode": 1, "containerID": "{id}"}}}}"#)
}

const RUNNING: &str = r#"{"running": {}}"#;
const NONE: &str = "{}";

fn waiting(reason: &str) -> String {
    format!(r#"{{"waiting": {{"reason": "{reason}"}}}}"#)
}

#[test]
fn the_status_decides_which_instance_is_meant() {
    let (zero, one) = (terminated(&id(0)), terminated(&id(1)));
    let (crash_loop, no_id) = (waiting("CrashLoopBackOff"), terminated(""));
    let foreign = terminated("wasmtime://other");
    for (case, state, last, restarts, previous, expected) in [
        ("running", RUNNING, NONE, 0, false, (0, true)),
        ("running again", RUNNING, &zero, 1, false, (1, true)),
        ("previous", RUNNING, &zero, 1, true, (0, false)),
        ("ended", &one, &zero, 1, false, (1, false)),
        ("ended, previous", &one, &zero, 1, true, (0, false)),
        ("crash loop", &crash_loop, &one, 1, false, (1, false)),
        ("crash loop, previous", &crash_loop, &one, 1, true, (1, false)),
        ("start failed after a run", &waiting("CreateContainerError"), &zero, 1, false, (0, false)),
        ("lost", &no_id, &zero, 1, false, (0, false)),
        ("other sandbox, running", RUNNING, &foreign, 5, true, (4, false)),
        ("other sandbox, waiting", &crash_loop, &foreign, 5, true, (5, false)),
    ] {
        let instance = select(&pod(state, last, restarts), "c", previous).unwrap();
        assert_eq!((instance.attempt, instance.running), expected, "{case}");
    }
}

#[test]
fn init_containers_have_logs_too() {
    let instance = select(&pod(RUNNING, NONE, 0), "i", false).unwrap();
    assert_eq!((instance.container_id.as_str(), instance.running), ("wasmtime://init", true));
}

#[test]
fn the_texts_are_the_kubelets() {
    let no_id = terminated("");
    let text = |pod: &Pod, container: &str, previous| {
        let error = select(pod, container, previous).unwrap_err();
        (error.status().as_u16(), error.to_string())
    };
    for (state, last, previous, expected) in [
        (
            waiting("ContainerCreating"),
            NONE,
            false,
            r#"container "c" in pod "p" is waiting to start: ContainerCreating"#,
        ),
        (
            waiting("ErrImagePull"),
            NONE,
            false,
            r#"container "c" in pod "p" is waiting to start: image can't be pulled"#,
        ),
        (
            waiting("ImagePullBackOff"),
            NONE,
            false,
            r#"container "c" in pod "p" is waiting to start: trying and failing to pull image"#,
        ),
        (NONE.to_owned(), NONE, false, r#"container "c" in pod "p" is waiting to start - no logs yet"#),
        (no_id.clone(), NONE, false, r#"container "c" in pod "p" is terminated"#),
        (waiting("CrashLoopBackOff"), &no_id, false, r#"container "c" in pod "p" is terminated"#),
        (RUNNING.to_owned(), NONE, true, r#"previous terminated container "c" in pod "p" not found"#),
        (RUNNING.to_owned(), &no_id, true, r#"previous terminated container "c" in pod "p" not found"#),
    ] {
        assert_eq!(text(&pod(&state, last, 0), "c", previous), (400, expected.to_owned()), "{state} {last}");
    }
    let pod = pod(RUNNING, NONE, 0);
    assert_eq!(text(&pod, "x", false), (404, r#"container "x" not found in pod "p""#.to_owned()));
    assert_eq!(text(&pod, "e", false), (400, r#"container "e" in pod "p" is not available"#.to_owned()));
}
