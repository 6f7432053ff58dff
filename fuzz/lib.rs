//! What the targets share.

use std::path::Path;

/// Writes a target's seeds to the directory that `SEEDS` names, from the golden manifests in `GOLDEN`: before libFuzzer
/// reads that directory. A program of its own could not be linked: instrumented code needs libFuzzer.
pub fn plant(target: &str) {
    let (Some(directory), Some(golden)) = (std::env::var_os("SEEDS"), std::env::var_os("GOLDEN")) else { return };
    for (n, seed) in wasmnode_images::fuzzing::seeds(target, Path::new(&golden)).into_iter().enumerate() {
        let path = Path::new(&directory).join(format!("seed-{n:03}"));
        if let Err(err) = std::fs::write(&path, seed) {
            panic!("write {}: {err}", path.display());
        }
    }
}
