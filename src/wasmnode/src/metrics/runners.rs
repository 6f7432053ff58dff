//! The processes that run pods.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use wasmnode_provider_process::runners::{DeathCause, Runners};

use super::page::{Page, signed};

#[derive(Debug)]
pub(super) struct Collected(pub(super) Arc<Runners>);

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (page, m) = (&mut Page(encoder), self.0.metrics());
        let running = signed(m.runs as u64);
        page.gauges("kubelet_running_containers", "Containers", "container_state", [("running", running)])?;
        let all: usize = m.runners.values().sum();
        let builds = [("own", all.saturating_sub(m.older)), ("other", m.older)];
        let builds = builds.map(|(build, count)| (build, signed(count as u64)));
        page.gauges("wasmnode_runners", "Runners alive, of the agent's build and of others", "build", builds)?;
        page.gauge("wasmnode_isolation_groups", "Groups that have a runner", signed(m.runners.len() as u64))?;
        page.counter("wasmnode_runner_starts", "Runners that were started", m.starts)?;
        page.counter("wasmnode_runner_failed_starts", "Runners that did not become ready", m.failed_starts)?;
        page.counter("wasmnode_runners_adopted", "Runners taken over from earlier agents", m.adopted)?;
        let deaths = m.deaths.iter().map(|(cause, count)| (word(*cause), *count));
        page.counters("wasmnode_runner_deaths", "Runners that ended unasked", "cause", deaths)
    }
}

fn word(cause: DeathCause) -> &'static str {
    match cause {
        DeathCause::Exited => "exited",
        DeathCause::Signal => "signal",
        DeathCause::OutOfMemory => "out_of_memory",
        DeathCause::Hung => "hung",
        DeathCause::Unknown => "unknown",
    }
}
