//! Paths inside an unpacked image.
//!
//! Names come from layers and from pods, links from layers: both may be hostile. Every path is resolved by the
//! kernel with the image's root as `/` (`RESOLVE_IN_ROOT`), so that a link to `/etc` or `../..` is one inside the
//! image, exactly as the guest's own file system would have it. Resolving a path first and using it afterwards was
//! rejected: so is following links by hand.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Directories above each other. Removing and copying hold a descriptor a level.
const MAX_DEPTH: usize = 128;
/// PATH_MAX.
const MAX_PATH: usize = 4096;
/// The kernel says "try again" when anything was renamed while it resolved `..`.
const MAX_TRIES: usize = 128;
const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);
// O_NONBLOCK so that opening a FIFO returns; regular files ignore it.
const OPEN_FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const OPEN_DIR: OFlags = OFlags::CLOEXEC.union(OFlags::DIRECTORY);
const DIR_MODE: u32 = 0o755;

/// An image's root.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    depth: usize,
}

/// `name` as a path below the root, without `/` at its start and without `.` in between; empty for the root itself.
///
/// # Errors
/// When it leads upwards, or is longer or deeper than any real one.
pub(crate) fn clean(name: &[u8]) -> Result<PathBuf, String> {
    let shown = || String::from_utf8_lossy(&name[..name.len().min(100)]).into_owned();
    if name.len() > MAX_PATH || name.contains(&0) {
        return Err(format!("the name {:?}… is no path", shown()));
    }
    let mut path = PathBuf::new();
    let parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    for (depth, part) in parts.enumerate() {
        if part == b".." {
            return Err(format!("the name {:?} leads out of the image", shown()));
        }
        if depth == MAX_DEPTH {
            return Err(format!("the name {:?}… has more than {MAX_DEPTH} parts", shown()));
        }
        path.push(OsStr::from_bytes(part));
    }
    Ok(path)
}

/// A path through the descriptor of a directory, for what only takes paths; without `name` the descriptor's own.
pub(crate) fn through(dir: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    let dir = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
    // A slash at the end would be of the directory, not of the link to it.
    if name.is_empty() { dir } else { dir.join(name) }
}

// === impl Tree ===

impl Tree {
    /// Opens the directory `root`, which is the agent's own.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(root, OPEN_DIR, Mode::empty())?;
        let depth = depth(root.as_fd())?;
        Ok(Self { root, depth })
    }

    /// Opens a directory, through links.
    pub(crate) fn dir(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_at(path, OPEN_DIR)
    }

    /// Opens a regular file for reading, through links. `path` may hold `..`, which ends at the root.
    pub(crate) fn file(&self, path: &Path) -> io::Result<File> {
        let file = self.open_at(path, OPEN_FILE)?;
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// Opens a directory, through links, and makes what is missing of it.
    pub(crate) fn make_dirs(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut current = match self.dir(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => self.dir(Path::new(""))?,
            found => return found,
        };
        let mut walked = PathBuf::new();
        for part in path {
            walked.push(part);
            current = match self.dir(&walked) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {
                    self.make_dir(current.as_fd(), part)?;
                    self.dir(&walked)?
                }
                found => found?,
            };
        }
        Ok(current)
    }

    /// Makes one directory. Links may have led to `parent`, so that its depth is not that of any name.
    pub(crate) fn make_dir(&self, parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        if depth(parent)?.saturating_sub(self.depth) >= MAX_DEPTH {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MAX_DEPTH} directories deep")));
        }
        Ok(rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(DIR_MODE))?)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        for _ in 0..MAX_TRIES {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), RESOLVE) {
                Err(Errno::AGAIN) => {}
                opened => return Ok(opened?),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// Names in the absolute path of a directory.
fn depth(dir: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(std::fs::read_link(through(dir, OsStr::new("")))?.components().count())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        let deep = "a/".repeat(MAX_DEPTH + 1);
        let long = "a".repeat(MAX_PATH + 1);
        for (name, expected) in [("a/b", "a/b"), ("/a//./b/", "a/b"), ("./", ""), ("", ""), ("a..b", "a..b")] {
            assert_eq!(clean(name.as_bytes()).unwrap(), Path::new(expected), "{name}");
        }
        for bad in ["..", "../a", "a/../b", "/..", "a\0b", &deep, &long] {
            assert!(clean(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_lead_inside() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(top.path().join("secret"), "outside").unwrap();
        std::fs::write(root.join("secret"), "inside").unwrap();
        for (link, target) in [("a", "/secret"), ("b", "../../secret"), ("etc/c", "../../../../secret"), ("d", "etc")] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink("/proc/self/fd", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let tree = Tree::open(&root).unwrap();
        for path in ["secret", "a", "b", "etc/c", "d/c", "../secret", "etc/../../../secret"] {
            let mut text = String::new();
            tree.file(Path::new(path)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{path}");
        }
        for path in ["magic/0", "loop", "missing", "etc", ""] {
            assert!(tree.file(Path::new(path)).is_err(), "{path}");
        }
        tree.make_dirs(Path::new("d/x/y")).unwrap();
        assert!(root.join("etc/x/y").is_dir());
    }

    #[test]
    fn links_do_not_make_it_deeper() {
        let top = tempfile::tempdir().unwrap();
        let tree = Tree::open(top.path()).unwrap();
        let half: PathBuf = std::iter::repeat_n("d", MAX_DEPTH - 1).collect();
        tree.make_dirs(&half).unwrap();
        symlink(&half, top.path().join("link")).unwrap();
        tree.make_dirs(Path::new("link/x")).unwrap();
        let err = tree.make_dirs(Path::new("link/x/y")).unwrap_err();
        assert!(err.to_string().contains("deep"), "{err}");
    }
}
