#![allow(clippy::unwrap_used)]

use super::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  \
    selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: c, image: i}]}\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  completions: 3\n  parallelism: 2\n  \
    template:\n    spec: {restartPolicy: Never, containers: [{name: c, image: i}]}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==}\nstringData: {b: text}\n";

fn refusal(text: &str) -> (u64, String) {
    match parse(text) {
        Err(Problem(line, problem)) => (line, problem),
        Ok(manifest) => panic!("{manifest:?}"),
    }
}

#[test]
fn several_documents_in_one_file() {
    let text = format!("# a comment\n---\n{POD}--- # another\n{DEPLOYMENT}---\n\n---\n{JOB}---\n{SECRET}");
    let manifest = parse(&text).unwrap_or_else(|Problem(line, problem)| panic!("{line}: {problem}"));
    let [Workload::Pods(pod), Workload::Pods(replicas), Workload::Job(job)] = &manifest.workloads[..] else {
        panic!("{manifest:?}")
    };
    assert_eq!(pod[0].metadata.namespace.as_deref(), Some("default"));
    let names: Vec<_> = replicas.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["web-0", "web-1"]);
    assert_eq!((job.completions, job.parallelism, job.backoff_limit), (3, 2, 6));
    let data = manifest.secrets[0].data.clone().unwrap();
    assert_eq!((data["a"].0.as_slice(), data["b"].0.as_slice()), (&b"a"[..], &b"text"[..]));
}

#[test]
fn what_is_wrong_has_its_line() {
    let second = |text: &str| format!("{POD}---\n{text}");
    let cases = [
        (second("a: [\n"), 6, ""),
        (second("kind: Pod\n"), 6, "the document has no apiVersion"),
        (second("apiVersion: v1\nkind: Service\n"), 7, "Service of v1 needs a cluster"),
        (second(POD), 8, "Pod \"a\" is in the file twice"),
        (POD.replace("name: a", "name: A"), 3, "is not a name"),
        (
            POD.replace("image: i", "imagePullPolicies: x, image: i"),
            4,
            "unknown field spec.containers[0].imagePullPolicies",
        ),
        (POD.replace("containers: [{name: c, image: i}]", "containers: 5"), 4, ""),
        (POD.replace(", image: i", ""), 4, "has no image"),
        (DEPLOYMENT.replace("app: web}}\n  t", "app: other}}\n  t"), 6, "spec.selector.matchLabels"),
        (DEPLOYMENT.replace("replicas: 2", "replicas: 2000"), 5, "between 0 and 1000"),
        (DEPLOYMENT.replace("replicas: 2", "paused: true"), 5, "paused"),
        (JOB.replace("completions: 3", "suspend: true"), 5, "spec.suspend of a Job is not supported"),
        (JOB.replace("  completions: 3\n", ""), 5, "work queues need a cluster"),
        (JOB.replace("restartPolicy: Never, ", ""), 8, "must be Never or OnFailure"),
    ];
    for (text, line, problem) in cases {
        let found = refusal(&text);
        assert!(found.0 == line && found.1.contains(problem), "{text}\n{found:?}");
    }
}

#[test]
fn the_marker_of_a_document_is_no_other_text() {
    assert_eq!(documents("---\na: 1\n----\n").len(), 1);
    assert_eq!(documents("\n---\n---\n"), Vec::<String>::new());
    assert_eq!(documents("a\n--- b\n"), ["a\n", "\n b\n"]);
}
