//! Every released protocol is spoken for ever, or as long as [`crate::OLDEST_PROTOCOL`] says: what an agent and a runner
//! of that release said to each other is replayed against today's code.

mod raw;
mod scenario;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::wire::{self, Wire};
use wasmnode_provider_api::{Configure, Hello, Listing, RunId, RunSpec, SandboxId, SandboxSpec, SandboxUpdate};
use wasmnode_provider_api::{Event, ServicesDelta, Target, Usage, Welcome};
use wasmnode_provider_fake::FakeProvider;

use super::link::Link;
use crate::protocol::{Frame, Prepare, Reply, Verb};
use crate::{OLDEST_PROTOCOL, PROTOCOL};
use scenario::Step;

/// Whether a message is understood.
type Check = fn(&Bytes) -> bool;

/// One verb as it went over the socket.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    verb: Verb,
    requests: Vec<Bytes>,
    replies: Vec<Bytes>,
}

fn directory(protocol: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/transcripts/v{protocol}"))
}

/// A runner's end and a connection to it that has said nothing yet.
async fn runner() -> (CancellationToken, Link) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(crate::serve(listener, Arc::new(FakeProvider::new()), stop.clone()));
    (stop, Link::open(&socket).await.unwrap())
}

/// Says the requests in their order. Events are subscribed to in their turn, and read at the end.
async fn converse(steps: Vec<Step>) -> Vec<Said> {
    let (_stop, link) = runner().await;
    let (mut said, mut events) = (Vec::new(), None);
    for Step { verb, requests } in steps {
        let replies = raw::open(&link, verb, &requests).await;
        let replies = if verb == Verb::Events {
            events = Some((said.len(), replies));
            Vec::new()
        } else {
            raw::all(replies, usize::MAX).await
        };
        said.push(Said { verb, requests, replies });
    }
    if let Some((place, replies)) = events {
        said[place].replies = raw::all(replies, scenario::EVENTS).await;
    }
    said
}

fn reads<T: Wire>(bytes: &Bytes) -> bool {
    wire::decode::<T>(bytes).is_ok_and(|value| wire::encode(value) == bytes[..])
}

fn reads_message<M: Message + Default>(bytes: &Bytes) -> bool {
    M::decode(bytes.clone()).is_ok_and(|message| message.encode_to_vec() == bytes[..])
}

fn reads_reply<T: Wire>(bytes: &Bytes) -> bool {
    let reply = Reply::decode(bytes.clone()).unwrap();
    let value = reply.read::<T::Message>().ok().map(|message| Bytes::from(message.encode_to_vec()));
    // What is no value is a failure, which is a message of this crate's.
    reads_message::<Reply>(bytes) && value.is_none_or(|value| reads::<T>(&value))
}

/// Whether today's types hold everything that is in the bytes, and nothing else.
fn is_understood(said: &Said) -> bool {
    let (request, reply): (Check, Check) = match said.verb {
        Verb::Hello => (reads::<Hello>, reads_reply::<Welcome>),
        Verb::Configure => (reads::<Configure>, reads_message::<Reply>),
        Verb::List => (reads_message::<()>, reads_reply::<Listing>),
        Verb::Ping => (reads_message::<()>, reads_message::<Reply>),
        Verb::Acknowledge | Verb::Stop | Verb::Kill => (reads::<RunId>, reads_message::<Reply>),
        Verb::RemoveSandbox => (reads::<SandboxId>, reads_message::<Reply>),
        Verb::Target => (reads::<SandboxId>, reads_reply::<Target>),
        Verb::Usage => (reads::<SandboxId>, reads_reply::<Usage>),
        Verb::Prepare => (reads_message::<Prepare>, reads_message::<Reply>),
        Verb::CreateSandbox => (reads::<SandboxSpec>, reads_message::<Reply>),
        Verb::UpdateSandbox => (reads::<SandboxUpdate>, reads_message::<Reply>),
        Verb::UpdateServices => (reads::<ServicesDelta>, reads_message::<Reply>),
        Verb::Start => (reads::<RunSpec>, reads_message::<Reply>),
        Verb::Exec | Verb::Attach | Verb::Connect => (reads_message::<Frame>, reads_message::<Frame>),
        Verb::Events => {
            let events = said.replies.iter().skip(1).all(reads_reply::<Event>);
            return events && said.requests.iter().all(reads_message::<()>);
        }
    };
    said.requests.iter().all(request) && said.replies.iter().all(reply)
}

/// What answers have in common, whenever they are given: how many there are, and which ones are failures. Of a
/// conversation the result, since what else is said in it depends on who is faster.
fn shape(said: &Said) -> Vec<String> {
    let of_frame = |bytes: &Bytes| format!("{:?}", Frame::decode(bytes.clone()).unwrap().kind.unwrap());
    let of_reply = |bytes: &Bytes| match Reply::decode(bytes.clone()).unwrap().read::<()>() {
        Ok(()) => "a value".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    match said.verb {
        Verb::Exec | Verb::Attach | Verb::Connect => said.replies.last().map(of_frame).into_iter().collect(),
        _ => said.replies.iter().map(of_reply).collect(),
    }
}

#[tokio::test]
async fn what_was_recorded_is_understood_and_answered() {
    for protocol in OLDEST_PROTOCOL..=PROTOCOL {
        let recorded = raw::load(&directory(protocol));
        assert!(recorded.len() > 15, "{} of protocol {protocol}", recorded.len());
        for said in &recorded {
            assert!(is_understood(said), "protocol {protocol}: {said:?}");
        }
        let steps = recorded.iter().map(|said| Step { verb: said.verb, requests: said.requests.clone() });
        for (now, then) in converse(steps.collect()).await.iter().zip(&recorded) {
            assert_eq!(shape(now), shape(then), "protocol {protocol}: {}", now.verb.name());
        }
    }
}

/// How a release adds its transcript, see `tests/transcripts/README.md`.
#[tokio::test]
#[ignore = "writes the transcript of the current protocol"]
async fn record() {
    let said = converse(scenario::steps()).await;
    assert!(said.iter().all(is_understood));
    raw::store(&directory(PROTOCOL), &said);
}
