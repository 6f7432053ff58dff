//! What is known of the client of one connection.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Error, Hello, Provider, Welcome};

use crate::protocol::agreed;

/// A connection's state: whether hello was said.
pub(super) struct Session {
    pub(super) provider: Arc<dyn Provider>,
    greeted: CancellationToken,
}

// === impl Session ===

impl Session {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, greeted: CancellationToken::new() }
    }

    /// Opens the other verbs, if there is a protocol that both sides speak. May be repeated.
    pub(super) async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        let protocol = agreed(&hello)?;
        tracing::debug!(build = hello.build, protocol, "An agent has connected");
        let welcome = self.provider.hello(hello).await?;
        self.greeted.cancel();
        Ok(Welcome { protocol, ..welcome })
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.greeted.is_cancelled()
    }

    /// Returns after this time without a hello, and never once there was one.
    pub(super) async fn stays_silent(&self, time: Duration) {
        if tokio::time::timeout(time, self.greeted.cancelled()).await.is_ok() {
            pending::<()>().await;
        }
    }
}
