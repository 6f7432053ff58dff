//! An empty directory that lives as long as the pod.

use std::io;
use std::path::Path;

use wasmnode_logs::beneath::{Owner, Root};

/// Anyone in the pod may write, as in the kubelet's.
const MODE: u32 = 0o777;

/// Creates the directory; what is in it already stays.
pub(super) fn set_up(volumes: &Root, name: &str, owner: Owner) -> io::Result<()> {
    volumes.create_dirs_for(Path::new(name), MODE, owner).map(drop)
}
