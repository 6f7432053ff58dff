//! Which entry of a multi-platform index is ours.
//!
//! Producers never agreed on an operating system for wasm, so the order goes from the most precise
//! name to any. It is no statement about what the entry needs: tools write `wasip2` for WASI 0.3
//! components too, which is why the engine is chosen from the wasm itself.

use crate::digest::Digest;
use crate::manifest::{Index, IndexEntry, Platform};
use crate::packaging::ARTIFACT_CONFIG;

/// os and architecture, best first.
const ORDER: [(&str, &str); 4] = [("wasip2", "wasm"), ("wasip1", "wasm"), ("wasi", "wasm"), ("wasi", "wasm32")];
/// Platforms named in a refusal; an index may hold thousands.
const MAX_NAMED: usize = 8;
const LINUX: &str = "linux";
/// As images name it.
#[cfg(target_arch = "x86_64")]
const MACHINE: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const MACHINE: &str = "arm64";
/// What buildx writes for attestations, which are no images.
const UNKNOWN: &str = "unknown";

/// The manifest for this node.
///
/// # Errors
/// What the index is for instead, to stand after `"X" is `.
pub(crate) fn choose(index: &Index) -> Result<Digest, String> {
    let by_platform = ORDER.iter().find_map(|(os, arch)| find(index, |p| p.os == *os && p.architecture == *arch));
    by_platform
        .or_else(|| find(index, Platform::is_wasm))
        .or_else(|| index.manifests.iter().find(|entry| is_artifact(entry)))
        .map(|entry| entry.digest)
        .ok_or_else(|| describe(index))
}

/// The manifest that a container runtime would take on this machine. Of an index without wasm it may be an image that
/// says itself that it is some.
pub(crate) fn native(index: &Index) -> Option<Digest> {
    find(index, |p| p.os == LINUX && p.architecture == MACHINE).map(|entry| entry.digest)
}

fn find(index: &Index, wanted: impl Fn(&Platform) -> bool) -> Option<&IndexEntry> {
    index.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(&wanted))
}

/// An artifact may stand in an index without a platform; its type then says that it is wasm.
fn is_artifact(entry: &IndexEntry) -> bool {
    entry.artifact_type.as_deref() == Some(ARTIFACT_CONFIG)
}

fn describe(index: &Index) -> String {
    let mut labels: Vec<_> = index
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|platform| platform.os != UNKNOWN)
        .map(Platform::label)
        .collect();
    labels.sort();
    labels.dedup();
    if labels.is_empty() {
        return "an index without a platform, not WebAssembly".to_owned();
    }
    let more = if labels.len() > MAX_NAMED { " and others" } else { "" };
    labels.truncate(MAX_NAMED);
    format!("for {}{more}, not WebAssembly", labels.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mk_index(platforms: &[&str]) -> Index {
        let entry = |label: &&str| IndexEntry {
            digest: Digest::of(label.as_bytes()),
            artifact_type: None,
            platform: label
                .split_once('/')
                .map(|(os, architecture)| Platform { os: os.to_owned(), architecture: architecture.to_owned() }),
        };
        Index { manifests: platforms.iter().map(entry).collect() }
    }

    #[test]
    fn the_most_precise_platform_wins() {
        let cases: [(&[&str], &str); 6] = [
            (&["linux/amd64", "wasi/wasm"], "wasi/wasm"),
            (&["wasi/wasm", "wasip1/wasm", "wasip2/wasm"], "wasip2/wasm"),
            (&["wasi/wasm32", "wasi/wasm"], "wasi/wasm"),
            (&["linux/arm64", "wasi/wasm32"], "wasi/wasm32"),
            (&["linux/amd64", "plan9/wasm64"], "plan9/wasm64"),
            (&["unknown/unknown", "wasip1/wasm"], "wasip1/wasm"),
        ];
        for (platforms, expected) in cases {
            let chosen = choose(&mk_index(platforms)).unwrap();
            assert_eq!(chosen, Digest::of(expected.as_bytes()), "{platforms:?}");
        }
    }

    #[test]
    fn an_index_without_wasm_says_what_it_is_for() {
        let many: Vec<String> = (0..20).map(|n| format!("os{n:02}/x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let cases: [(&[&str], &str); 5] = [
            (&["linux/amd64"], "for linux/amd64, not WebAssembly"),
            (&["linux\n\u{1b}[2J/amd64"], "for linux[2J/amd64, not WebAssembly"),
            (
                &["linux/arm64", "linux/amd64", "unknown/unknown", "linux/amd64"],
                "for linux/amd64, linux/arm64, not WebAssembly",
            ),
            (&[], "an index without a platform, not WebAssembly"),
            (&many, "for os00/x, os01/x, os02/x, os03/x, os04/x, os05/x, os06/x, os07/x and others, not WebAssembly"),
        ];
        for (platforms, expected) in cases {
            assert_eq!(choose(&mk_index(platforms)).unwrap_err(), expected);
        }
    }
}
