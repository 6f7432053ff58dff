//! The verbs that say more than the provider does.

use async_trait::async_trait;
use wasmnode_provider_api::{Error, EventStream, Hello, Layer, Listing, Provider, RunId, Welcome};

use super::Journal;

#[async_trait]
impl Layer for Journal {
    fn inner(&self) -> &dyn Provider {
        self.inner.as_ref()
    }

    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        let mut welcome = self.inner.hello(hello).await?;
        welcome.features.extend_from_slice(&self.features);
        let build = self.build.clone().unwrap_or(welcome.build);
        Ok(Welcome { build, ..welcome })
    }

    async fn list(&self) -> Result<Listing, Error> {
        self.record.listed(self.inner.list()).await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(self.reporter.subscribe())
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.inner.acknowledge(run).await?;
        self.record.acknowledged(run).await;
        Ok(())
    }
}
