//! What a request asks for, in terms of RBAC. From the kubelet's `pkg/kubelet/server/auth.go`.

use http::Method;

/// Path prefixes and the subresources of `nodes` of which one must be allowed, tried in order. A path that is not
/// here needs `nodes/proxy`.
const TABLE: &[(&str, &[&str])] = &[
    ("/stats", &["stats"]),
    ("/metrics", &["metrics"]),
    ("/logs", &["log"]),
    ("/checkpoint", &["checkpoint"]),
    ("/statusz", &["statusz"]),
    ("/flagz", &["configz"]),
    ("/pods", &["pods", "proxy"]),
    ("/runningpods", &["pods", "proxy"]),
    ("/healthz", &["healthz", "proxy"]),
    ("/configz", &["configz", "proxy"]),
    ("/exec", PROXY),
    ("/attach", PROXY),
    ("/portForward", PROXY),
    ("/run", PROXY),
    ("/containerLogs", PROXY),
    ("/debug", PROXY),
];

const PROXY: &[&str] = &["proxy"];

/// What to ask a SubjectAccessReview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) verb: &'static str,
    pub(super) subresources: &'static [&'static str],
}

// === impl Attributes ===

impl Attributes {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let row = TABLE.iter().find(|(prefix, _)| is_below(path, prefix));
        Self { verb: verb(method), subresources: row.map_or(PROXY, |(_, subresources)| subresources) }
    }
}

fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "GET" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        // As the kubelet does; no role allows it but one that allows every verb.
        _ => "",
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_kubelets_subresources() {
        for (path, expected) in [
            ("/healthz", &["healthz", "proxy"][..]),
            ("/healthz/ping", &["healthz", "proxy"]),
            ("/healthzz", &["proxy"]),
            ("/pods", &["pods", "proxy"]),
            ("/runningpods/", &["pods", "proxy"]),
            ("/metrics/resource", &["metrics"]),
            ("/stats/summary", &["stats"]),
            ("/logs/syslog", &["log"]),
            ("/containerLogs/n/p/c", &["proxy"]),
            ("//metrics", &["proxy"]),
            ("/", &["proxy"]),
            ("*", &["proxy"]),
        ] {
            assert_eq!(Attributes::of(&Method::GET, path).subresources, expected, "{path}");
        }
    }

    #[test]
    fn every_route_has_its_row() {
        for route in crate::routes::FIRST_SEGMENTS {
            assert!(TABLE.iter().any(|(prefix, _)| prefix[1..] == **route), "{route}");
        }
    }

    #[test]
    fn methods_are_verbs() {
        for (method, expected) in [
            (Method::GET, "get"),
            (Method::POST, "create"),
            (Method::PUT, "update"),
            (Method::PATCH, "patch"),
            (Method::DELETE, "delete"),
            (Method::HEAD, ""),
            (Method::OPTIONS, ""),
        ] {
            assert_eq!(Attributes::of(&method, "/pods").verb, expected);
        }
    }
}
