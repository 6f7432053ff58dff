//! Fields of the pod as files.

use wasmnode_core::desired::DownwardItem;
use wasmnode_core::downward::evaluate;

use super::payload::Payload;
use super::sources::Sources;

pub(super) fn payload(sources: &Sources<'_>, items: &[DownwardItem], mode: i32) -> Result<Payload, String> {
    let mut payload = Payload::default();
    for item in items {
        let value = evaluate(sources.desired, None, &item.value, &sources.facts).map_err(|e| e.to_string())?;
        payload.insert(&item.path, value.into_bytes(), item.mode.unwrap_or(mode))?;
    }
    Ok(payload)
}
