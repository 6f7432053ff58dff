//! How an HTTP server treats its clients and its instances.

use std::time::Duration;

/// Bounds of one HTTP server. Everything that a client can make the server hold is in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Requests that one instance serves in its life; `None`: 1 for WASI 0.2, 128 for WASI 0.3.
    pub requests_per_instance: Option<u32>,
    /// Requests that one instance serves at the same time; `None`: 16. Instances of WASI 0.2 serve one at a time.
    pub concurrent_per_instance: Option<u32>,
    /// Requests that are served at the same time.
    pub max_requests: u32,
    /// Requests that wait besides those; more are refused with 503.
    pub queue: u32,
    /// Connections at the same time; more wait to be accepted.
    pub connections: u32,
    /// From a request's head to the head of its response, waiting included; then 503 if it waited, else 504.
    pub response_timeout: Duration,
    /// How long a connection may have no request, and how long a request's head may take.
    pub idle_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// How long an instance without a request is kept.
    pub instance_idle: Duration,
    /// How long a guest may go on after its last response, or after its last client has left.
    pub after_response: Duration,
    /// Bytes of a request's body; more is 413.
    pub max_body: u64,
    /// Bytes of a request's head; more is 431.
    pub max_header_bytes: u32,
    /// Headers of a request; more are 431.
    pub max_headers: u32,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            requests_per_instance: None,
            concurrent_per_instance: None,
            max_requests: 128,
            queue: 256,
            connections: 1000,
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            instance_idle: Duration::from_secs(1),
            after_response: Duration::from_secs(10),
            max_body: 1 << 30,
            max_header_bytes: 64 << 10,
            max_headers: 100,
        }
    }
}
