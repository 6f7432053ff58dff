//! One scenario runner, one JSON line per figure: `bench [NAME...] [--pods=N]`, all scenarios without a name.
//!
//! Figures are comparisons within one run: where there is a peer, it ran in the same process on the same guest.

mod bare;
mod figure;
mod images;
mod pods;
mod provider;
mod rig;
mod stage;
mod survive;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;
use wasmnode_tests::netns;

/// Names and what they run.
const SCENARIOS: [&str; 8] = ["instantiate", "hello", "starts", "idle", "images", "run", "pods", "survive"];

/// What the command line chose.
struct Chosen {
    /// None means all.
    names: Vec<String>,
    /// Pods of `survive`.
    pods: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Chosen::parse(words).and_then(|chosen| run(&chosen)) {
        Ok(code) => code,
        Err(error) => {
            figure::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(chosen: &Chosen) -> Result<ExitCode> {
    // Those with a cluster run in a namespace of their own, in another process that gets the same arguments.
    if netns::inside() {
        let directory = netns::set_up()?;
        Runtime::new()?.block_on(with_cluster(chosen, &directory))?;
        return Ok(ExitCode::SUCCESS);
    }
    if chosen.has("instantiate") {
        provider::instantiate()?;
    }
    if chosen.has("hello") {
        provider::hello()?;
    }
    if chosen.has("starts") {
        provider::starts()?;
    }
    if chosen.has("idle") {
        provider::idle()?;
    }
    if chosen.has("images") {
        images::on_a_node()?;
    }
    if chosen.has("images") || chosen.has("run") {
        images::by_hand()?;
    }
    // What they run was built before: a build from here would replace this very program.
    if chosen.has("pods") || chosen.has("survive") { netns::enter() } else { Ok(ExitCode::SUCCESS) }
}

async fn with_cluster(chosen: &Chosen, directory: &Path) -> Result<()> {
    if chosen.has("pods") {
        pods::measure(&directory.join("pods")).await?;
    }
    if chosen.has("survive") {
        survive::measure(&directory.join("survive"), chosen.pods).await?;
    }
    Ok(())
}

// === impl Chosen ===

impl Chosen {
    fn parse(words: Vec<String>) -> Result<Self> {
        let mut chosen = Self { names: Vec::new(), pods: survive::PODS };
        for word in words {
            if let Some(pods) = word.strip_prefix("--pods=") {
                chosen.pods = pods.parse().context("--pods is no number")?;
                ensure!(chosen.pods > 1, "--pods must be more than 1");
                continue;
            }
            ensure!(SCENARIOS.contains(&word.as_str()), "no scenario {word}; there are {}", SCENARIOS.join(", "));
            chosen.names.push(word);
        }
        Ok(chosen)
    }

    fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|chosen| chosen == name)
    }
}
