//! Traffic with the API server.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use wasmnode_cluster::ClusterMetrics;

use super::page::Page;

#[derive(Debug)]
pub(super) struct Collected(pub(super) Arc<ClusterMetrics>);

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (page, m) = (&mut Page(encoder), &*self.0);
        page.counter("wasmnode_feed_events", "Pod changes that the feed delivered", m.feed_events.get())?;
        page.counter("wasmnode_feed_lists", "Complete lists of this node's pods", m.feed_lists.get())?;
        page.counters(
            "wasmnode_status_updates",
            "Pod statuses by what became of them",
            "result",
            [
                ("patched", m.status_patches.get()),
                ("unchanged", m.status_skips.get()),
                ("aborted", m.status_aborts.get()),
                ("refused", m.status_refusals.get()),
            ],
        )?;
        #[allow(clippy::cast_precision_loss)] // A sum of microseconds is exact for 285 years.
        let seconds = m.status_micros.get() as f64 / 1e6;
        let help = "Time from a status being set to the API server's answer, over all patched statuses";
        page.seconds("wasmnode_status_update_seconds", help, seconds)?;
        page.counter("wasmnode_pod_deletes", "Pods deleted for good", m.pod_deletes.get())?;
        page.counter("wasmnode_object_watches_started", "Watches of objects begun", m.object_watches_started.get())?;
        page.counter("wasmnode_object_watches_ended", "Watches of objects ended", m.object_watches_ended.get())?;
        page.counter("wasmnode_token_requests", "Service account tokens requested", m.token_requests.get())?;
        page.counters(
            "wasmnode_events",
            "Events by what became of them",
            "result",
            [
                ("sent", m.events_sent.get()),
                ("filtered", m.events_filtered.get()),
                ("overflowed", m.events_overflowed.get()),
                ("failed", m.events_failed.get()),
            ],
        )?;
        page.counter(
            "wasmnode_node_registrations",
            "Times the Node was created or updated",
            m.node_registrations.get(),
        )?;
        page.counter("wasmnode_node_status_patches", "Node statuses posted", m.node_status_patches.get())?;
        page.counter("wasmnode_lease_renewals", "Renewals of the node's lease", m.lease_renewals.get())?;
        errors(page, m)
    }
}

fn errors(page: &mut Page<'_>, m: &ClusterMetrics) -> fmt::Result {
    page.counters(
        "wasmnode_api_errors",
        "Failed requests to the API server, each tried again, by what they were for",
        "task",
        [
            ("feed", m.feed_errors.get()),
            ("status", m.status_errors.get()),
            ("objects", m.object_errors.get()),
            ("tokens", m.token_errors.get()),
            ("node", m.node_errors.get()),
            ("lease", m.lease_errors.get()),
        ],
    )
}
