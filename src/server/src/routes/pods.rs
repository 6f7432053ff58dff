//! `/pods`: what the agent knows, which may be newer than what the API server has.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::List;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::Pods;

use super::plain;

pub(super) fn route(pods: Arc<dyn Pods>) -> BoxedFilter<(Response,)> {
    warp::path!("pods").and(warp::get()).map(move || answer(pods.as_ref())).boxed()
}

fn answer(pods: &dyn Pods) -> Response {
    let list = List { items: pods.list(), ..List::default() };
    match serde_json::to_vec(&list) {
        Ok(json) => warp::reply::with_header(json, "content-type", "application/json").into_response(),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
