//! Deleting a tree that may be hostile: deep, wide, full of links, or growing.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, ResolveFlags, openat2, renameat, unlinkat};
use rustix::io::Errno;

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
    Ok(openat2(parent, name, OPEN_DIR, Mode::empty(), RESOLVE | ResolveFlags::NO_XDEV)?)
}
