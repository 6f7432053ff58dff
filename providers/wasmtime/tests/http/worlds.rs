//! What an artifact can be started as.

use wasmnode_provider_api::{HttpSettings, Provider, StopMode, Workload};

use crate::rig::{Guest, Rig, text_of};

#[tokio::test]
async fn says_what_is_missing() {
    let mut rig = Rig::new().await;
    let command = rig.spec(Guest::Wasip2, Workload::Command { stop: StopMode::Cancel }).await;
    let error = text_of(rig.provider.start(command).await);
    assert!(error.contains("it has no wasi:cli/run, its exports are: wasi:http/incoming-handler@0.2"), "{error}");
    let (server, _) = rig.server_spec(Guest::Report, HttpSettings::default()).await;
    let error = text_of(rig.provider.start(server).await);
    assert!(error.contains("no wasi:http/handler") && error.contains("exports are: wasi:cli/run@0.2"), "{error}");
}
