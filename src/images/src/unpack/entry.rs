//! One entry of a layer becomes a file, a directory or a link, or removes what lower layers have.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{Entry, EntryType};

use super::Problem;
use super::stream::{Meter, Stream};
use crate::tree::{Tree, clean, through};

/// `.wh.NAME` removes NAME of the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Removes everything that the layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other notes of a layered file system to itself (aufs wrote some).
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// What files and directories keep of their modes, and what they get so that this agent can read and remove them.
const MODE_KEPT: u32 = 0o777;
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
const BUFFER: usize = 64 << 10;
/// Attributes of GNU's newer ways to store sparse files, which the tar reader would unpack as garbage.
const PAX_SPARSE: &[u8] = b"GNU.sparse.";

/// Applies the entries of one layer.
pub(super) struct Writer<'a> {
    tree: Tree,
    meter: &'a Meter<'a>,
    buffer: Vec<u8>,
}

/// Where an entry goes.
struct Place<'a> {
    path: &'a Path,
    parent: OwnedFd,
    name: &'a OsStr,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    pub(super) fn new(tree: Tree, meter: &'a Meter<'a>) -> Self {
        Self { tree, meter, buffer: vec![0; BUFFER] }
    }

    /// Applies a whiteout; other entries are not looked at.
    pub(super) fn remove(&self, entry: &Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        let path = clean(&entry.path_bytes()).map_err(Problem::Content)?;
        let (Some(parent), Some(name)) = (path.parent(), whiteout(&path)) else { return Ok(()) };
        let parent = match self.tree.dir(parent) {
            // Nothing is there that it could remove.
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
            found => found.map_err(|err| Problem::of_disk(err, "open", parent))?,
        };
        let removed = if name == OPAQUE {
            remove_all(parent.as_fd())
        } else if name.starts_with(WHITEOUT_META) {
            Ok(())
        } else {
            match &name[WHITEOUT.len()..] {
                b"" | b"." | b".." => Err(io::Error::new(io::ErrorKind::InvalidInput, "a whiteout of no name")),
                name => remove_entry(parent.as_fd(), OsStr::from_bytes(name)),
            }
        };
        removed.map_err(|err| Problem::of_disk(err, "apply", &path))
    }

    /// Writes what is no whiteout.
    pub(super) fn write(&mut self, entry: &mut Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        let kind = kind(entry);
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let path = clean(&entry.path_bytes()).map_err(Problem::Content)?;
        let Some(name) = path.file_name().filter(|_| whiteout(&path).is_none()) else { return Ok(()) };
        refuse_sparse(entry)?;
        let above = path.parent().unwrap_or(&path);
        let parent = self.tree.make_dirs(above).map_err(|err| Problem::of_disk(err, "make", above))?;
        let place = Place { path: &path, parent, name };
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.file(&place, entry),
            EntryType::Directory => self.directory(&place, entry),
            EntryType::Symlink => self.symlink(&place, entry),
            EntryType::Link => self.hard_link(&place, entry),
            // A guest of a WASI world could not use them.
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                tracing::debug!(path = %path.display(), "Left out a special file of an image");
                Ok(())
            }
            other => Err(Problem::Content(format!("{}: unknown kind of entry {:?}", path.display(), other.as_byte()))),
        }
    }

    fn file(&mut self, place: &Place<'_>, entry: &mut Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        self.meter.charge(entry.size()).map_err(Problem::Content)?;
        place.make_free()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&place.parent, place.name, flags, Mode::from_raw_mode(FILE_MODE));
        let mut file = File::from(file.map_err(|err| place.failed(err))?);
        self.copy(place, entry, &mut file)?;
        let mode = entry.header().mode().unwrap_or(FILE_MODE) & MODE_KEPT | FILE_MODE;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|err| place.failed(err))?;
        // Interpreters compare times to tell whether what they compiled is still good.
        file.set_modified(modified(entry)).map_err(|err| Problem::of_disk(err, "date", place.path))
    }

    fn copy(&mut self, place: &Place<'_>, entry: &mut impl Read, file: &mut File) -> Result<(), Problem> {
        loop {
            if self.meter.is_cancelled() {
                return Err(Problem::Content("given up".to_owned()));
            }
            let read = entry.read(&mut self.buffer).map_err(super::content)?;
            if read == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..read]).map_err(|err| Problem::of_disk(err, "write", place.path))?;
        }
    }

    fn directory(&self, place: &Place<'_>, entry: &Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        self.meter.charge(0).map_err(Problem::Content)?;
        if !place.found()?.is_some_and(|found| is(&found, FileType::Directory)) {
            place.make_free()?;
            let made = self.tree.make_dir(place.parent.as_fd(), place.name);
            made.map_err(|err| Problem::of_disk(err, "make", place.path))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&place.parent, place.name, flags, Mode::empty());
        let directory = directory.map_err(|err| place.failed(err))?;
        let mode = entry.header().mode().unwrap_or(DIR_MODE) & MODE_KEPT | DIR_MODE;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).map_err(|err| place.failed(err))
    }

    fn symlink(&self, place: &Place<'_>, entry: &Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        self.meter.charge(0).map_err(Problem::Content)?;
        let target = link_target(place, entry)?;
        place.make_free()?;
        rustix::fs::symlinkat(target.as_slice(), &place.parent, place.name).map_err(|err| place.failed(err))
    }

    fn hard_link(&self, place: &Place<'_>, entry: &Entry<'_, Stream<'_>>) -> Result<(), Problem> {
        self.meter.charge(0).map_err(Problem::Content)?;
        let target = clean(&link_target(place, entry)?).map_err(Problem::Content)?;
        let Some(name) = target.file_name() else {
            return Err(Problem::Content(format!("{}: a hard link to the root", place.path.display())));
        };
        let missing = |err| Problem::of_disk(err, "link to", &target);
        let parent = self.tree.dir(target.parent().unwrap_or(&target)).map_err(missing)?;
        let source = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|err| missing(err.into()))?;
        if is(&source, FileType::Directory) {
            return Err(Problem::Content(format!("{}: a hard link to a directory", place.path.display())));
        }
        if place.found()?.is_some_and(|found| (found.st_dev, found.st_ino) == (source.st_dev, source.st_ino)) {
            return Ok(());
        }
        place.make_free()?;
        // Without AT_SYMLINK_FOLLOW the link itself gets another name.
        let linked = rustix::fs::linkat(&parent, name, &place.parent, place.name, AtFlags::empty());
        linked.map_err(|err| missing(err.into()))
    }
}

