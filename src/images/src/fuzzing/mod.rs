//! What the fuzz targets call, and a short run of the same in the tests: everything that reads what a stranger wrote,
//! with the promises that must hold whatever it is. Not part of the API.

#![allow(clippy::unwrap_used)]

mod archive;
mod root;
mod seeds;
#[cfg(test)]
mod tests;

use crate::manifest::{Document, ImageConfig};
use crate::packaging::{self, Content};
use crate::{describe, plan, platform};

pub use seeds::seeds;

/// Takes any input; what must not be is a panic.
pub type Target = fn(&[u8]);

/// By the name of their program in `fuzz/`.
pub const TARGETS: [(&str, Target); 4] =
    [("documents", documents), ("layers", layers), ("archive", archive), ("wasm", wasm)];

/// Longest refusal, in characters: a list of platforms or a media type is the longest part of it.
const MAX_REFUSAL: usize = 4096;

/// A manifest or an index, a zero byte, a configuration: whatever they are, they are classified.
pub fn documents(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (manifest, config) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    match Document::parse(manifest) {
        Err(why) => assert!(!why.is_empty()),
        Ok(Document::Index(index)) => match platform::choose(&index) {
            Ok(digest) => assert!(index.manifests.iter().any(|entry| entry.digest == digest)),
            Err(why) => check_refusal(&why),
        },
        Ok(Document::Manifest(manifest)) => match packaging::recognise(&manifest, &ImageConfig::parse(config)) {
            Ok(layout) => {
                let _ = plan::check(&layout);
                assert!(layout.content.blobs().iter().all(|blob| manifest.layers.contains(blob)));
                assert!(matches!(layout.content, Content::Root { .. }) || layout.content.blobs().len() == 1);
            }
            Err(why) => check_refusal(&why),
        },
    }
}

/// Stands in a pod's status.
fn check_refusal(why: &str) {
    assert!(!why.is_empty() && why.chars().count() <= MAX_REFUSAL && !why.chars().any(char::is_control), "{why:?}");
}

/// Layers, each after its length: they become a root or nothing, and nothing outside of it is touched.
pub fn layers(input: &[u8]) {
    let layers = archive::split(input);
    root::unpacks(&layers);
}

/// Entries of layers, in a form that every input is: so that what is mutated are names and kinds, not checksums.
pub fn archive(input: &[u8]) {
    let layers = archive::layers(input);
    root::unpacks(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

/// A file that claims to be wasm is described or refused.
pub fn wasm(input: &[u8]) {
    let _ = describe(input);
}
