//! Guards the arrows between the crates (`docs/architecture.md`): a new one is a decision, not a line in a
//! manifest.

use std::{collections::BTreeMap, env, process::Command};

use serde::Deserialize;

/// Whom each crate may use. `wasmnode` and `wasmnode-tests` may use all of them.
const ARROWS: &[(&str, &[&str])] = &[
    ("wasmnode-core", &[]),
    ("wasmnode-images", &[]),
    ("wasmnode-logs", &[]),
    ("wasmnode-provider-api", &[]),
    ("wasmnode-cluster", &["wasmnode-core"]),
    ("wasmnode-pods", &["wasmnode-core", "wasmnode-images", "wasmnode-logs", "wasmnode-provider-api"]),
    ("wasmnode-server", &["wasmnode-core", "wasmnode-logs"]),
    ("wasmnode-provider-wasmtime", &["wasmnode-provider-api", "wasmnode-logs"]),
    ("wasmnode-provider-process", &["wasmnode-provider-api"]),
    ("wasmnode-provider-fake", &["wasmnode-provider-api"]),
];
const FREE: [&str; 2] = ["wasmnode", "wasmnode-tests"];
/// What any crate's own tests may use besides: the scripted provider exists for that.
const FOR_TESTS: &str = "wasmnode-provider-fake";

/// What decisions must be free of, directly and through others: runtimes, clients, engines, randomness.
const IMPURE: [&str; 8] = ["tokio", "kube", "kube-client", "wasmtime", "hyper", "reqwest", "rustix", "rand"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Package {
    fn offences<'a>(&'a self, allowed: &'a [&str]) -> impl Iterator<Item = String> + 'a {
        let ours = self.dependencies.iter().filter(|dependency| dependency.name.starts_with("wasmnode"));
        let new = ours.filter(|dependency| {
            let for_tests = dependency.kind.as_deref() == Some("dev") && dependency.name == FOR_TESTS;
            !for_tests && !allowed.contains(&dependency.name.as_str())
        });
        new.map(|dependency| format!("{} → {}", self.name, dependency.name))
    }
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo can be run");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    serde_json::from_str::<Metadata>(&metadata).expect("cargo's metadata has this form").packages
}

#[test]
fn no_arrow_is_new() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut offences = Vec::new();
    for package in packages().iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        match arrows.get(package.name.as_str()) {
            Some(allowed) => offences.extend(package.offences(allowed)),
            None => offences.push(format!("{} is in no row of this table", package.name)),
        }
    }
    assert!(offences.is_empty(), "new arrows:\n{}", offences.join("\n"));
}

#[test]
fn core_is_pure() {
    let tree = cargo(&["tree", "--package=wasmnode-core", "--edges=normal", "--prefix=none", "--format={p}"]);
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let impure: Vec<_> = names.filter(|name| IMPURE.contains(name)).collect();
    assert!(impure.is_empty(), "wasmnode-core depends on {impure:?}");
}
