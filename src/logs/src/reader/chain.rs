//! From one log file to the next across rotations.
//!
//! Names of rotated files increase, so the newest name that existed when a file was opened tells which ones came
//! later: first the file that was being read, under its new name, then files that were never seen.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::beneath::Root;
use crate::rotated::{self, Rotated};

use super::source::Source;

/// How often opening is tried again when a rotation came in between. Each is at least one file's worth of output
/// apart, so that once is nearly always enough.
const ATTEMPTS: u32 = 16;

/// Between attempts, while a writer is between two system calls.
const PAUSE: Duration = Duration::from_millis(1);

/// Where in the sequence of a log's files a reader is.
#[derive(Debug)]
pub(super) struct Chain {
    dir: Root,
    name: String,
    /// Stamp of the newest rotated file that is done with or was there before.
    seen: Option<String>,
    /// The file being read is the log itself, not a rotated one.
    live: bool,
}

// === impl Chain ===

impl Chain {
    /// Opens the log file `name`.
    pub(super) fn open(dir: Root, name: String) -> io::Result<(Self, Source)> {
        let mut chain = Self { dir, name, seen: None, live: true };
        for _ in 0..ATTEMPTS {
            chain.seen = chain.list()?.into_keys().next_back();
            match chain.open_live() {
                Ok(Some(source)) => return Ok((chain, source)),
                // A file that was set aside is about to get its successor.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !chain.list()?.is_empty() => std::thread::sleep(PAUSE),
                other => other.map(drop)?,
            }
        }
        Err(io::Error::other(format!("{} is rotated faster than it can be opened", chain.name)))
    }

    /// The file after `current`, of which everything was read so far; `None` while `current` is the log itself.
    /// More may have been written to `current` before it was rotated: it is to be read to its end once more.
    pub(super) fn next(&mut self, current: &Source) -> io::Result<Option<Source>> {
        if self.live && current.is_at(&self.dir, &self.name)? == Some(true) {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let result = self.try_next(current);
            // Compressed or removed between the listing and the opening: list again.
            if !result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                return result;
            }
        }
        Ok(None)
    }

    fn try_next(&mut self, current: &Source) -> io::Result<Option<Source>> {
        let mut later = self.later()?;
        if self.live {
            self.skip(current, &mut later)?;
        }
        if let Some((stamp, forms)) = later.pop_first() {
            let source = Source::rotated(&self.dir, &self.name, &stamp, forms)?;
            (self.seen, self.live) = (Some(stamp), false);
            return Ok(Some(source));
        }
        let source = self.open_live()?;
        self.live |= source.is_some();
        Ok(source)
    }

    /// Passes over the file being read under the name that it has now. It may be gone already, when `max_files`
    /// others came after it.
    fn skip(&mut self, current: &Source, later: &mut Rotated) -> io::Result<()> {
        let Some((stamp, forms)) = later.first_key_value() else { return Ok(()) };
        let first = Source::rotated(&self.dir, &self.name, stamp, *forms)?;
        if first.begins_with(&current.head()?)? {
            self.seen = later.pop_first().map(|(stamp, _)| stamp);
            self.live = false;
        }
        Ok(())
    }

    /// The log itself, unless a rotated file appeared that is to be read before it, or it is just being replaced.
    fn open_live(&self) -> io::Result<Option<Source>> {
        let source = Source::Plain(self.dir.file(Path::new(&self.name))?);
        let current = source.is_at(&self.dir, &self.name)? == Some(true) && self.later()?.is_empty();
        Ok(current.then_some(source))
    }

    fn later(&self) -> io::Result<Rotated> {
        let mut rotated = self.list()?;
        match &self.seen {
            Some(seen) => Ok(rotated.split_off(seen).into_iter().filter(|(stamp, _)| stamp != seen).collect()),
            None => Ok(rotated),
        }
    }

    fn list(&self) -> io::Result<Rotated> {
        rotated::list(&self.dir, &self.name)
    }
}
