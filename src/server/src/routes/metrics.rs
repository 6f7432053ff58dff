//! `/metrics`.

use std::sync::Arc;

use http::StatusCode;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::metrics::{CONTENT_TYPE, Registry, text};

use super::plain;

pub(super) fn route(registry: Arc<Registry>) -> BoxedFilter<(Response,)> {
    warp::path!("metrics").and(warp::get()).map(move || answer(&registry)).boxed()
}

fn answer(registry: &Registry) -> Response {
    match text(registry) {
        Ok(text) => warp::reply::with_header(text, "content-type", CONTENT_TYPE).into_response(),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "failed to collect metrics"),
    }
}
