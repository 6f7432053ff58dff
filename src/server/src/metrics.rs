//! Figures, in the form that `/metrics` has on every kubelet: Prometheus text 0.0.4.
//!
//! prometheus-client writes OpenMetrics. The two differ in where a counter's `_total` is written and in a few
//! lines; [`text`] translates, since scrapers of kubelets do not all ask for OpenMetrics.

use std::fmt;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::registry::Registry;

use crate::routes::FIRST_SEGMENTS;

/// Media type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The server's own figures.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    requests: Family<RequestLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    connections: Gauge,
}

/// A connection that is counted until dropped.
#[derive(Debug)]
pub(crate) struct Connection(Gauge);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    path: &'static str,
    server_type: &'static str,
    long_running: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeniedLabels {
    code: u16,
}

// === impl Requests ===

impl Requests {
    /// Registers the server's figures, under the kubelet's names where it has them.
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        registry.register("kubelet_http_requests", "Requests to the kubelet API", figures.requests.clone());
        registry.register(
            "wasmnode_http_requests_denied",
            "Requests that were not authenticated or not authorised",
            figures.denied.clone(),
        );
        registry.register("wasmnode_http_connections", "Open connections", figures.connections.clone());
        figures
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    pub(crate) fn request(&self, method: &Method, path: &str) {
        let labels = RequestLabels {
            method: method_bucket(method),
            path: path_bucket(path),
            server_type: "readwrite",
            long_running: "false",
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn denied(&self, status: StatusCode) {
        self.denied.get_or_create(&DeniedLabels { code: status.as_u16() }).inc();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Everything in `registry`, as Prometheus text 0.0.4.
///
/// # Errors
/// A collector that fails.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut open_metrics = String::new();
    prometheus_client::encoding::text::encode_registry(&mut open_metrics, registry)?;
    Ok(translate(&open_metrics))
}

fn method_bucket(method: &Method) -> &'static str {
    const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    METHODS.iter().find(|known| **known == method.as_str()).copied().unwrap_or("other")
}

fn path_bucket(path: &str) -> &'static str {
    let first = path.trim_start_matches('/').split('/').next();
    FIRST_SEGMENTS.iter().find(|known| Some(**known) == first).copied().unwrap_or("other")
}

/// Counters are named with `_total` in their comments too; units have no comment; the end has no mark.
fn translate(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            let counter = lines.peek().is_some_and(|next| next.ends_with(" counter"));
            let total = if counter { "_total" } else { "" };
            text.extend(["# HELP ", name, total, " ", help, "\n"]);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let (total, kind) = match kind {
                "counter" => ("_total", kind),
                "gauge" | "histogram" | "summary" => ("", kind),
                _ => ("", "untyped"),
            };
            text.extend(["# TYPE ", name, total, " ", kind, "\n"]);
        } else if !line.starts_with("# ") {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn requests_are_counted_under_the_kubelets_names() {
        let mut registry = Registry::default();
        let requests = Requests::register(&mut registry);
        requests.request(&Method::GET, "/containerLogs/n/p/c");
        requests.request(&Method::GET, "/containerLogs/n/p/d");
        requests.request(&Method::from_bytes(b"BREW").unwrap(), "/invented");
        requests.denied(StatusCode::FORBIDDEN);
        let open = requests.connection();
        drop(requests.connection());
        let text = text(&registry).unwrap();
        for line in [
            "# HELP kubelet_http_requests_total Requests to the kubelet API.",
            "# TYPE kubelet_http_requests_total counter",
            r#"kubelet_http_requests_total{method="GET",path="containerLogs",server_type="readwrite",long_running="false"} 2"#,
            r#"kubelet_http_requests_total{method="other",path="other",server_type="readwrite",long_running="false"} 1"#,
            r#"wasmnode_http_requests_denied_total{code="403"} 1"#,
            "# TYPE wasmnode_http_connections gauge",
            "wasmnode_http_connections 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("EOF"));
        drop(open);
    }

    #[test]
    fn what_prometheus_does_not_know_is_left_out() {
        let open_metrics = "# HELP a_seconds A.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n\
                            # HELP b B.\n# TYPE b unknown\nb 2\n# EOF\n";
        let expected = "# HELP a_seconds A.\n# TYPE a_seconds gauge\na_seconds 1\n# HELP b B.\n# TYPE b untyped\nb 2\n";
        assert_eq!(translate(open_metrics), expected);
    }
}
