//! Walks `tests/golden/<kind>/<producer>/`: `manifest.json` and `config.json` as the producer
//! wrote them, `expected.json` what must come of it. A new folder is a new test.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Content, Layout};
use crate::digest::Digest;
use crate::image::RunConfig;
use crate::manifest::{Document, ImageConfig};
use crate::platform;

/// One of `wasm`, `layers`, `platform` and `refused` is set.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Expected {
    wasm: Option<Digest>,
    title: Option<String>,
    layers: Vec<Digest>,
    diff_ids: Vec<Digest>,
    #[serde(flatten)]
    config: RunConfig,
    /// The entry chosen from an index.
    platform: Option<Digest>,
    /// What stands after `"X" is `.
    refused: Option<String>,
}

fn classify(folder: &Path) -> Expected {
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    let config = fs::read(folder.join("config.json")).unwrap_or_default();
    let outcome = match Document::parse(&manifest).unwrap() {
        Document::Index(index) => {
            platform::choose(&index).map(|d| Expected { platform: Some(d), ..Expected::default() })
        }
        Document::Manifest(manifest) => super::recognise(&manifest, &ImageConfig::parse(&config)).map(expect),
    };
    outcome.unwrap_or_else(|what| Expected { refused: Some(what), ..Expected::default() })
}

fn expect(Layout { content, config }: Layout) -> Expected {
    let title = content.title();
    match content {
        Content::Wasm(wasm) => Expected { wasm: Some(wasm.digest), title, config, ..Expected::default() },
        Content::Root { layers, diff_ids } => {
            let layers = layers.into_iter().map(|layer| layer.digest).collect();
            Expected { layers, diff_ids, config, ..Expected::default() }
        }
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[test]
fn every_golden_manifest_is_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases: Vec<_> = folders(&root).iter().flat_map(|kind| folders(kind)).collect();
    assert!(cases.len() >= 15, "only {} golden manifests found", cases.len());
    for folder in cases {
        let text = fs::read(folder.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_slice(&text).unwrap();
        assert_eq!(classify(&folder), expected, "{}", folder.display());
    }
}
