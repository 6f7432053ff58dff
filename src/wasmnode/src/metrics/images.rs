//! Pulling and compiling.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use wasmnode_images::Images;

use super::page::{Page, signed};

pub(super) struct Collected(pub(super) Images);

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (page, m) = (&mut Page(encoder), self.0.metrics());
        let pulls = [("waiting", signed(m.pulls_waiting)), ("running", signed(m.pulls_running))];
        page.gauges("wasmnode_image_pull_queue", "Pulls now", "state", pulls)?;
        let pulls = [("success", m.pulls_succeeded), ("error", m.pulls_failed)];
        page.counters("wasmnode_image_pulls", "Pulls that ended", "result", pulls)?;
        let help = "Time of all pulls, without waiting for a turn";
        page.seconds("wasmnode_image_pull_seconds", help, m.pull_time.as_secs_f64())?;
        page.counter("wasmnode_image_pull_bytes", "Bytes loaded from registries", m.bytes_pulled)?;
        let compiles = [("waiting", signed(m.compiles_waiting)), ("running", signed(m.compiles_running))];
        page.gauges("wasmnode_compile_queue", "Compilations now", "state", compiles)?;
        let compiles = [("success", m.compiles_succeeded), ("error", m.compiles_failed)];
        page.counters("wasmnode_compiles", "Compilations that ended", "result", compiles)?;
        let help = "Time of all compilations, without waiting for a job";
        page.seconds("wasmnode_compile_seconds", help, m.compile_time.as_secs_f64())?;
        page.gauge("wasmnode_images", "Images on disk", signed(m.images))?;
        page.gauge("wasmnode_image_store_bytes", "Bytes of images and code on disk", signed(m.disk_bytes))?;
        page.counters("kubelet_image_garbage_collected", "Images removed", "reason", [("space", m.images_collected)])
    }
}