// === impl Place ===

impl Place<'_> {
    fn found(&self) -> Result<Option<Stat>, Problem> {
        match rustix::fs::statat(&self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => found.map(Some).map_err(|err| self.failed(err)),
        }
    }

    /// Nothing is ever written through what is there: it may be a link.
    fn make_free(&self) -> Result<(), Problem> {
        remove_entry(self.parent.as_fd(), self.name).map_err(|err| Problem::of_disk(err, "replace", self.path))
    }

    fn failed(&self, err: Errno) -> Problem {
        Problem::of_disk(err.into(), "create", self.path)
    }
}

// === helpers ===

/// Old tars mark a directory by its name only.
fn kind(entry: &Entry<'_, Stream<'_>>) -> EntryType {
    match entry.header().entry_type() {
        EntryType::Regular if entry.path_bytes().ends_with(b"/") => EntryType::Directory,
        kind => kind,
    }
}

fn whiteout(path: &Path) -> Option<&[u8]> {
    Some(path.file_name()?.as_bytes()).filter(|name| name.starts_with(WHITEOUT))
}

fn refuse_sparse(entry: &mut Entry<'_, Stream<'_>>) -> Result<(), Problem> {
    let Some(extensions) = entry.pax_extensions().map_err(super::content)? else { return Ok(()) };
    for extension in extensions {
        if extension.map_err(super::content)?.key_bytes().starts_with(PAX_SPARSE) {
            return Err(Problem::Content("sparse files of this kind are not supported".to_owned()));
        }
    }
    Ok(())
}

fn link_target(place: &Place<'_>, entry: &Entry<'_, Stream<'_>>) -> Result<Vec<u8>, Problem> {
    let target = entry.link_name_bytes().filter(|target| !target.is_empty() && !target.contains(&0));
    let target = target.ok_or_else(|| Problem::Content(format!("{}: a link to nothing", place.path.display())))?;
    Ok(target.into_owned())
}

fn modified(entry: &Entry<'_, Stream<'_>>) -> SystemTime {
    let since = Duration::from_secs(entry.header().mtime().unwrap_or_default());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// Removes a file, a link or a tree; what is not there is as good.
fn remove_entry(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => fs::remove_dir_all(through(parent, name)),
        Err(err) => Err(err.into()),
    }
}

fn remove_all(directory: BorrowedFd<'_>) -> io::Result<()> {
    let entries: Vec<PathBuf> =
        fs::read_dir(through(directory, OsStr::new("")))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let names = entries.iter().filter_map(|path| path.file_name());
    names.into_iter().try_for_each(|name| remove_entry(directory, name))
}
