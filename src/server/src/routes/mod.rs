//! The routes behind the gate.

mod healthz;
pub(crate) mod logs;
mod metrics;
mod pods;
mod streaming;

use std::convert::Infallible;

use http::StatusCode;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::Backends;

/// First segments of the paths that are served. Each has a row in the table of subresources.
pub(crate) const FIRST_SEGMENTS: &[&str] =
    &["healthz", "pods", "metrics", "containerLogs", "exec", "attach", "portForward", "run"];

/// All routes. `stopping` ends answers that would go on.
pub(crate) fn all(backends: &Backends, stopping: &CancellationToken) -> BoxedFilter<(Response,)> {
    healthz::route(backends.health.clone())
        .or(pods::route(backends.pods.clone()))
        .unify()
        .or(metrics::route(backends.registry.clone()))
        .unify()
        .or(logs::route(backends.pods.clone(), stopping.clone()))
        .unify()
        .or(streaming::route())
        .unify()
        .recover(refuse)
        .unify()
        .boxed()
}

/// An answer in plain text.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    warp::reply::with_status(text.into(), status).into_response()
}

/// The texts of the kubelet's router.
async fn refuse(rejection: Rejection) -> Result<Response, Infallible> {
    Ok(if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        plain(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed")
    } else {
        plain(StatusCode::NOT_FOUND, "404: Page Not Found")
    })
}
