//! An API server made of one closure, for failures that a real one cannot be made to show.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::client::Body;
use serde_json::{Value, json};
use wasmnode_core::node::{NodeFact, NodeFacts, Pressure, Resources, SystemInfo, default_labels, default_taints};
use wasmnode_core::{PodRef, Record, Recorder, Severity};

/// A request as a test sees it.
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// What the fake server says.
pub(crate) struct Answer {
    code: u16,
    body: Vec<Value>,
    /// The stream stays open after the last line, as a watch's does; without any line there is no answer at all.
    open: bool,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { code: 200, body: vec![body], open: false }
    }

    pub(crate) fn status(code: u16, message: &str) -> Self {
        let reason = if code == 404 { "NotFound" } else { "Other" };
        let body = json!({"status": "Failure", "message": message, "reason": reason, "code": code});
        Self { code, body: vec![body], open: false }
    }

    /// Watch events.
    pub(crate) fn lines(events: &[Value]) -> Self {
        Self { code: 200, body: events.to_vec(), open: true }
    }

    pub(crate) fn never() -> Self {
        Self { code: 200, body: Vec::new(), open: true }
    }
}

type Handler = dyn Fn(Seen) -> Answer + Send + Sync;

#[derive(Clone)]
pub(crate) struct FakeApi(Arc<Handler>);

impl FakeApi {
    pub(crate) fn new(handler: impl Fn(Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(handler))
    }

    pub(crate) fn client(&self) -> kube::Client {
        let handler = self.0.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let handler = handler.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let answer = handler(Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                if answer.body.is_empty() {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(response(answer))
            }
        });
        kube::Client::new(service, "default")
    }
}

fn response(answer: Answer) -> http::Response<BoxBody<Bytes, Infallible>> {
    let lines = answer.body.into_iter().map(|line| Ok(http_body::Frame::data(Bytes::from(format!("{line}\n")))));
    let lines = futures::stream::iter(lines);
    let body = if answer.open {
        BodyExt::boxed(StreamBody::new(lines.chain(futures::stream::pending())))
    } else {
        BodyExt::boxed(StreamBody::new(lines))
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(answer.code).unwrap_or_default();
    response
}

/// A pod of namespace `ns`.
pub(crate) fn pod(name: &str, uid: &str) -> Pod {
    let metadata = json!({"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1"});
    serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": [{"name": "c"}]}})).unwrap_or_default()
}

pub(crate) fn pod_ref(name: &str, uid: &str) -> PodRef {
    PodRef { namespace: "ns".to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

pub(crate) fn node(name: &str, uid: &str, version: &str) -> Node {
    let metadata = json!({"name": name, "uid": uid, "resourceVersion": version});
    serde_json::from_value(json!({"metadata": metadata})).unwrap_or_default()
}

pub(crate) fn facts() -> NodeFacts {
    NodeFacts {
        name: "wasm-1".to_owned(),
        labels: default_labels("wasm-1"),
        taints: default_taints(),
        provider_id: None,
        capacity: Resources { cpu_millis: 2000, memory: 1 << 30, ephemeral_storage: 1 << 30, pods: 110 },
        reserved: Resources::default(),
        addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        hostname: "wasm-1".to_owned(),
        kubelet_port: 10250,
        system: SystemInfo::default(),
        images: Vec::new(),
        max_images: None,
        runtime_handlers: vec![String::new()],
        pressure: Pressure::default(),
        problems: Vec::new(),
        conditions: vec![NodeFact::isolation(false)],
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

/// Keeps the messages of node events.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<String>>);

impl Records {
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.lock().map(|mut records| std::mem::take(&mut *records)).unwrap_or_default()
    }
}

impl Recorder for Records {
    fn pod(&self, _: &PodRef, _: &str, record: Record) {
        self.0.lock().map(|mut records| records.push(record.message)).unwrap_or_default();
    }

    fn node(&self, _: Severity, _: &'static str, message: String) {
        self.0.lock().map(|mut records| records.push(message)).unwrap_or_default();
    }
}
