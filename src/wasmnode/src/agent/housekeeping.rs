//! What is done from time to time, whether anything happened or not.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;
use wasmnode_images::Images;

/// The kubelet's interval of image clean-up.
const COLLECT: Duration = Duration::from_secs(300);

/// Images are collected after each pull, too; this finds those that a pod still used then.
pub(super) async fn collect_images(images: Images, shutdown: CancellationToken) {
    let forever = async {
        loop {
            tokio::time::sleep(COLLECT).await;
            if let Err(error) = images.collect_garbage().await {
                warn!(%error, "Cannot clean up images");
            }
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
