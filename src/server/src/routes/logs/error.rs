//! Why there is no log to show. The API server passes the texts on to `kubectl`, and they are the kubelet's.

use http::StatusCode;
use warp::Reply;
use warp::reply::Response;

use crate::routes::plain;

/// Why there is no log to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A query that cannot be read.
    #[error(r#"{{"message": "Unable to decode query."}}"#)]
    Undecodable,
    /// A query that contradicts itself or is out of range.
    #[error(r#"{{"message": "Invalid request."}}"#)]
    Invalid,
    /// One stream only is asked for, which kubelets do with a feature gate that is off by default.
    #[error(
        "unable to return the given log stream: {stream:?}. Please enable PodLogsQuerySplitStreams feature gate in kubelet"
    )]
    Stream {
        /// `Stdout` or `Stderr`.
        stream: String,
    },
    /// Not a pod of this node.
    #[error("pod {pod:?} does not exist")]
    PodUnknown {
        /// Its name.
        pod: String,
    },
    /// Not a container of the pod.
    #[error("container {container:?} not found in pod {pod:?}")]
    ContainerUnknown {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
    },
    /// The pod has no status of the container yet.
    #[error("container {container:?} in pod {pod:?} is not available")]
    NotAvailable {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
    },
    /// There was no instance before the current one.
    #[error("previous terminated container {container:?} in pod {pod:?} not found")]
    PreviousNotFound {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
    },
    /// It ended without ever having run.
    #[error("container {container:?} in pod {pod:?} is terminated")]
    Terminated {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
    },
    /// It has not started.
    #[error("container {container:?} in pod {pod:?} is waiting to start: {reason}")]
    Waiting {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
        /// What it waits for.
        reason: String,
    },
    /// It has no state at all.
    #[error("container {container:?} in pod {pod:?} is waiting to start - no logs yet")]
    NoLogsYet {
        /// Its name.
        container: String,
        /// The pod's.
        pod: String,
    },
    /// The log was cleaned up.
    #[error("unable to retrieve container logs for {id}")]
    Removed {
        /// containerID with its scheme.
        id: String,
    },
}

// === impl LogError ===

impl LogError {
    /// HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::PodUnknown { .. } | Self::ContainerUnknown { .. } => StatusCode::NOT_FOUND,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Undecodable
            | Self::Stream { .. }
            | Self::NotAvailable { .. }
            | Self::PreviousNotFound { .. }
            | Self::Terminated { .. }
            | Self::Waiting { .. }
            | Self::NoLogsYet { .. }
            | Self::Removed { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

impl Reply for LogError {
    fn into_response(self) -> Response {
        plain(self.status(), self.to_string())
    }
}
