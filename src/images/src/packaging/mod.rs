//! How wasm is packed into OCI artifacts: one file per packaging, each a pure function.
//!
//! To add one: a file with `recognise`, a line in [`PACKAGINGS`], a folder of golden manifests
//! below `tests/golden`. What none of them recognises, [`foreign`] names.

mod artifact;
mod compat;
mod container;
mod foreign;
#[cfg(test)]
mod golden;
mod krustlet;

use crate::digest::Digest;
use crate::image::RunConfig;
use crate::manifest::{Descriptor, ImageConfig, Manifest};

pub(crate) use artifact::{CONFIG as ARTIFACT_CONFIG, LAYER as ARTIFACT_LAYER};

/// Where an artifact keeps what a pod needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) content: Content,
    /// What the image says about running it.
    pub(crate) config: RunConfig,
}

/// The blobs that matter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The one blob of wasm.
    Wasm(Descriptor),
    /// Layers of a root file system, lowest first, and the digests of their tar streams.
    Root { layers: Vec<Descriptor>, diff_ids: Vec<Digest> },
}

type Recognise = fn(&Manifest, &ImageConfig) -> Option<Layout>;

/// In the order of asking; the first that recognises an artifact decides.
const PACKAGINGS: [Recognise; 5] =
    [artifact::recognise, krustlet::recognise, container::root, container::wasm_layer, compat::recognise];

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

// === impl Content ===

impl Content {
    /// Everything that is loaded for it.
    pub(crate) fn blobs(&self) -> &[Descriptor] {
        match self {
            Self::Wasm(wasm) => std::slice::from_ref(wasm),
            Self::Root { layers, .. } => layers,
        }
    }

    /// The title of a blob of wasm.
    pub(crate) fn title(&self) -> Option<String> {
        match self {
            Self::Wasm(wasm) => wasm.title(),
            Self::Root { .. } => None,
        }
    }
}

/// The only layer, if it has this media type.
fn single_layer<'a>(manifest: &'a Manifest, media_type: &str) -> Option<&'a Descriptor> {
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == media_type => Some(layer),
        _ => None,
    }
}
