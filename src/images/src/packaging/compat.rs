//! Images that crun's handlers for wasm run beside native ones: for a Linux platform, with a mark that a part of them is
//! wasm. Written by `buildah build --annotation module.wasm.image/variant=compat`.
//!
//! Such an image may as well hold native programs. It is taken for wasm only where its own command says so, too.

use super::container::{is_image, root_of};
use super::{Layout, Manifest};
use crate::manifest::ImageConfig;

/// Where the mark is and what it may say: crun's, then that of the handler which is asked for by name.
const MARKS: [(&str, &[&str]); 2] = [
    ("module.wasm.image/variant", &["compat", "compat-smart"]),
    ("run.oci.handler", &["wasm", "crun-wasm", "wasmedge", "wasmtime", "wasmer", "wamr"]),
];
const EXTENSION: &str = ".wasm";

pub(super) fn recognise(manifest: &Manifest, config: &ImageConfig) -> Option<Layout> {
    let run = config.run_config();
    let own = run.entrypoint.first().or_else(|| run.cmd.first());
    let names_wasm = own.is_some_and(|own| own.ends_with(EXTENSION));
    if names_wasm && is_marked(manifest, config) { root_of(manifest, config) } else { None }
}

/// Whether annotations of the manifest or labels of the configuration say that an image is wasm.
pub(super) fn is_marked(manifest: &Manifest, config: &ImageConfig) -> bool {
    let said = |key: &str| manifest.annotations.get(key).map(String::as_str).or_else(|| config.label(key));
    is_image(manifest) && MARKS.iter().any(|(key, values)| said(key).is_some_and(|value| values.contains(&value)))
}
