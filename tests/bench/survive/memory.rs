//! What the processes of a node take.

use std::fs;

use anyhow::{Context, Result, ensure};
use wasmnode_tests::agent::Agent;

use crate::figure::print;

/// KiB: the proportional share of what is resident, and page tables.
pub(super) struct Memory {
    pub(super) agent: f64,
    /// All of them together.
    runners: f64,
    count: usize,
}

// === impl Memory ===

impl Memory {
    pub(super) fn of(agent: &Agent) -> Result<Self> {
        let runners = agent.runners();
        ensure!(!runners.is_empty(), "there is no runner");
        Ok(Self {
            agent: of_process(agent.id().context("the agent does not run")?)?,
            runners: runners.iter().map(|runner| of_process(runner.pid)).sum::<Result<f64>>()?,
            count: runners.len(),
        })
    }
}

/// With one pod, and what each more takes.
pub(super) fn print_all(one: &Memory, all: &Memory, pods: usize) {
    #[allow(clippy::cast_precision_loss)]
    let each = |one: f64, all: f64| (all - one) / pods.saturating_sub(1).max(1) as f64;
    print("agent_memory_with_one_pod", "KiB", one.agent, None);
    print("runner_memory_with_one_pod", "KiB", one.runners, None);
    print(&format!("agent_memory_per_pod_at_{pods}"), "KiB", each(one.agent, all.agent), None);
    print(&format!("runner_memory_per_pod_at_{pods}"), "KiB", each(one.runners, all.runners), None);
    #[allow(clippy::cast_precision_loss)]
    print(&format!("runners_at_{pods}"), "1", all.count as f64, None);
}

fn of_process(pid: i32) -> Result<f64> {
    Ok(field(pid, "smaps_rollup", "Pss:")? + field(pid, "status", "VmPTE:")?)
}

/// A line of the form `KEY: 123 kB`.
fn field(pid: i32, file: &str, key: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("no {key} in {path}"))
}
