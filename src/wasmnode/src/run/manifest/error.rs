//! What can be wrong with a file of objects.

use std::path::PathBuf;

/// One line that names the file, the line in it and the field.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {problem}", path.display())]
    Wrong { path: PathBuf, line: u64, problem: String },
    #[error("{} holds no Pod, Deployment or Job: there is nothing to run", path.display())]
    Empty { path: PathBuf },
}
