//! A provider behind a socket, as a runner has it.

use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::Provider;
use wasmnode_provider_process::{Journal, Remote};

/// Serves until the test's runtime ends.
pub(crate) async fn serve(provider: Arc<dyn Provider>) -> Remote {
    let dir = tempfile::tempdir().unwrap();
    let (socket, exits) = (dir.path().join("sock"), dir.path().join("exits"));
    std::fs::create_dir(&exits).unwrap();
    let journal = Journal::open(provider, &exits).await.unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let served = wasmnode_provider_process::serve(listener, Arc::new(journal), CancellationToken::new()).await;
        drop(dir);
        served
    });
    Remote::connect(&socket).await.unwrap()
}
