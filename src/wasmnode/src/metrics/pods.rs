//! Pods, their workers and the engine's pool.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use wasmnode_pods::{BUCKETS, Handle, Histogram};

use super::page::{Page, signed};

pub(super) struct Collected {
    pub(super) pods: Handle,
    pub(super) capacity: u32,
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (page, m) = (&mut Page(encoder), self.pods.metrics());
        let phases = self.pods.phases();
        let phases = phases.iter().map(|(phase, count)| (phase.as_str(), signed(*count as u64)));
        page.gauges("wasmnode_pods", "Pods of this node by phase", "phase", phases)?;
        let (started, exited) = (m.containers_started.get(), m.containers_exited.get());
        page.counters(
            "kubelet_started_containers",
            "Containers that were entered",
            "container_type",
            [("container", started)],
        )?;
        page.counter("wasmnode_exited_containers", "Containers that ended", exited)?;
        page.gauge("wasmnode_runner_capacity", "Containers that fit into one runner", i64::from(self.capacity))?;
        page.gauge("wasmnode_pod_workers", "Workers alive", m.workers.get())?;
        page.counter("wasmnode_pod_worker_panics", "Workers that panicked", m.worker_panics.get())?;
        page.counter("wasmnode_mailbox_drops", "Run events that did not fit a mailbox", m.mailbox_drops.get())?;
        let help = "Time of one step of a pod's worker";
        histogram(page, "kubelet_pod_worker_duration_seconds", help, &m.step_duration)?;
        let help = "Time from starting a container to its code being entered";
        histogram(page, "wasmnode_container_start_duration_seconds", help, &m.start_duration)
    }
}

fn histogram(page: &mut Page<'_>, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
    let observed = histogram.get();
    // The last bucket is beyond every bound: OpenMetrics' +Inf.
    let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(observed.buckets).collect();
    page.histogram(name, help, observed.sum.as_secs_f64(), &buckets)
}
