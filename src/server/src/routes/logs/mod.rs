//! `/containerLogs/{namespace}/{pod}/{container}`.

mod body;
mod error;
mod query;
mod select;

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};
use wasmnode_logs::Reader;

use crate::{LogTarget, Pods};

pub use error::LogError;
use query::Query;
pub use select::{Instance, select};

/// Which container of which pod.
struct Subject {
    namespace: String,
    pod: String,
    container: String,
}

pub(super) fn route(pods: Arc<dyn Pods>, stopping: CancellationToken) -> BoxedFilter<(Response,)> {
    warp::path!("containerLogs" / String / String / String)
        .and(warp::get())
        .and(warp::query::<Vec<(String, String)>>())
        .then(move |namespace, pod, container, query: Vec<_>| {
            let (pods, stopping) = (pods.clone(), stopping.clone());
            async move {
                let subject = Subject { namespace, pod, container };
                match open(pods.as_ref(), subject, &query).await {
                    Ok(reader) => body::answer(reader, stopping),
                    Err(error) => error.into_response(),
                }
            }
        })
        .boxed()
}

async fn open(pods: &dyn Pods, subject: Subject, query: &[(String, String)]) -> Result<Reader, LogError> {
    let query = Query::parse(query, Timestamp::now())?;
    let Subject { namespace, pod: name, container } = subject;
    let pod = pods.get(&namespace, &name).ok_or(LogError::PodUnknown { pod: name })?;
    query.check_stream()?;
    let instance = select(&pod, &container, query.previous)?;
    let removed = || LogError::Removed { id: instance.container_id.clone() };
    let LogTarget { root, relative, ended } = pods.log_target(&pod, &instance).ok_or_else(removed)?;
    // Whatever the backend remembers: the status is what the caller sees.
    let ended = if instance.running { ended } else { cancelled() };
    Reader::open(root, relative, query.options, ended).await.map_err(|error| {
        tracing::debug!(%error, "Failed to open a container log");
        removed()
    })
}

fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

#[cfg(test)]
mod tests;
