//! The verb behind `just docs`: writes the generated pages, so that they cannot differ from the code.

use std::path::{Path, PathBuf};

use crate::config::reference;

/// The pages with their contents.
fn pages() -> [(&'static str, String); 2] {
    [("configuration.md", reference::markdown()), ("pods.md", wasmnode_core::desired::fields::markdown())]
}

/// Writes them below `dir`.
pub(crate) fn write(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let write = |(name, text): (&str, String)| {
        let path = dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    pages().into_iter().map(write).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn generated_pages_are_up_to_date() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (name, text) in pages() {
            let written = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
            assert!(written == text, "docs/{name} is stale: run `just docs`");
        }
    }
}
