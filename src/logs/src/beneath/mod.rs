//! Files below a directory that someone else may write to.
//!
//! A pod's directories belong to the user of its isolation group. A runner that a guest took over can plant
//! symbolic links, FIFOs and endless trees there, and the agent, which is root, must neither follow nor block nor
//! overflow. So paths are resolved by the kernel relative to a [`Root`] with `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`, only regular files are opened, and reads are bounded. Checking a path first and opening
//! it afterwards was rejected: the answer can change in between.

mod owner;
mod remove;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

pub use owner::Owner;

/// A directory below which untrusted paths are resolved.
#[derive(Debug)]
pub struct Root(OwnedFd);

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

// O_NONBLOCK so that opening a FIFO returns; regular files ignore it.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

const OPEN_DIR: OFlags = OFlags::CLOEXEC.union(OFlags::DIRECTORY).union(OFlags::RDONLY);

// === impl Root ===

impl Root {
    /// Opens `path`, which must be trusted: its own links are followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, OPEN_DIR, Mode::empty()).map_err(|e| named(e.into(), path))?;
        Ok(Self(fd))
    }

    /// Opens the directory `relative`.
    pub fn dir(&self, relative: &Path) -> io::Result<Self> {
        Ok(Self(self.openat(relative, OPEN_DIR, Mode::empty())?))
    }

    /// Opens the regular file `relative` for reading.
    pub fn file(&self, relative: &Path) -> io::Result<File> {
        self.regular(relative, OFlags::RDONLY, Mode::empty())
    }

    /// Creates the file `relative`, which must not exist, with exactly `mode` and opens it for writing.
    pub fn create(&self, relative: &Path, mode: u32) -> io::Result<File> {
        let file = self.regular(relative, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(mode))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// Opens the file `relative` for reading and appending and creates it with `mode`, less the umask, if need be.
    pub fn append(&self, relative: &Path, mode: u32) -> io::Result<File> {
        self.regular(relative, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE, Mode::from_raw_mode(mode))
    }

    /// Creates the directory `relative` and the missing ones above it, each with exactly `mode`.
    pub fn create_dirs(&self, relative: &Path, mode: u32) -> io::Result<Self> {
        self.create_dirs_for(relative, mode, Owner::CALLER)
    }

    /// Creates the directory `relative` and the missing ones above it, each with exactly `mode` and for that owner.
    /// Those that the caller owns already are handed over, too: they may be from before a crash.
    pub fn create_dirs_for(&self, relative: &Path, mode: u32, owner: Owner) -> io::Result<Self> {
        let mut current = Self(self.0.try_clone()?);
        for part in parts(relative)? {
            current = current.create_dir(Path::new(part), Mode::from_raw_mode(mode))?;
            current.hand_over(owner)?;
        }
        Ok(current)
    }

    /// The whole file `relative`; an error of kind [`io::ErrorKind::FileTooLarge`] when it has more than `max` bytes.
    pub fn read(&self, relative: &Path, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(relative)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            let message = format!("{} is larger than {max} bytes", relative.display());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    /// The last `max` bytes of the file `relative`, or all of it.
    pub fn read_last(&self, relative: &Path, max: u64) -> io::Result<Vec<u8>> {
        let mut file = self.file(relative)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(max)))?;
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Deletes the file, link or tree `relative`; one that does not exist is no error. Links are not followed and
    /// other file systems mounted below are not entered: that is an error of kind
    /// [`io::ErrorKind::CrossesDevices`]. Directories too deep to hold open are moved up first.
    pub fn remove_tree(&self, relative: &Path) -> io::Result<()> {
        remove::tree(self, relative).map_err(|e| named(e, relative))
    }

    /// Removes the directory `relative` if it is empty. Whether it is gone now.
    pub fn remove_empty(&self, relative: &Path) -> io::Result<bool> {
        remove::empty(self, relative).map_err(|e| named(e, relative))
    }

    /// Names of at most `max` entries; an error of kind [`io::ErrorKind::InvalidData`] when there are more. Names
    /// that are not UTF-8 are left out.
    pub fn names(&self, max: usize) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(_) if names.len() == max => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("more than {max} directory entries"),
                    ));
                }
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn create_dir(&self, name: &Path, mode: Mode) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, mode) {
            Ok(()) => {
                let dir = self.dir(name)?;
                rustix::fs::fchmod(&dir.0, mode)?;
                Ok(dir)
            }
            Err(rustix::io::Errno::EXIST) => self.dir(name),
            Err(e) => Err(named(e.into(), name)),
        }
    }

    fn regular(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
        let fd = self.openat(relative, flags | OPEN, mode)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::RegularFile {
            return Ok(File::from(fd));
        }
        let message = format!("{} is not a regular file", relative.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    fn openat(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        parts(relative)?;
        rustix::fs::openat2(&self.0, relative, flags, mode, RESOLVE).map_err(|e| named(e.into(), relative))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The names that make up `relative`. The kernel refuses to leave the root anyway; refusing `..` here makes the
/// message clear and keeps the kernel's "try again" answer, which only `..` can cause, out of every caller.
fn parts(relative: &Path) -> io::Result<Vec<&std::ffi::OsStr>> {
    let names: Option<Vec<_>> =
        relative.components().map(|c| if let Component::Normal(name) = c { Some(name) } else { None }).collect();
    names.filter(|n| !n.is_empty()).ok_or_else(|| {
        let message = format!("{:?} is not a path below a directory", relative.display().to_string());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
