//! From a request to the provider's verb and back.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hyper::body::Incoming;
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Response, Status, Streaming};
use tonic_prost::ProstCodec;
use wasmnode_provider_api::{Error, Provider, wire};

use super::converse;
use super::session::Session;
use crate::protocol::{Frame, MAX_REQUEST_BYTES, Prepare, Reply, Verb};

type HttpRequest = http::Request<Incoming>;
type HttpResponse = http::Response<Body>;
type Shared = Arc<dyn Provider>;

/// Never fails: what is wrong with a request is said in the answer.
pub(super) async fn answer(session: Arc<Session>, request: HttpRequest) -> HttpResponse {
    let Some(verb) = Verb::of_path(request.uri().path()) else {
        return Status::unimplemented("there is no such verb").into_http();
    };
    if verb != Verb::Hello && !session.is_greeted() {
        return Status::failed_precondition("the first verb of a connection is Hello").into_http();
    }
    let p = session.provider.clone();
    match verb {
        Verb::Hello => {
            let hello = move |_, m: wire::Hello| {
                let session = session.clone();
                async move { session.hello(m.try_into()?).await.map(wire::Welcome::from) }
            };
            unary(p, request, hello).await
        }
        Verb::Events => events(p, request).await,
        Verb::Exec | Verb::Attach | Verb::Connect => conversation(p, request).await,
        verb => simple(verb, p, request).await,
    }
}

/// Verbs with one request and one reply.
async fn simple(verb: Verb, p: Shared, request: HttpRequest) -> HttpResponse {
    match verb {
        Verb::Ping => unary(p, request, |p, (): ()| async move { p.ping().await }).await,
        Verb::Configure => {
            unary(p, request, |p, m: wire::Configure| async move { p.configure(m.try_into()?).await }).await
        }
        Verb::List => unary(p, request, |p, (): ()| async move { p.list().await.map(wire::Listing::from) }).await,
        Verb::Acknowledge => {
            unary(p, request, |p, m: wire::Id| async move { p.acknowledge(&m.try_into()?).await }).await
        }
        Verb::Prepare => unary(p, request, prepare).await,
        Verb::Start => unary(p, request, |p, m: wire::RunSpec| async move { p.start(m.try_into()?).await }).await,
        Verb::Stop => unary(p, request, |p, m: wire::Id| async move { p.stop(&m.try_into()?).await }).await,
        Verb::Kill => unary(p, request, |p, m: wire::Id| async move { p.kill(&m.try_into()?).await }).await,
        verb => of_sandboxes(verb, p, request).await,
    }
}

async fn of_sandboxes(verb: Verb, p: Shared, request: HttpRequest) -> HttpResponse {
    match verb {
        Verb::CreateSandbox => {
            let create = |p: Shared, m: wire::SandboxSpec| async move { p.create_sandbox(m.try_into()?).await };
            unary(p, request, create).await
        }
        Verb::UpdateSandbox => {
            let update = |p: Shared, m: wire::SandboxUpdate| async move { p.update_sandbox(m.try_into()?).await };
            unary(p, request, update).await
        }
        Verb::RemoveSandbox => {
            unary(p, request, |p, m: wire::Id| async move { p.remove_sandbox(&m.try_into()?).await }).await
        }
        Verb::UpdateServices => {
            let update = |p: Shared, m: wire::ServicesDelta| async move { p.update_services(m.try_into()?).await };
            unary(p, request, update).await
        }
        Verb::Target => {
            let target = |p: Shared, m: wire::Id| async move { p.target(&m.try_into()?).await.map(wire::Target::from) };
            unary(p, request, target).await
        }
        Verb::Usage => {
            let usage = |p: Shared, m: wire::Id| async move { p.usage(&m.try_into()?).await.map(wire::Usage::from) };
            unary(p, request, usage).await
        }
        verb => Status::unimplemented(format!("{} is no verb of this kind", verb.name())).into_http(),
    }
}

async fn prepare(p: Shared, m: Prepare) -> Result<(), Error> {
    let (sandbox, artifact) = m.read()?;
    p.prepare(&sandbox, &artifact).await
}

/// The verb runs in a task of its own: a client that leaves does not cut it off in the middle.
async fn unary<Q, R, F>(
    p: Shared,
    request: HttpRequest,
    verb: impl Fn(Shared, Q) -> F + Send + Sync + 'static,
) -> HttpResponse
where
    Q: Message + Default + 'static,
    R: Message + 'static,
    F: Future<Output = Result<R, Error>> + Send + 'static,
{
    let service = tower::service_fn(move |request: tonic::Request<Q>| {
        let running = tokio::spawn(verb(p.clone(), request.into_inner()));
        async move {
            let ended = running.await.unwrap_or_else(|e| Err(Error::Failed(format!("the verb has ended early: {e}"))));
            Ok(Response::new(ended.map_or_else(Reply::failure, |message| Reply::value(&message))))
        }
    });
    let codec = ProstCodec::<Reply, Q>::default();
    Grpc::new(codec).max_decoding_message_size(MAX_REQUEST_BYTES).unary(service, request).await
}

/// First an empty value, so that a refusal has its type, then the events.
async fn events(p: Shared, request: HttpRequest) -> HttpResponse {
    let service = tower::service_fn(move |_: tonic::Request<()>| {
        let p = p.clone();
        async move { Ok(Response::new(replies(p.events().await))) }
    });
    Grpc::new(ProstCodec::<Reply, ()>::default()).server_streaming(service, request).await
}

fn replies(events: Result<wasmnode_provider_api::EventStream, Error>) -> BoxStream<'static, Result<Reply, Status>> {
    match events {
        Ok(events) => {
            let events = ReceiverStream::new(events).map(|event| Reply::value(&wire::Event::from(event)));
            stream::iter([Reply::value(&())]).chain(events).map(Ok).boxed()
        }
        Err(refusal) => stream::iter([Ok(Reply::failure(refusal))]).boxed(),
    }
}

async fn conversation(p: Shared, request: HttpRequest) -> HttpResponse {
    let service = tower::service_fn(move |request: tonic::Request<Streaming<Frame>>| {
        let frames = converse::begin(p.clone(), request.into_inner());
        async move { Ok(Response::new(ReceiverStream::new(frames).map(Ok))) }
    });
    let codec = ProstCodec::<Frame, Frame>::default();
    Grpc::new(codec).max_decoding_message_size(MAX_REQUEST_BYTES).streaming(service, request).await
}
