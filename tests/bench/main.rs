//! One scenario runner, one JSON line per figure: `bench [NAME...]`, all scenarios without a name.
//!
//! Figures are comparisons within one run: where there is a peer, it ran in the same process on the same guest.

mod bare;
mod figure;
mod pods;
mod provider;
mod rig;

use std::process::ExitCode;

use anyhow::{Result, ensure};

/// Names and what they run.
const SCENARIOS: [&str; 5] = ["instantiate", "hello", "starts", "idle", "pods"];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    match run(&names) {
        Ok(code) => code,
        Err(error) => {
            figure::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(names: &[String]) -> Result<ExitCode> {
    for name in names {
        ensure!(SCENARIOS.contains(&name.as_str()), "no scenario {name}; there are {}", SCENARIOS.join(", "));
    }
    let chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    // The one with a cluster runs in a namespace of its own, in another process that gets the same arguments.
    if pods::inside() {
        return pods::run_inside();
    }
    if chosen("instantiate") {
        provider::instantiate()?;
    }
    if chosen("hello") {
        provider::hello()?;
    }
    if chosen("starts") {
        provider::starts()?;
    }
    if chosen("idle") {
        provider::idle()?;
    }
    if chosen("pods") { pods::enter() } else { Ok(ExitCode::SUCCESS) }
}
