//! Walks `tests/golden/<kind>/<producer>/`: `manifest.json` and `config.json` as the producer
//! wrote them, `expected.json` what must come of it. A new folder is a new test.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::digest::Digest;
use crate::manifest::{Document, ImageConfig};
use crate::platform;

/// Exactly one of the fields is set.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    wasm: Option<Digest>,
    title: Option<String>,
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
        Document::Manifest(manifest) => super::recognise(&manifest, &ImageConfig::parse(&config)).map(|layout| {
            Expected { wasm: Some(layout.wasm.digest), title: layout.wasm.title(), ..Expected::default() }
        }),
    };
    outcome.unwrap_or_else(|what| Expected { refused: Some(what), ..Expected::default() })
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(parent).unwrap().map(|e| e.unwrap().path()).collect();
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
