//! How wasm is packed into OCI artifacts: one file per packaging, each a pure function.
//!
//! To add one: a file with `recognise`, a line in [`PACKAGINGS`], a folder of golden manifests
//! below `tests/golden`. What none of them recognises, [`foreign`] names.

mod artifact;
mod foreign;
#[cfg(test)]
mod golden;
mod krustlet;

use crate::image::RunConfig;
use crate::manifest::{Descriptor, ImageConfig, Manifest};

pub(crate) use artifact::CONFIG as ARTIFACT_CONFIG;

/// Where an artifact keeps what a pod needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The one blob of wasm.
    pub(crate) wasm: Descriptor,
    /// What the image says about running it.
    pub(crate) config: RunConfig,
}

type Recognise = fn(&Manifest, &ImageConfig) -> Option<Layout>;

/// In the order of asking; the first that recognises an artifact decides.
const PACKAGINGS: [Recognise; 2] = [artifact::recognise, krustlet::recognise];

/// Finds the layout of an artifact.
///
/// # Errors
/// What the artifact is instead, to stand after `"X" is `.
pub(crate) fn recognise(manifest: &Manifest, config: &ImageConfig) -> Result<Layout, String> {
    PACKAGINGS
        .iter()
        .find_map(|recognise| recognise(manifest, config))
        .ok_or_else(|| foreign::describe(manifest, config))
}

/// The only layer, if it has this media type.
fn single_layer<'a>(manifest: &'a Manifest, media_type: &str) -> Option<&'a Descriptor> {
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == media_type => Some(layer),
        _ => None,
    }
}
