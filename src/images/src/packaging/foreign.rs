//! Says what an artifact is that no packaging recognises, so that `kubectl describe` answers the
//! question that follows "why does it not start?".

use super::container::{COMPONENT_LAYER, is_image};
use super::{artifact, compat, krustlet};
use crate::manifest::{ImageConfig, Manifest, shown};

/// Media types (by their start) of a configuration, artifact or layer that say everything; the
/// first that matches decides.
const BY_TYPE: [(&str, &str); 9] = [
    ("application/vnd.fermyon.spin.", SPIN_APP),
    ("application/vnd.cncf.helm.", "a Helm chart, not WebAssembly"),
    (
        "application/vnd.wasmcloud.actor.",
        "a wasmCloud actor of the older, host-specific kind, which this node does not run; push it as a component",
    ),
    ("application/vnd.wasmcloud.provider.", "a wasmCloud provider with native code, not WebAssembly"),
    ("application/vnd.module.wasm.", PROXY_PLUGIN),
    ("application/vnd.dev.cosign.", "a signature, not WebAssembly"),
    ("application/vnd.dev.sigstore.", "a signature, not WebAssembly"),
    ("application/vnd.cncf.notary.", "a signature, not WebAssembly"),
    ("application/vnd.in-toto", "an attestation, not WebAssembly"),
];
const PROXY_PLUGIN: &str = "a proxy-wasm plugin, which runs inside a proxy and not as a pod";
const SPIN_APP: &str = "a Spin application, a packaging that this version does not run yet";
const COMPAT: &str = "a wasm image for another platform (crun's \"compat\" form) whose entry point names no .wasm file; build it for platform wasi/wasm";
const NO_LAYOUT: &str = "a wasm image of an unknown layout; expected layers of tar, or one of wasm";

/// What the artifact is, to stand after `"X" is `.
pub(super) fn describe(manifest: &Manifest, config: &ImageConfig) -> String {
    if config.spin_lock_version.is_some() {
        return SPIN_APP.to_owned();
    }
    by_type(manifest)
        .or_else(|| by_image(manifest, config))
        .or_else(|| by_layers(manifest))
        .unwrap_or_else(|| unknown(manifest))
}

fn by_type(manifest: &Manifest) -> Option<String> {
    let types: Vec<&str> = manifest
        .artifact_type
        .as_deref()
        .into_iter()
        .chain([manifest.config.media_type.as_str()])
        .chain(manifest.layers.iter().map(|layer| layer.media_type.as_str()))
        .collect();
    let known = |start: &str| types.iter().any(|t| t.starts_with(start));
    BY_TYPE.iter().find(|(start, _)| known(start)).map(|(_, what)| (*what).to_owned())
}

/// Container images: by their annotations, else by their platform.
fn by_image(manifest: &Manifest, config: &ImageConfig) -> Option<String> {
    if !is_image(manifest) {
        return None;
    }
    let platform = config.platform();
    if platform.is_wasm() {
        return Some(NO_LAYOUT.to_owned());
    }
    if compat::is_marked(manifest, config) {
        return Some(COMPAT.to_owned());
    }
    if platform.os.is_empty() {
        return Some("a container image without a platform, not WebAssembly".to_owned());
    }
    Some(format!("for {}, not WebAssembly", platform.label()))
}

/// Wasm layers in a shape that none of the packagings allows.
fn by_layers(manifest: &Manifest) -> Option<String> {
    let wasm = [artifact::LAYER, krustlet::LAYER, COMPONENT_LAYER];
    if !manifest.layers.iter().any(|l| wasm.contains(&l.media_type.as_str())) {
        return None;
    }
    let config = shown(&manifest.config.media_type);
    let layers = manifest.layers.len();
    Some(format!(
        "a wasm artifact of an unknown layout ({layers} layers, configuration {config}); expected one layer of wasm and configuration {}",
        artifact::CONFIG
    ))
}

fn unknown(manifest: &Manifest) -> String {
    let named = manifest
        .artifact_type
        .as_deref()
        .into_iter()
        .chain([manifest.config.media_type.as_str()])
        .find(|t| !t.is_empty());
    let named = named.map_or_else(|| "an unknown type".to_owned(), |t| format!("type {}", shown(t)));
    format!("an artifact of {named}, not WebAssembly")
}
