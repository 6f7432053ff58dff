//! What a kubelet streams and this node does not yet: `kubectl exec`, `attach` and `port-forward` are told so.

use http::StatusCode;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::plain;

/// First segments of the paths, and what people call it.
const VERBS: [(&str, &str); 4] =
    [("exec", "exec"), ("attach", "attach"), ("portForward", "port-forward"), ("run", "run")];

pub(super) fn route() -> BoxedFilter<(Response,)> {
    warp::path::param::<String>()
        .and(warp::path::tail())
        .and_then(|segment: String, _rest: warp::path::Tail| async move {
            let verb = VERBS.iter().find(|(path, _)| *path == segment);
            verb.map(|(_, name)| absent(name)).ok_or_else(warp::reject::not_found)
        })
        .boxed()
}

fn absent(name: &str) -> Response {
    plain(StatusCode::NOT_IMPLEMENTED, format!("{name} is not in this version of wasmnode"))
}
