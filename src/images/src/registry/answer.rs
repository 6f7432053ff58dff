//! What registries answer besides what they were asked for.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::error::RegistryError;

/// Error answers: enough for the message in them.
const MAX_ERROR: usize = 8 << 10;
const MAX_ERROR_SHOWN: usize = 300;

/// The error format of the distribution specification.
#[derive(Deserialize)]
struct ErrorAnswer {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Seconds of `Retry-After`, where it means that the same request may succeed. Dates, which hardly any registry sends,
/// are left to the back-off.
pub(super) fn pause(response: &Response) -> Option<Duration> {
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let header = response.headers().get(RETRY_AFTER).filter(|_| busy.contains(&response.status()))?;
    header.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A login page or a proxy's apology instead of a manifest.
pub(super) fn refuse_html(headers: &HeaderMap, url: &str) -> Result<(), RegistryError> {
    let html = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/html"));
    if html {
        return Err(RegistryError::Other(format!("GET {url} answered with a web page (text/html): is it a registry?")));
    }
    Ok(())
}

/// Only 200 is content; everything else is an error with the registry's words.
pub(super) async fn check(response: Response, url: &str) -> Result<Response, RegistryError> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(response),
        StatusCode::NOT_FOUND => Err(RegistryError::NotFound),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let said = server_message(response).await;
            Err(RegistryError::Denied(format!(
                "pull access denied, repository does not exist or may require authorization: server message: {status}{said}"
            )))
        }
        _ => {
            let later = pause(&response).map(|pause| format!(" (try again after {} s)", pause.as_secs()));
            let (later, said) = (later.unwrap_or_default(), server_message(response).await);
            Err(RegistryError::Other(format!("unexpected status from GET request to {url}: {status}{later}{said}")))
        }
    }
}

/// `: CODE: message` from an error answer, or nothing.
pub(super) async fn server_message(response: Response) -> String {
    let bytes = read_bounded(response, MAX_ERROR).await.unwrap_or_default();
    let answer = serde_json::from_slice::<ErrorAnswer>(&bytes).ok();
    let first = answer.and_then(|answer| answer.errors.into_iter().next());
    let text = first.map(|entry| format!(": {}: {}", entry.code, entry.message)).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(MAX_ERROR_SHOWN).collect()
}

pub(super) async fn read_bounded(mut response: Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Err(RegistryError::Other(format!("the answer is larger than {limit} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
