//! One request, from its head to the head of its response.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::channel::oneshot::{self, Canceled};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Event, ExitReason};
use wasmtime_wasi_http::WasiBody;

use super::Server;
use super::activity::Active;
use super::body::{Held, Inward, Outward, Place};
use super::refusal::Refusal;
use super::slot::{Awaited, Job, Seat};
use super::worker::Worker;

/// What an instance answered, if it did.
type Answer = oneshot::Receiver<Result<Response<WasiBody>, wasmtime::Error>>;

/// Answers always; what no guest answers is a refusal with its status.
pub(super) async fn answer(
    server: Arc<Server>,
    active: Active,
    request: Request<Incoming>,
) -> Result<Response<Outward>, Infallible> {
    server.run.stats.request();
    let mut held = Held { _active: Some(active), ..Held::default() };
    match served(&server, request, &mut held).await {
        Ok(response) => Ok(response.map(|body| Outward::new(body, held))),
        Err(refusal) => Ok(refusal.response().map(|text| Outward::text(text, held))),
    }
}

async fn served(
    server: &Arc<Server>,
    request: Request<Incoming>,
    held: &mut Held,
) -> Result<Response<WasiBody>, Refusal> {
    let deadline = Instant::now() + server.settings.response_timeout;
    let excess = CancellationToken::new();
    let request = prepared(server, request, &excess)?;
    held.place = Some(place(server, deadline).await?);
    let (awaited, answer) = hand_over(server, request, deadline).await?;
    let answered = tokio::select! {
        biased;
        answered = timeout_at(deadline, answer) => answered,
        () = excess.cancelled() => return Err(Refusal::BodyTooLarge),
    };
    let Ok(answered) = answered else {
        awaited.give_up();
        return Err(Refusal::TooSlow);
    };
    let response = examined(server, answered)?;
    held.awaited = Some(awaited);
    Ok(response)
}

/// The request as a guest gets it: within its bounds, and with its host where the guest looks for it.
fn prepared(
    server: &Server,
    request: Request<Incoming>,
    excess: &CancellationToken,
) -> Result<Request<WasiBody>, Refusal> {
    let settings = &server.settings;
    if request.body().size_hint().lower() > settings.max_body {
        return Err(Refusal::BodyTooLarge);
    }
    let (mut parts, body) = request.into_parts();
    parts.uri = absolute(&parts.uri, parts.headers.get(header::HOST))?;
    let body = Inward::new(body, settings.max_body, settings.body_timeout, excess.clone());
    Ok(Request::from_parts(parts, body.boxed_unsync()))
}

fn absolute(uri: &Uri, host: Option<&header::HeaderValue>) -> Result<Uri, Refusal> {
    let authority = match (uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).map_err(|_| Refusal::NoHost)?,
        (None, None) => return Err(Refusal::NoHost),
    };
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let built = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build();
    built.map_err(|_| Refusal::NoHost)
}

/// A place among the requests that are served; the queue for it is bounded in length and time.
async fn place(server: &Arc<Server>, deadline: Instant) -> Result<Place, Refusal> {
    if let Ok(permit) = server.places.try_acquire() {
        return Ok(Place::new(server, permit));
    }
    let _queued = server.queue.try_acquire().map_err(|_| Refusal::Busy)?;
    match timeout_at(deadline, server.places.acquire()).await {
        Ok(Ok(permit)) => Ok(Place::new(server, permit)),
        _ => Err(Refusal::Busy),
    }
}

/// Gives the request to an instance, a new one where none is free.
async fn hand_over(
    server: &Arc<Server>,
    request: Request<WasiBody>,
    deadline: Instant,
) -> Result<(Awaited, Answer), Refusal> {
    let (mut request, (mut reply, mut answer)) = (request, oneshot::channel());
    loop {
        let seat = timeout_at(deadline, seat(server)).await.ok().flatten().ok_or(Refusal::Busy)?;
        let Seat { awaited, busy, jobs } = seat;
        match jobs.send(Job { request, reply, busy }) {
            Ok(()) => return Ok((awaited, answer)),
            // The instance failed in that very moment.
            Err(unsent) => {
                request = unsent.0.request;
                (reply, answer) = oneshot::channel();
            }
        }
    }
}

/// A seat at an instance that is free, or becomes it before there is room for a new one.
async fn seat(server: &Arc<Server>) -> Option<Seat> {
    loop {
        if let Some(seat) = server.instances.seat() {
            return Some(seat);
        }
        tokio::select! {
            seat = engaged(server) => return seat,
            () = server.instances.freed() => {}
        }
    }
}

/// A seat at a new instance.
async fn engaged(server: &Arc<Server>) -> Option<Seat> {
    let vacancy = server.instances.vacancy().await?;
    let slots = server.run.program.handlers.slots.clone();
    let everywhere = slots.acquire_owned().await.ok()?;
    let seat = server.instances.open(&vacancy.slot)?;
    let room = [vacancy.room, everywhere];
    let worker = Worker { server: server.clone(), slot: vacancy.slot, jobs: vacancy.jobs, room };
    server.workers.spawn(worker.work());
    Some(seat)
}

fn examined(
    server: &Server,
    answered: Result<Result<Response<WasiBody>, wasmtime::Error>, Canceled>,
) -> Result<Response<WasiBody>, Refusal> {
    match answered {
        Ok(Ok(response)) => {
            if !server.proven.swap(true, Ordering::Relaxed) {
                let run = server.run.spec.id.clone();
                server.registry.reporter().report(Event::FirstRequest { run });
            }
            Ok(response)
        }
        Ok(Err(error)) => {
            let refusal = Refusal::of(&error);
            if refusal == Refusal::Failed {
                server.run.program.handlers.failed(ExitReason::Exited);
                server.run.complain(&format!("request failed: {error:#}"));
            }
            Err(refusal)
        }
        // The instance ended; its worker has said why.
        Err(Canceled) => Err(Refusal::Failed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_host_from_where_it_is() {
        let host = |text: &str| Some(header::HeaderValue::from_str(text).unwrap());
        let cases = [
            ("/a?b", host("web:8080"), Ok("http://web:8080/a?b")),
            ("http://other/a", host("web"), Ok("http://other/a")),
            ("*", host("web"), Ok("http://web*")),
            ("/", None, Err(Refusal::NoHost)),
            ("/", host("two words"), Err(Refusal::NoHost)),
            ("/", host(""), Err(Refusal::NoHost)),
        ];
        for (uri, host, expected) in cases {
            let uri: Uri = uri.parse().unwrap();
            let found = absolute(&uri, host.as_ref()).map(|uri| uri.to_string());
            assert_eq!(found, expected.map(ToOwned::to_owned), "{uri} with {host:?}");
        }
    }
}
