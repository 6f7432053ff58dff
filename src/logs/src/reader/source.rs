//! A file to read lines from: the log itself or one that was rotated away, perhaps compressed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::read::GzDecoder;
use rustix::fs::{AtFlags, FileType, statat};

use crate::beneath::Root;
use crate::rotated::{self, Forms};

/// Bytes that tell one log file from another: a line's time stamp has nanoseconds, so that the beginnings of two
/// files of one container differ.
const HEAD: usize = 256;

#[derive(Debug)]
pub(super) enum Source {
    Plain(File),
    Gzip(Box<GzDecoder<File>>),
}

// === impl Source ===

impl Source {
    /// Opens a rotated file in the form in which it exists.
    pub(super) fn rotated(dir: &Root, name: &str, stamp: &str, forms: Forms) -> io::Result<Self> {
        if forms.plain {
            return Ok(Self::Plain(dir.file(Path::new(&rotated::plain(name, stamp)))?));
        }
        let file = dir.file(Path::new(&rotated::gzip(name, stamp)))?;
        Ok(Self::Gzip(Box::new(GzDecoder::new(file))))
    }

    /// The first bytes of a file that is not compressed, whatever was read already.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let Self::Plain(file) = self else { return Ok(Vec::new()) };
        let mut head = vec![0; HEAD];
        let length = file.read_at(&mut head, 0)?;
        head.truncate(length);
        Ok(head)
    }

    /// Whether the file, of which nothing was read yet, begins with `head`.
    pub(super) fn begins_with(mut self, head: &[u8]) -> io::Result<bool> {
        let mut found = vec![0; head.len()];
        match self.read_exact(&mut found) {
            Ok(()) => Ok(found == head),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether `name` in `dir` is this very file. `None`: there is no such file.
    pub(super) fn is_at(&self, dir: &Root, name: &str) -> io::Result<Option<bool>> {
        let Self::Plain(file) = self else { return Ok(Some(false)) };
        let there = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        let here = rustix::fs::fstat(file)?;
        let regular = FileType::from_raw_mode(there.st_mode) == FileType::RegularFile;
        Ok(Some(regular && (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}
