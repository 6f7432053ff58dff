//! Several sources in one directory; the service account volume that every pod has is one of these.

use wasmnode_core::TokenRequest;
use wasmnode_core::desired::Projection;

use super::payload::Payload;
use super::sources::Sources;
use super::{config_map, downward, secret};

/// All sources are read, so that the message names all that is missing.
pub(super) async fn payload(sources: &Sources<'_>, parts: &[Projection], mode: i32) -> Result<Payload, String> {
    let mut payload = Payload::default();
    let mut errors = Vec::new();
    for part in parts {
        match one(sources, part, mode).await {
            Ok(files) => payload.extend(files)?,
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(payload),
        1 => Err(errors.remove(0)),
        // As Go prints an aggregate.
        _ => Err(format!("[{}]", errors.join(", "))),
    }
}

async fn one(sources: &Sources<'_>, part: &Projection, mode: i32) -> Result<Payload, String> {
    match part {
        Projection::ConfigMap(source) => config_map::payload(sources, source, mode).await,
        Projection::Secret(source) => secret::payload(sources, source, mode).await,
        Projection::Downward(items) => downward::payload(sources, items, mode),
        Projection::Token { audience, expiration_seconds, path } => {
            let request = TokenRequest {
                pod: sources.desired.pod.clone(),
                service_account: sources.desired.service_account.clone(),
                audience: audience.clone(),
                expiration_seconds: *expiration_seconds,
            };
            let token = sources.tokens.token(&request).await.map_err(|e| e.to_string())?;
            let mut payload = Payload::default();
            payload.insert(path, token.value.into_bytes(), mode)?;
            Ok(payload)
        }
        Projection::Unsupported(kind) => Err(format!("projected volume source {kind} is not supported by this node")),
    }
}
