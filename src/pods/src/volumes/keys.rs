//! What ConfigMap and Secret volumes have in common: keys become files.

use std::collections::BTreeMap;

use wasmnode_core::ObjectError;
use wasmnode_core::desired::FileSource;

use super::payload::Payload;

/// An object's keys and values.
pub(super) type Keys<'a> = BTreeMap<&'a str, &'a [u8]>;

/// A missing object is nothing if it may be missing.
pub(super) fn optional<T>(found: Result<T, ObjectError>, optional: bool) -> Result<Option<T>, String> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(ObjectError::NotFound { .. }) if optional => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// The files of `source`; `missing` says what a key that is not there is called.
pub(super) fn payload(
    keys: &Keys<'_>,
    source: &FileSource,
    default_mode: i32,
    missing: fn(&str) -> String,
) -> Result<Payload, String> {
    let mut payload = Payload::default();
    let Some(items) = &source.items else {
        for (key, value) in keys {
            payload.insert(key, value.to_vec(), default_mode)?;
        }
        return Ok(payload);
    };
    for item in items {
        match keys.get(item.key.as_str()) {
            Some(value) => payload.insert(&item.path, value.to_vec(), item.mode.unwrap_or(default_mode))?,
            None if source.optional => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(payload)
}
