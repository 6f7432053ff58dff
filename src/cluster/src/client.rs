//! From a kubeconfig to a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::{BoxError, Service, ServiceExt};

/// A kubeconfig with all its certificates inline is a few KiB.
const KUBECONFIG_LIMIT: u64 = 1 << 20;

/// A connection that carries nothing is probed after this long, and given up after as long without an answer: a watch
/// on a connection that a firewall forgot would otherwise be silent for minutes.
const SILENCE: Duration = Duration::from_secs(30);

/// An answer that has not begun by then does not come: the API server gives up on a request after 60 s, and a watch
/// begins at once. What a watch or a list says afterwards may take longer.
const BEGINS_WITHIN: Duration = Duration::from_secs(75);

/// Why there is no client. One line each: the binary prints it and ends.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file is not there or not readable.
    #[error("kubeconfig {path} cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no kubeconfig.
    #[error("kubeconfig {path} is not valid: {why}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why, on one line.
        why: String,
    },
    /// The current context names no server.
    #[error("kubeconfig {path} names no server for its current context: set clusters[].cluster.server", path = path.display())]
    NoServer {
        /// The file.
        path: PathBuf,
    },
    /// The file asks for something that this agent cannot do.
    #[error("kubeconfig {path} sets proxy-url, which is not supported: remove it", path = path.display())]
    Proxy {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a kubeconfig and makes a client of its current context. Does not connect.
///
/// # Errors
/// When the file cannot be read, or is no usable kubeconfig.
pub async fn connect(kubeconfig: &Path) -> Result<Client, ClientError> {
    let path = || kubeconfig.to_owned();
    let size = std::fs::metadata(kubeconfig).map_err(|source| ClientError::Read { path: path(), source })?.len();
    if size > KUBECONFIG_LIMIT {
        let why = format!("it is {size} bytes, more than {KUBECONFIG_LIMIT}");
        return Err(ClientError::Invalid { path: path(), why });
    }
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|error| explain(kubeconfig, error))?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| explain(kubeconfig, error))?;
    if config.proxy_url.is_some() {
        return Err(ClientError::Proxy { path: path() });
    }
    build(config).map_err(|error| ClientError::Invalid { path: path(), why: one_line(&error) })
}

fn explain(path: &Path, error: KubeconfigError) -> ClientError {
    let path = path.to_owned();
    match error {
        KubeconfigError::ReadConfig(source, _) => ClientError::Read { path, source },
        KubeconfigError::MissingClusterUrl => ClientError::NoServer { path },
        other => ClientError::Invalid { path, why: one_line(&other) },
    }
}

/// YAML errors come with an excerpt of the file, which holds credentials: only the first line tells.
fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
}

/// The client without rate limit and without kube's own retries: every caller here has its own back-off, and a retry
/// below it would multiply the load on a server that asks for less.
fn build(mut config: Config) -> kube::Result<Client> {
    let agent = HeaderValue::from_static(concat!("wasmnode/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let https = config.rustls_https_connector_with_connector(connector())?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let http = bounded(http.map_err(BoxError::from));
    let builder = ClientBuilder::new(http, config.default_namespace.clone());
    let headers = config.extra_headers_layer()?;
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(auth) => builder.with_layer(&headers).with_layer(&auth).with_layer(&base).build(),
        None => builder.with_layer(&headers).with_layer(&base).build(),
    })
}

/// Without this, a list or watch waits for ever for a server that took the request and is stuck.
fn bounded<S, R, T>(service: S) -> impl Service<R, Response = T, Error = BoxError, Future: Send> + Clone
where
    S: Service<R, Response = T, Error = BoxError, Future: Send> + Clone,
{
    service.map_future(|answer| async {
        tokio::time::timeout(BEGINS_WITHIN, answer).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
    })
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(SILENCE / 3));
    connector.set_keepalive(Some(SILENCE));
    connector.set_keepalive_interval(Some(SILENCE / 3));
    connector.set_keepalive_retries(Some(3));
    connector.set_tcp_user_timeout(Some(SILENCE));
    connector
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn error_of(content: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let error = connect(file.path()).await.err().unwrap().to_string();
        assert!(!error.contains('\n'), "{error}");
        error.replace(&file.path().display().to_string(), "FILE")
    }

    const CONTEXT: &str = "contexts: [{name: c, context: {cluster: k, user: u}}]\ncurrent-context: c\n";

    #[tokio::test]
    async fn a_bad_kubeconfig_is_one_line() {
        let missing = connect(Path::new("/nonexistent/kubeconfig")).await.err().unwrap().to_string();
        assert!(missing.starts_with("kubeconfig /nonexistent/kubeconfig cannot be read: No such file"), "{missing}");
        assert_eq!(error_of("").await, "kubeconfig FILE is not valid: failed to determine current context");
        assert!(
            error_of("clusters: {{").await.starts_with("kubeconfig FILE is not valid: failed to parse kubeconfig YAML")
        );
        assert!(error_of("users: [{name: u, user: {token: s3cret}}]\nclusters: 5\n").await.find("s3cret").is_none());
        let no_server = error_of(&format!("{CONTEXT}clusters: [{{name: k, cluster: {{}}}}]\n")).await;
        assert_eq!(no_server, "kubeconfig FILE names no server for its current context: set clusters[].cluster.server");
        let no_cluster = error_of(CONTEXT).await;
        assert_eq!(no_cluster, "kubeconfig FILE is not valid: failed to load the cluster of context: k");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_a_request_and_is_stuck_is_not_waited_for() {
        let stuck = tower::service_fn(|()| std::future::pending::<Result<(), BoxError>>());
        let start = tokio::time::Instant::now();
        assert!(bounded(stuck).oneshot(()).await.is_err());
        assert_eq!(start.elapsed(), BEGINS_WITHIN);
    }

    #[tokio::test]
    async fn a_good_kubeconfig_makes_a_client() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cluster = "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n";
        std::fs::write(file.path(), format!("{CONTEXT}{cluster}users: [{{name: u, user: {{token: t}}}}]\n")).unwrap();
        assert!(connect(file.path()).await.is_ok());
    }
}
