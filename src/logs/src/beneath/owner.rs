//! Whom files belong to. Set through descriptors of what was just made, never by a path: of two users of a directory
//! the other one decides what a name stands for.

use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchown, fstat, statat};

use super::{OPEN_DIR, RESOLVE, Root};

/// Directories above each other that [`Root::chown_tree`] enters.
const MAX_DEPTH: usize = 256;

/// Whom something is made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// User id; none: the caller's.
    pub user: Option<u32>,
    /// Group id; none: the caller's.
    pub group: Option<u32>,
}

// === impl Owner ===

impl Owner {
    /// Whoever runs this: nothing is changed.
    pub const CALLER: Self = Self { user: None, group: None };

    /// A user and the group of the same number; none: the caller.
    pub fn user(id: Option<u32>) -> Self {
        Self { user: id, group: id }
    }

    /// The caller, with that group; none: the caller's group.
    pub fn group(id: Option<u32>) -> Self {
        Self { user: None, group: id }
    }

    /// Gives away what `file` is open on, which the caller must have made: a file that was found may be another one's,
    /// by a hard link. Nothing is done for [`Owner::CALLER`].
    ///
    /// # Errors
    /// When the caller may not.
    pub fn give(self, file: impl AsFd) -> io::Result<()> {
        if self == Self::CALLER {
            return Ok(());
        }
        Ok(fchown(file, self.uid(), self.gid())?)
    }

    /// Whether a file is that owner's; the caller's are whatever they are.
    pub fn owns(self, metadata: &Metadata) -> bool {
        self.user.is_none_or(|user| user == metadata.uid()) && self.group.is_none_or(|group| group == metadata.gid())
    }

    fn is_of(self, stat: &Stat) -> bool {
        self.user.is_none_or(|user| user == stat.st_uid) && self.group.is_none_or(|group| group == stat.st_gid)
    }

    fn uid(self) -> Option<Uid> {
        self.user.map(Uid::from_raw)
    }

    fn gid(self) -> Option<Gid> {
        self.group.map(Gid::from_raw)
    }
}

// === impl Root ===

impl Root {
    /// Group id of the directory.
    pub fn group(&self) -> io::Result<u32> {
        Ok(fstat(self)?.st_gid)
    }

    /// Changes the mode of the directory itself.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(self, Mode::from_raw_mode(mode))?)
    }

    /// Gives the directory itself away, if it is the caller's. A directory, unlike a file, is not a link to someone
    /// else's.
    pub fn hand_over(&self, owner: Owner) -> io::Result<()> {
        if owner == Owner::CALLER {
            return Ok(());
        }
        let stat = fstat(self)?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if is_ours && !owner.is_of(&stat) { owner.give(self) } else { Ok(()) }
    }

    /// Gives everything below the directory `relative` away, itself included, links themselves and not what they lead
    /// to. Only for trees that nobody but the caller could write to so far.
    ///
    /// # Errors
    /// When the caller may not, or the tree is deeper than any real one.
    pub fn chown_tree(&self, relative: &Path, owner: Owner) -> io::Result<()> {
        chown_below(&self.dir(relative)?, owner, 0)
    }
}

fn chown_below(directory: &Root, owner: Owner, depth: usize) -> io::Result<()> {
    if depth == MAX_DEPTH {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "more directories above each other than can be handed over",
        ));
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OPEN_DIR | OFlags::NOFOLLOW;
            let below = rustix::fs::openat2(directory, name, flags, Mode::empty(), RESOLVE)?;
            chown_below(&Root(below), owner, depth + 1)?;
        } else {
            chownat(directory, name, owner.uid(), owner.gid(), AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    owner.give(directory)
}
