//! A runner's connection: it is greeted, asked, listened to, and all of that again when the connection breaks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::debug;
use wasmnode_provider_api::{Error, Provider};

use super::handle::Runner;
use super::shared::Shared;
use crate::Remote;

/// Between two attempts: a runner that starts listens already, so that only a busy or broken one is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Goes on until the process has ended and everything that it sent was read.
pub(crate) async fn pump(shared: Arc<Shared>, runner: Arc<Runner>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match follow(&shared, &runner).await {
            // One that ends it at once again and again is not asked more often for that.
            Ok(()) if begun.elapsed() >= LONGEST_PAUSE => pause = FIRST_PAUSE,
            Ok(()) => {}
            Err(error) => {
                debug!(runner = %runner.id, %error, "Could not follow a runner");
                runner.troubled(error);
            }
        }
        tokio::select! {
            () = runner.dead.cancelled() => return,
            () = shared.closing.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// One connection. What it brings twice, as an event and in the listing, is taken once.
async fn follow(shared: &Arc<Shared>, runner: &Arc<Runner>) -> Result<(), Error> {
    let remote = reach(runner).await?;
    let (hello, settings) = {
        let inner = shared.lock();
        (inner.hello.clone(), inner.settings.clone())
    };
    let welcome = remote.hello(hello).await?;
    let capacity = welcome.capacity;
    runner.welcomed(welcome);
    runner.watch_memory();
    if let Some(settings) = settings {
        remote.configure(settings).await?;
    }
    let mut events = remote.events().await?;
    list(shared, runner, &remote).await?;
    shared.lock().state.sized(&runner.id, capacity);
    runner.known.cancel();
    while let Some(event) = events.recv().await {
        shared.learn(runner, |state| state.learn(&runner.id, event));
    }
    Ok(())
}

async fn reach(runner: &Arc<Runner>) -> Result<Arc<Remote>, Error> {
    if let Ok(remote) = runner.remote() {
        return Ok(remote.clone());
    }
    let address = runner.address().ok_or_else(|| runner.error("has ended"))?;
    Ok(runner.reached(Remote::connect(&address).await?))
}

/// Asks a runner what it has and takes that over.
pub(crate) async fn list(shared: &Arc<Shared>, runner: &Arc<Runner>, remote: &Remote) -> Result<(), Error> {
    let asked = shared.lock().state.tick();
    let listing = remote.list().await?;
    shared.learn(runner, |state| state.absorb(&runner.id, asked, listing, SystemTime::now()));
    Ok(())
}
