//! Pods, Jobs and Deployments from a file.

use crate::support::Home;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  restartPolicy: Never\n  containers:\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: work}\nspec:\n  backoffLimit: 0\n  completions: 2\n  \
    template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: c, image: IMAGE}]\n";

#[test]
fn each_line_has_its_name_and_the_first_failure_is_the_exit_status() {
    let home = Home::with(&["hello", "exit-42"]);
    let pod = format!("{POD}  - {{name: a, image: ./hello.wasm}}\n  - {{name: b, image: ./exit-42.wasm}}\n");
    home.write("pod.yaml", pod);
    let said = home.run(&["run", "pod.yaml"]);
    assert_eq!((said.code, said.stdout.as_str()), (42, "web/a | hello from wasm!\n"), "{said:?}");
    for line in
        ["wasmnode: web/a started", "wasmnode: web/a ended with exit code 0", "wasmnode: web/b ended with exit code 42"]
    {
        assert!(said.stderr.lines().any(|said| said == line), "{line}: {said:?}");
    }
    assert_eq!(home.runs(), ["lock"]);
}

#[test]
fn a_job_runs_to_its_completions_or_its_limit() {
    let home = Home::with(&["hello", "exit-42"]);
    home.write("good.yaml", JOB.replace("IMAGE", "./hello.wasm"));
    let good = home.run(&["run", "good.yaml"]);
    let mut lines: Vec<_> = good.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!((good.code, lines), (0, vec!["work-0 | hello from wasm!", "work-1 | hello from wasm!"]), "{good:?}");
    home.write("bad.yaml", JOB.replace("IMAGE", "./exit-42.wasm"));
    let bad = home.run(&["run", "bad.yaml"]);
    assert!(bad.code == 42 && bad.stderr.contains("job work failed"), "{bad:?}");
}

#[test]
fn objects_of_the_file_are_there_and_missing_ones_are_named() {
    let home = Home::with(&["hello"]);
    let pod =
        format!("{POD}  - name: a\n    image: ./hello.wasm\n    envFrom: [{{configMapRef: {{name: settings}}}}]\n");
    let settings = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: b}\n";
    home.write("whole.yaml", format!("{pod}{settings}"));
    assert_eq!(home.run(&["run", "whole.yaml"]).code, 0);
    home.write("pod.yaml", &pod);
    let said = home.run(&["run", "pod.yaml"]);
    assert_eq!(said.code, 125, "{said:?}");
    assert!(said.stderr.contains("wasmnode: web cannot start: configmap \"settings\" not found"), "{said:?}");
}

#[test]
fn mistakes_are_told_with_their_line() {
    let home = Home::with(&[]);
    let cases = [
        (
            format!("{POD}  - {{name: a, image: i, imagePolicy: x}}\n"),
            7,
            "unknown field spec.containers[0].imagePolicy",
        ),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n".to_owned(), 2, "Service of v1 needs a cluster"),
        (format!("{POD}  - [\n"), 7, ""),
    ];
    for (text, line, problem) in cases {
        home.write("pod.yaml", text);
        let said = home.run(&["run", "pod.yaml"]);
        let start = format!("wasmnode: pod.yaml, line {line}: {problem}");
        assert!(said.code == 2 && said.stderr.starts_with(&start), "{said:?}");
    }
}
