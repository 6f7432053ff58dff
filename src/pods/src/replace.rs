//! Small files of the agent's, each written as a whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use wasmnode_logs::beneath::Root;

/// Mode of the agent's files.
const MODE: u32 = 0o640;

/// Writes the file `name` in a directory of the agent's, whatever is there. A reader finds the old content or the new
/// one. Not synced: after a crash of the machine the file is one of what had happened before.
pub(crate) fn replace(directory: &Root, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    directory.remove_tree(Path::new(&temporary))?;
    directory.create(Path::new(&temporary), MODE)?.write_all(bytes)?;
    Ok(rustix::fs::renameat(directory, temporary.as_str(), directory, name)?)
}
