//! Compiled code where a group can read it.
//!
//! The agent's store is closed to runners. What a group uses is linked into its own directory, so that the number of
//! links of a file in the store tells whether anybody uses it; where a link cannot be made (another file system,
//! `fs.protected_hardlinks`) it is copied. The directory is root's: a runner loads machine code from nowhere else.

use std::collections::HashSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wasmnode_provider_api::{Artifact, Error, StartFailure};

/// Entries of a group's directory that are looked at, per engine.
const MAX_ENTRIES: usize = 65_536;

/// Makes names of temporary files unique within the process; the directory has one agent.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where the group has that code.
pub(crate) fn path(code: &Path, artifact: &Artifact) -> Result<PathBuf, Error> {
    let hex = artifact.digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::Malformed(format!("artifact.digest {:?} is no sha256 digest", artifact.digest)));
    }
    Ok(code.join(artifact.engine.as_str()).join(format!("{hex}.cwasm")))
}

/// Puts the artifact's file at `to`, unless it is there. Blocks.
pub(crate) fn offer(artifact: &Artifact, to: &Path) -> Result<(), Error> {
    offer_file(&artifact.path, to).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::Start(StartFailure::Stale(format!("{}: {e}", artifact.path.display()))),
        _ => Error::Failed(format!("code {} cannot be given to the runner: {e}", artifact.digest)),
    })
}

fn offer_file(from: &Path, to: &Path) -> io::Result<()> {
    let wanted = fs::metadata(from)?;
    if fs::symlink_metadata(to).is_ok_and(|there| is_same(&there, &wanted)) {
        return Ok(());
    }
    let directory = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dirs(directory)?;
    let beside = directory.join(format!(".{}.new", NEXT.fetch_add(1, Ordering::Relaxed)));
    remove(&beside)?;
    if fs::hard_link(from, &beside).is_err() {
        copy(from, &wanted, &beside)?;
    }
    fs::rename(&beside, to)?;
    // Renaming one link of a file over another does nothing.
    remove(&beside)
}

/// A copy carries the time of what it was copied from.
fn is_same(there: &Metadata, wanted: &Metadata) -> bool {
    let linked = (there.dev(), there.ino()) == (wanted.dev(), wanted.ino());
    let copied =
        (there.len(), there.mtime(), there.mtime_nsec()) == (wanted.len(), wanted.mtime(), wanted.mtime_nsec());
    there.is_file() && (linked || copied)
}

fn copy(from: &Path, wanted: &Metadata, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
    io::copy(&mut source, &mut target)?;
    target.set_permissions(Permissions::from_mode(0o444))?;
    target.set_modified(wanted.modified()?)
}

/// Each readable for the group, whatever the umask.
fn make_dirs(directory: &Path) -> io::Result<()> {
    let engines = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    for made in [engines, directory] {
        super::files::make_dir(made, 0o755)?;
    }
    Ok(())
}

/// Removes what is not among `used`; best effort, since the next pass finds what is left. The directory itself stays:
/// landlock lets a live runner read below this very inode, not below another one of the same name. Blocks.
pub(crate) fn collect(code: &Path, used: &HashSet<PathBuf>) -> io::Result<()> {
    for engine in entries(code)? {
        for file in entries(&engine)? {
            if !used.contains(&file) {
                remove(&file)?;
            }
        }
        // Fails where something is left.
        let _kept = fs::remove_dir(&engine);
    }
    Ok(())
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read?.take(MAX_ENTRIES).map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    super::record::remove(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmnode_provider_api::{ArtifactKind, EngineId, EngineName};

    use super::*;

    fn artifact(path: PathBuf) -> Artifact {
        Artifact {
            digest: format!("sha256:{}", "a".repeat(64)),
            engine: EngineId::new("e".repeat(64)).unwrap(),
            engine_name: EngineName::Base,
            kind: ArtifactKind::Module,
            path,
        }
    }

    #[test]
    fn a_link_follows_the_store_and_goes_when_nobody_uses_it() {
        let top = tempfile::tempdir().unwrap();
        let (stored, code) = (top.path().join("stored"), top.path().join("code"));
        fs::write(&stored, "one").unwrap();
        let artifact = artifact(stored.clone());
        let to = path(&code, &artifact).unwrap();
        for _ in 0..2 {
            offer(&artifact, &to).unwrap();
            assert_eq!(fs::metadata(&stored).unwrap().nlink(), 2);
        }
        // Compiled again: another file of the same name.
        fs::remove_file(&stored).unwrap();
        fs::write(&stored, "two").unwrap();
        offer(&artifact, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"two");
        collect(&code, &HashSet::from([to.clone()])).unwrap();
        assert!(to.exists());
        let inode = fs::metadata(&code).unwrap().ino();
        collect(&code, &HashSet::new()).unwrap();
        assert!(entries(&code).unwrap().is_empty());
        assert_eq!(fs::metadata(&code).unwrap().ino(), inode, "a live runner may read below it and nowhere else");
        assert_eq!(fs::metadata(&stored).unwrap().nlink(), 1);
    }

    #[test]
    fn a_copy_is_made_once_and_for_each_new_content() {
        let top = tempfile::tempdir().unwrap();
        let (stored, to) = (top.path().join("stored"), top.path().join("copy"));
        fs::write(&stored, "one").unwrap();
        copy(&stored, &fs::metadata(&stored).unwrap(), &to).unwrap();
        let (there, wanted) = (fs::metadata(&to).unwrap(), fs::metadata(&stored).unwrap());
        assert!(is_same(&there, &wanted));
        assert_eq!(there.mode() & 0o777, 0o444);
        fs::write(&stored, "longer").unwrap();
        assert!(!is_same(&there, &fs::metadata(&stored).unwrap()));
    }

    #[test]
    fn refuses_names_that_leave_the_directory_and_tells_what_is_gone() {
        let mut artifact = artifact("/nowhere/at/all".into());
        let gone = offer(&artifact, Path::new("/nowhere/else/x"));
        assert!(matches!(gone, Err(Error::Start(StartFailure::Stale(_)))), "{gone:?}");
        for digest in ["", "sha256:", "sha256:../../x", "md5:00"] {
            artifact.digest = digest.to_owned();
            assert!(path(Path::new("/c"), &artifact).is_err(), "{digest}");
        }
    }
}
