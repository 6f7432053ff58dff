//! `/healthz` and one path per check, as Kubernetes components answer them.

use std::sync::Arc;

use http::StatusCode;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::Health;

use super::plain;

/// Checks that every kubelet has, in its order.
const CHECKS: &[&str] = &["ping", "log", "syncloop"];

pub(super) fn route(health: Arc<dyn Health>) -> BoxedFilter<(Response,)> {
    let health = warp::any().map(move || health.clone());
    let root = warp::path!("healthz")
        .and(warp::get())
        .and(warp::query::<Vec<(String, String)>>())
        .and(health.clone())
        .map(|query: Vec<_>, health: Arc<dyn Health>| all(&query, &health.failing()));
    let one = warp::path!("healthz" / String).and(warp::get()).and(health).and_then(
        |name: String, health: Arc<dyn Health>| async move {
            one(&name, &health.failing()).ok_or_else(warp::reject::not_found)
        },
    );
    root.or(one).unify().boxed()
}

fn all(query: &[(String, String)], failing: &[(String, String)]) -> Response {
    let excluded: Vec<_> = query.iter().filter(|(key, _)| key == "exclude").map(|(_, name)| name.as_str()).collect();
    let mut report = String::new();
    let mut failed = false;
    for name in names(failing) {
        if excluded.contains(&name) {
            report += &format!("[+]{name} excluded: ok\n");
        } else if let Some((_, reason)) = failing.iter().find(|(failing, _)| failing == name) {
            tracing::debug!(check = name, reason, "Health check failed");
            report += &format!("[-]{name} failed: reason withheld\n");
            failed = true;
        } else {
            report += &format!("[+]{name} ok\n");
        }
    }
    if failed {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, report + "healthz check failed\n");
    }
    let verbose = query.iter().any(|(key, _)| key == "verbose");
    let text = if verbose { report + "healthz check passed\n" } else { "ok".to_owned() };
    warp::reply::with_header(plain(StatusCode::OK, text), "x-content-type-options", "nosniff").into_response()
}

/// `None`: there is no such check.
fn one(name: &str, failing: &[(String, String)]) -> Option<Response> {
    let reason = failing.iter().find(|(failing, _)| failing == name).map(|(_, reason)| reason);
    match reason {
        Some(reason) => Some(plain(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {reason}\n"))),
        None => CHECKS.contains(&name).then(|| plain(StatusCode::OK, "ok")),
    }
}

fn names(failing: &[(String, String)]) -> impl Iterator<Item = &str> {
    let others = failing.iter().map(|(name, _)| name.as_str()).filter(|name| !CHECKS.contains(name));
    CHECKS.iter().copied().chain(others)
}
