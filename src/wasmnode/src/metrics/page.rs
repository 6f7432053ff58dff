//! Short words for what a collector writes.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// The page being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

// === impl Page ===

impl Page<'_> {
    /// A number that only grows; `_total` is added to its name.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// As [`Page::counter`], in seconds.
    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A number for each value of one label.
    pub(super) fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(value, count)| {
            family.encode_family(&[(label, value)])?.encode_counter::<NoLabelSet, _, f64>(&count, None)
        })
    }

    /// A gauge for each value of one label.
    pub(super) fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, i64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(value, count)| family.encode_family(&[(label, value)])?.encode_gauge(&count))
    }

    /// How long things took: a sum of seconds, and observations per bucket, not cumulative.
    pub(super) fn histogram(&mut self, name: &str, help: &str, sum: f64, buckets: &[(f64, u64)]) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let exemplars: Option<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
        self.0
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram(sum, count, buckets, exemplars)
    }
}

/// A gauge's value; beyond what fits, the largest that does.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prometheus_client::collector::Collector;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug)]
    struct Example;

    impl Collector for Example {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let page = &mut Page(encoder);
            page.counter("a", "A", 1)?;
            page.gauges("b", "B", "state", [("x", -1)])?;
            page.histogram("c", "C", 1.5, &[(0.1, 1), (f64::INFINITY, 2)])
        }
    }

    #[test]
    fn pages_read_as_prometheus_expects() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Example));
        let text = wasmnode_server::metrics::text(&std::sync::Arc::new(registry)).unwrap();
        for line in [
            "a_total 1",
            "b{state=\"x\"} -1",
            "c_sum 1.5",
            "c_count 3",
            "c_bucket{le=\"0.1\"} 1",
            "c_bucket{le=\"+Inf\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
