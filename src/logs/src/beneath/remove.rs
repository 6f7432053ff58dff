//! Deleting a tree that may be hostile: deep, wide, full of links, or growing.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, ResolveFlags, fchmod, fchown, fstat, openat2, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{OPEN_DIR, RESOLVE, Root};

/// Directories held open at the same time. Deeper ones are moved to the top of the tree, so that a tree of any
/// depth needs no more descriptors than this.
const MAX_DEPTH: usize = 32;

/// How often a directory may be found non-empty again after it was emptied. Only a process that still writes there
/// causes that; the caller tries again when it is gone.
const MAX_REFILLS: u32 = 64;

struct Removal {
    /// Open directories from the top down, each with its name in the one before.
    stack: Vec<(OwnedFd, CString)>,
    moved: u32,
    refills: u32,
}

/// Removes the directory `relative` unless something is in it. Whether it is gone.
pub(super) fn empty(root: &Root, relative: &Path) -> io::Result<bool> {
    let Some((parent, name)) = locate(root, relative)? else { return Ok(true) };
    match unlinkat(&parent, name.as_c_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

pub(super) fn tree(root: &Root, relative: &Path) -> io::Result<()> {
    let Some((parent, name)) = locate(root, relative)? else { return Ok(()) };
    if remove_entry(&parent, &name)? {
        return Ok(());
    }
    let top = open_dir(&parent, &name)?;
    Removal { stack: vec![(top, name)], moved: 0, refills: 0 }.run(&parent)
}

/// The directory that holds the last element of `relative`, and that element's name. None: there is no such directory.
fn locate(root: &Root, relative: &Path) -> io::Result<Option<(OwnedFd, CString)>> {
    let parent = match relative.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => match root.dir(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?.0,
        },
        None => root.0.try_clone()?,
    };
    let name = relative.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Some((parent, CString::new(name.as_encoded_bytes())?)))
}

// === impl Removal ===

impl Removal {
    fn run(mut self, parent: &OwnedFd) -> io::Result<()> {
        while let Some((current, _)) = self.stack.last() {
            match remove_files(current)? {
                Some(directory) => self.enter(directory)?,
                None => self.leave(parent)?,
            }
        }
        Ok(())
    }

    /// Opens a subdirectory of the innermost one, or moves it up when the stack is full.
    fn enter(&mut self, name: CString) -> io::Result<()> {
        let (Some((current, _)), Some((top, _))) = (self.stack.last(), self.stack.first()) else { return Ok(()) };
        if self.stack.len() < MAX_DEPTH {
            let directory = open_dir(current, &name)?;
            self.stack.push((directory, name));
            return Ok(());
        }
        self.moved += 1;
        let target = format!(".moved-{}", self.moved);
        match renameat(current, name.as_c_str(), top, target.as_str()) {
            // Taken already: the next round tries the next number.
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the innermost directory, which was found empty.
    fn leave(&mut self, parent: &OwnedFd) -> io::Result<()> {
        let Some((directory, name)) = self.stack.pop() else { return Ok(()) };
        let above = self.stack.last().map_or(parent, |(fd, _)| fd);
        match unlinkat(above, name.as_c_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY) if self.refills < MAX_REFILLS => {
                self.refills += 1;
                self.stack.push((directory, name));
                Ok(())
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// Removes everything in `directory` up to the first subdirectory that is not empty, and returns that one's name.
fn remove_files(directory: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !remove_entry(directory, name)? {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes a file, a link or an empty directory. `false`: it is a directory with something in it.
fn remove_entry(directory: impl AsFd, name: &CStr) -> io::Result<bool> {
    let directory = directory.as_fd();
    let result = match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        other => other,
    };
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn open_dir(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    // Never into another file system: what is mounted there is not part of the tree.
    let directory = openat2(parent, name, OPEN_DIR, Mode::empty(), RESOLVE | ResolveFlags::NO_XDEV)?;
    seize(&directory)?;
    Ok(directory)
}

/// Nobody else may make anything in a directory that is being emptied, not even who holds it open.
fn seize(directory: &OwnedFd) -> io::Result<()> {
    let stat = fstat(directory)?;
    let own = geteuid();
    let sealed = |result: rustix::io::Result<()>| match result {
        // Without privileges whoever it belongs to keeps it, and it is emptied as it is.
        Err(Errno::PERM) => Ok(()),
        result => result,
    };
    if stat.st_uid != own.as_raw() {
        sealed(fchown(directory, Some(own), None))?;
    }
    if stat.st_mode & 0o7777 != 0o700 {
        sealed(fchmod(directory, Mode::RWXU))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::beneath::Owner;

    #[test]
    fn a_directory_that_is_emptied_is_nobody_elses() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("theirs");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1777)).unwrap();
        // Without privileges it stays the caller's.
        let _ = Owner::user(Some(1_900_000_000)).give(std::fs::File::open(&path).unwrap());
        let held = std::fs::File::open(&path).unwrap();
        let root = Root::open(top.path()).unwrap();
        open_dir(&root.0, c"theirs").unwrap();
        let metadata = held.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (geteuid().as_raw(), 0o700));
    }
}
