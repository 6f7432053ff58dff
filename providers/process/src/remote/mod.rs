//! The agent's end of the socket.

mod converse;
mod events;
mod link;
mod provider;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod transcript;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use wasmnode_provider_api::{Error, Hello, StartFailure, Welcome, wire};

use crate::protocol::{MAX_CONVERSATIONS, MAX_LISTING_BYTES, MAX_REQUEST_BYTES, PROTOCOL, Reply, Verb, accept};
use link::Link;

/// A runner that lives accepts at once.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A provider in another process, see [`crate::serve`].
///
/// Says hello by itself on every connection. A connection that broke is made again by the next verb; verbs that were
/// under way fail with [`Error::Failed`], which names the socket, and may or may not have been carried out: `list` tells.
/// [`wasmnode_provider_api::Provider::events`] ends with its connection, and before an event that cannot be read.
///
/// Every verb but `exec` and `attach` has a deadline, 30 s, or 60 s where files are read. `exec` and `attach` end when
/// their future is dropped.
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
    /// What is said to the runner; replaced by the caller's own hello.
    hello: Mutex<Hello>,
    link: tokio::sync::Mutex<Option<Link>>,
    conversations: Arc<Semaphore>,
    /// An event that cannot be read was logged.
    complained: Arc<AtomicBool>,
}

// === impl Remote ===

impl Remote {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`Error::Failed`] if nobody listens there, if whoever does is silent for 5 s, or if the two builds speak no
    /// common protocol.
    pub async fn connect(path: &Path) -> Result<Self, Error> {
        let remote = Self {
            path: path.to_owned(),
            hello: Mutex::new(Hello { protocol: PROTOCOL, build: env!("CARGO_PKG_VERSION").to_owned() }),
            link: tokio::sync::Mutex::new(None),
            conversations: Arc::new(Semaphore::new(MAX_CONVERSATIONS)),
            complained: Arc::default(),
        };
        remote.link().await?;
        Ok(remote)
    }

    /// The connection, made anew if it broke.
    async fn link(&self) -> Result<Link, Error> {
        let mut current = self.link.lock().await;
        if let Some(link) = current.as_ref().filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        *current = None;
        let link = self.within(CONNECT_TIME, "a connection", async {
            let link = Link::open(&self.path).await.map_err(|e| self.failed(&format!("cannot be reached: {e}")))?;
            self.greet(&link, self.own_hello()).await?;
            Ok(link)
        });
        let link = link.await?;
        *current = Some(link.clone());
        Ok(link)
    }

    async fn greet(&self, link: &Link, hello: Hello) -> Result<Welcome, Error> {
        let said = wire::Hello::from(hello.clone());
        let welcome = self.exchange::<_, wire::Welcome>(link.clone(), Verb::Hello, said).await?;
        let welcome = Welcome::try_from(welcome)?;
        accept(&hello, &welcome)?;
        Ok(welcome)
    }

    fn own_hello(&self) -> Hello {
        self.hello.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, hello: Hello) {
        *self.hello.lock().unwrap_or_else(PoisonError::into_inner) = hello;
    }

    /// One request, one reply, within the verb's deadline.
    async fn call<Q, R>(&self, verb: Verb, request: Q) -> Result<R, Error>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        check_size(request.encoded_len())?;
        let exchange = async { self.exchange(self.link().await?, verb, request).await };
        self.within(verb.deadline(), verb.name(), exchange).await
    }

    async fn exchange<Q, R>(&self, link: Link, verb: Verb, request: Q) -> Result<R, Error>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = link.grpc().max_decoding_message_size(MAX_LISTING_BYTES);
        let codec = ProstCodec::<Q, Reply>::default();
        let reply = grpc.unary(tonic::Request::new(request), verb.request_path(), codec).await;
        reply.map_err(|status| self.broken(verb, &status))?.into_inner().read()
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let silent = || self.failed(&format!("did not answer {what} within {} s", deadline.as_secs()));
        tokio::time::timeout(deadline, work).await.map_err(|_| silent())?
    }

    fn conversation(&self) -> Result<OwnedSemaphorePermit, Error> {
        let full = || self.failed(&format!("has {MAX_CONVERSATIONS} streams open, close some first"));
        self.conversations.clone().try_acquire_owned().map_err(|_| full())
    }

    /// What is not the contract's own error.
    fn broken(&self, verb: Verb, status: &Status) -> Error {
        match status.code() {
            Code::Unimplemented => Error::Unsupported(verb.name().to_owned()),
            _ => self.failed(&format!("cannot be asked for {}: {}", verb.name(), cause(status))),
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::Failed(format!("runner at {} {what}", self.path.display()))
    }
}

/// The last of the causes says most.
fn cause(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if std::ptr::addr_eq(cause, status) { status.message().to_owned() } else { cause.to_string() }
}

/// Only a run's arguments and environment come near.
fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_REQUEST_BYTES {
        return Ok(());
    }
    let text = format!("arguments, environment and mounts take {bytes} bytes, {MAX_REQUEST_BYTES} are allowed");
    Err(Error::Start(StartFailure::Invalid(text)))
}
