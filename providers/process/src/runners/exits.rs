//! What a runner that is gone left on disk.
//!
//! The directory belongs to the group's user, so that any process of the group may have planted anything in it: it is
//! entered without following links, only regular files with one name are read, and sizes and counts are bounded.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use wasmnode_provider_api::{Exit, RunId, wire};

use crate::{EXIT_SUFFIX, exit_file_name};

/// Bytes of one exit: its message has at most 4096.
const MAX_EXIT: u64 = 16 << 10;

/// Bytes of a runner's last words.
const MAX_CRASH: u64 = 4096;

/// Entries of a directory that are looked at.
const MAX_ENTRIES: usize = 65_536;

/// Name of the file that a panic or a fatal error is written to.
const CRASH: &str = "crash";

// O_NONBLOCK so that opening a FIFO returns.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// A runner's directory.
pub(crate) struct Left(OwnedFd);

// === impl Left ===

impl Left {
    /// `None` if there is no such directory. Everything above it is trusted.
    pub(crate) fn open(directory: &Path) -> io::Result<Option<Self>> {
        match rustix::fs::openat(CWD, directory, OPEN | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Exits of the runs that `known` says are this runner's. What cannot be read is left out.
    pub(crate) fn exits(&self, known: impl Fn(&RunId) -> bool) -> io::Result<Vec<Exit>> {
        let named = |name: &CString| RunId::new(name.to_str().ok()?.strip_suffix(EXIT_SUFFIX)?).ok();
        let runs = self.names()?.into_iter().filter_map(|name| named(&name)).filter(|run| known(run));
        Ok(runs.filter_map(|run| self.exit(&run)).collect())
    }

    /// The first line of its last words.
    pub(crate) fn crash(&self) -> Option<String> {
        let bytes = self.read(CRASH, MAX_CRASH, true).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    /// Removes whatever is there, as far as it goes: what cannot be removed does not keep the rest. Bounded in time and
    /// memory, so that a directory with more in it is left with an error and needs another call.
    ///
    /// # Errors
    /// The first.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let (mut moved, mut touched, mut failed) = (0, 0, None);
        loop {
            let before = moved;
            for name in self.names()?.iter().take(MAX_ENTRIES.saturating_sub(touched)) {
                touched += 1;
                if let Err(error) = self.remove(name, &mut moved) {
                    failed.get_or_insert(error);
                }
            }
            if moved == before || moved + touched >= MAX_ENTRIES {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// What is in a directory is removed, and directories in it come up here, counted by `moved`: no depth is too deep.
    fn remove(&self, name: &CStr, moved: &mut usize) -> io::Result<()> {
        match unlink(&self.0, name) {
            Err(Errno::NOTEMPTY) => {}
            removed => return Ok(removed?),
        }
        let inner = Self(rustix::fs::openat(&self.0, name, OPEN | OFlags::DIRECTORY, Mode::empty())?);
        for below in inner.names()? {
            if unlink(&inner.0, &below) == Err(Errno::NOTEMPTY) {
                *moved += 1;
                rustix::fs::renameat(&inner.0, &below, &self.0, format!(".moved-{moved}"))?;
            }
        }
        Ok(unlink(&self.0, name)?)
    }

    fn exit(&self, run: &RunId) -> Option<Exit> {
        let name = exit_file_name(run);
        let bytes = self.read(&name, MAX_EXIT, false);
        let exit = bytes.map_err(|e| e.to_string()).and_then(|bytes| {
            let exit: Exit = wire::decode(&bytes).map_err(|e| e.to_string())?;
            if exit.run == *run { Ok(exit) } else { Err(format!("it is of run {}", exit.run)) }
        });
        exit.inspect_err(|error| tracing::warn!(%run, error, "An exit that a runner left cannot be used")).ok()
    }

    /// A regular file that has no other name; `cut` says whether a longer one is cut or refused.
    fn read(&self, name: &str, max: u64, cut: bool) -> io::Result<Vec<u8>> {
        let fd = rustix::fs::openat(&self.0, name, OPEN, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file with one name"));
        }
        let mut bytes = Vec::new();
        File::from(fd).take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max && !cut {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes")));
        }
        Ok(bytes)
    }

    /// As they are: whoever planted them need not have kept to text.
    fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)?.take(MAX_ENTRIES) {
            let entry = entry?;
            names.extend(Some(entry.file_name()).filter(|name| *name != c"." && *name != c"..").map(CStr::to_owned));
        }
        Ok(names)
    }
}

/// A file, a link or an empty directory; one that is gone is no error.
fn unlink(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    let removed = match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR),
        removed => removed,
    };
    if removed == Err(Errno::NOENT) { Ok(()) } else { removed }
}

/// Forgets one exit of a runner that is gone.
pub(crate) fn forget(directory: &Path, run: &RunId) -> io::Result<()> {
    let Some(left) = Left::open(directory)? else { return Ok(()) };
    match rustix::fs::unlinkat(&left.0, exit_file_name(run), AtFlags::empty()) {
        Err(e) if e != Errno::NOENT => Err(e.into()),
        _ => Ok(()),
    }
}

/// Removes the directory of a runner that is gone.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let Some(left) = Left::open(directory)? else { return Ok(()) };
    let cleared = left.clear();
    match std::fs::remove_dir(directory) {
        // Why it is not empty says more.
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => cleared.and(Err(e)),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use wasmnode_provider_api::ExitReason;

    use super::*;

    fn run(n: u8) -> RunId {
        RunId::new(format!("{n:064x}")).unwrap()
    }

    fn exit(n: u8) -> Exit {
        Exit {
            run: run(n),
            code: 3,
            reason: ExitReason::Exited,
            message: "m".to_owned(),
            started_at: SystemTime::UNIX_EPOCH,
            finished_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn reads_what_is_an_exit_and_nothing_that_was_planted() {
        let top = tempfile::tempdir().unwrap();
        let (directory, secret) = (top.path().join("exits"), top.path().join("secret"));
        fs::create_dir(&directory).unwrap();
        let at = |n: u8| directory.join(exit_file_name(&run(n)));
        fs::write(&secret, wire::encode(exit(2))).unwrap();
        fs::write(at(1), wire::encode(exit(1))).unwrap();
        symlink(&secret, at(2)).unwrap();
        fs::write(top.path().join("linked"), wire::encode(exit(3))).unwrap();
        fs::hard_link(top.path().join("linked"), at(3)).unwrap();
        rustix::fs::mknodat(CWD, at(4), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::write(at(5), wire::encode(exit(6))).unwrap();
        fs::write(at(6), vec![0xff; 1 << 20]).unwrap();
        fs::write(at(7), "garbage").unwrap();
        fs::create_dir(at(8)).unwrap();
        fs::write(at(9), wire::encode(exit(9))).unwrap();
        fs::write(directory.join("x.exit"), "").unwrap();
        symlink("/etc/shadow", directory.join(CRASH)).unwrap();
        let left = Left::open(&directory).unwrap().unwrap();
        assert_eq!(left.exits(|id| *id != run(9)).unwrap(), [exit(1)]);
        assert_eq!(left.crash(), None);
        remove(&directory).unwrap();
        assert!(!directory.exists() && secret.exists());
        symlink(top.path(), &directory).unwrap();
        assert!(Left::open(&directory).is_err());
    }

    #[test]
    fn everything_is_removed_whatever_its_name_and_depth() {
        use std::os::unix::ffi::OsStrExt;
        let top = tempfile::tempdir().unwrap();
        let (directory, elsewhere) = (top.path().join("exits"), top.path().join("elsewhere"));
        let mut deep = directory.clone();
        for name in [&b"plain"[..], b"\xff\xfe", b".moved-1", b"d", b"e"] {
            deep.push(std::ffi::OsStr::from_bytes(name));
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join(std::ffi::OsStr::from_bytes(b"\xfffile")), "x").unwrap();
        }
        fs::create_dir_all(directory.join("wide/one/two")).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("kept"), "").unwrap();
        symlink(&elsewhere, directory.join("wide/one/link")).unwrap();
        symlink(&elsewhere, directory.join("link")).unwrap();
        remove(&directory).unwrap();
        assert!(!directory.exists() && elsewhere.join("kept").exists());
        remove(&directory).unwrap();
    }

    #[test]
    fn last_words_are_one_line_and_bounded() {
        let top = tempfile::tempdir().unwrap();
        let left = Left::open(top.path()).unwrap().unwrap();
        for (words, line) in [("\n panicked at\x07 x\nmore", Some("panicked at  x")), ("", None), ("\n\n", None)] {
            fs::write(top.path().join(CRASH), words).unwrap();
            assert_eq!(left.crash().as_deref(), line);
        }
        fs::write(top.path().join(CRASH), "x".repeat(9999)).unwrap();
        assert!(left.crash().unwrap().len() <= 4097);
        assert!(Left::open(&top.path().join("none")).unwrap().is_none());
        assert!(exit_file_name(&run(1)).ends_with(EXIT_SUFFIX));
    }
}
