//! Settings of HTTP servers. Times are milliseconds.

use std::time::Duration;

use super::wire;
use crate::Error;

/// As [`crate::HttpSettings`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct HttpSettings {
    #[prost(uint32, optional, tag = "1")]
    pub requests_per_instance: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    pub concurrent_per_instance: Option<u32>,
    #[prost(uint32, tag = "3")]
    pub max_requests: u32,
    #[prost(uint32, tag = "4")]
    pub queue: u32,
    #[prost(uint32, tag = "5")]
    pub connections: u32,
    #[prost(uint64, tag = "6")]
    pub response_timeout: u64,
    #[prost(uint64, tag = "7")]
    pub idle_timeout: u64,
    #[prost(uint64, tag = "8")]
    pub body_timeout: u64,
    #[prost(uint64, tag = "9")]
    pub instance_idle: u64,
    #[prost(uint64, tag = "10")]
    pub max_body: u64,
    #[prost(uint32, tag = "11")]
    pub max_header_bytes: u32,
    #[prost(uint32, tag = "12")]
    pub max_headers: u32,
    #[prost(uint64, tag = "13")]
    pub after_response: u64,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<crate::HttpSettings> for HttpSettings {
    fn from(settings: crate::HttpSettings) -> Self {
        Self {
            requests_per_instance: settings.requests_per_instance,
            concurrent_per_instance: settings.concurrent_per_instance,
            max_requests: settings.max_requests,
            queue: settings.queue,
            connections: settings.connections,
            response_timeout: millis(settings.response_timeout),
            idle_timeout: millis(settings.idle_timeout),
            body_timeout: millis(settings.body_timeout),
            instance_idle: millis(settings.instance_idle),
            after_response: millis(settings.after_response),
            max_body: settings.max_body,
            max_header_bytes: settings.max_header_bytes,
            max_headers: settings.max_headers,
        }
    }
}

impl TryFrom<HttpSettings> for crate::HttpSettings {
    type Error = Error;

    fn try_from(settings: HttpSettings) -> Result<Self, Error> {
        Ok(Self {
            requests_per_instance: settings.requests_per_instance,
            concurrent_per_instance: settings.concurrent_per_instance,
            max_requests: settings.max_requests,
            queue: settings.queue,
            connections: settings.connections,
            response_timeout: Duration::from_millis(settings.response_timeout),
            idle_timeout: Duration::from_millis(settings.idle_timeout),
            body_timeout: Duration::from_millis(settings.body_timeout),
            instance_idle: Duration::from_millis(settings.instance_idle),
            after_response: Duration::from_millis(settings.after_response),
            max_body: settings.max_body,
            max_header_bytes: settings.max_header_bytes,
            max_headers: settings.max_headers,
        })
    }
}

wire!(HttpSettings => HttpSettings);
