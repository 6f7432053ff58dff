//! Writes what a container prints to its CRI log file and rotates the file by size.
//!
//! The writer rotates because it alone knows when a line is complete; a rotation from outside, as kubelet and
//! runtime do it, needs a call to reopen the file and loses its order with the lines. There is no thread and no
//! buffer per container: a write goes to the file at once, and an idle container costs a descriptor and a few
//! hundred bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::beneath::Root;
use crate::line::{OVERHEAD, Stream, Tag, encode, stamp};
use crate::paths::FILE_MODE;
use crate::rotated;
use crate::splitter::{Emit, Splitter};

/// Bytes handed to the kernel at once. Large enough that the cost of a call vanishes, small enough that a guest's
/// huge write is not held twice.
const MAX_BATCH: usize = 64 * 1024;

/// The log of one container attempt. Clones share the file.
#[derive(Debug, Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// Takes what the container writes to one stream. Clones share the stream's unfinished line.
#[derive(Debug, Clone)]
pub struct StreamWriter {
    shared: Arc<Shared>,
    stream: Stream,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct State {
    file: LogFile,
    stdout: Splitter,
    stderr: Splitter,
    /// The last write failed and the caller knows.
    failing: bool,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// The file ends in the middle of a line, since a write to it failed half-way.
    torn: bool,
    /// Size that the next line may not exceed: `max_bytes`, more while rotation fails.
    rotate_at: u64,
    max_bytes: u64,
    max_files: u32,
}

/// Lines on their way to the file.
struct Batch<'a> {
    file: &'a mut LogFile,
    lines: Vec<u8>,
    /// Bytes of the guest's in `lines`.
    content: u64,
    stream: Stream,
    stamp: String,
    /// Bytes of the guest's that could not be written.
    lost: u64,
    wrote: bool,
    error: Option<io::Error>,
}

// === impl Writer ===

impl Writer {
    /// Opens or creates the log file `path`, whose directory exists. A file that is there already is continued.
    /// The file is set aside before a line would make it larger than `max_bytes`, and at most `max_files` files
    /// (at least 2) exist in all.
    pub fn open(path: impl Into<PathBuf>, max_bytes: u64, max_files: u32) -> io::Result<Self> {
        let file = LogFile::open(path.into(), max_bytes, max_files.max(2))?;
        let state = State { file, stdout: Splitter::default(), stderr: Splitter::default(), failing: false };
        Ok(Self { shared: Arc::new(Shared { state: Mutex::new(state), lost: AtomicU64::new(0) }) })
    }

    /// A handle for one of the streams.
    pub fn stream(&self, stream: Stream) -> StreamWriter {
        StreamWriter { shared: self.shared.clone(), stream }
    }

    /// Writes the unfinished lines of both streams, when the container has ended. Happens on its own when the last
    /// handle is dropped; here the error can be seen.
    pub fn finish(&self) -> io::Result<()> {
        self.shared.finish()
    }

    /// Bytes of the container's output that could not be written so far.
    pub fn lost_bytes(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

// === impl StreamWriter ===

impl StreamWriter {
    /// Writes to the log, blocking for the time of a file write and, rarely, of a rotation. An unfinished line is
    /// kept for the next call.
    ///
    /// Lines that cannot be written are dropped and counted, so that a full disk does not stop the container. The
    /// error is returned for the first of a series of failures only: worth reporting, not worth repeating.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.shared.write(self.stream, |splitter, emit| splitter.push(bytes, emit))
    }

    /// Writes the unfinished line as a partial one, for somebody who waits for a prompt. Errors are those of
    /// [`Self::write`].
    pub fn flush(&self) -> io::Result<()> {
        self.shared.write(self.stream, Splitter::finish)
    }
}

// === impl Shared ===

impl Shared {
    fn finish(&self) -> io::Result<()> {
        let stdout = self.write(Stream::Stdout, Splitter::finish);
        let stderr = self.write(Stream::Stderr, Splitter::finish);
        stdout.and(stderr)
    }

    fn write(&self, stream: Stream, feed: impl FnOnce(&mut Splitter, &mut Emit<'_>)) -> io::Result<()> {
        let mut state = self.lock();
        let State { file, stdout, stderr, failing } = &mut *state;
        let splitter = if stream == Stream::Stdout { stdout } else { stderr };
        let mut batch = Batch::new(file, stream);
        feed(splitter, &mut |tag, line| batch.add(tag, line));
        batch.flush();
        let Batch { lost, error, wrote, .. } = batch;
        self.lost.fetch_add(lost, Ordering::Relaxed);
        match error {
            Some(error) if !std::mem::replace(failing, true) => Err(error),
            Some(_) => Ok(()),
            None => {
                *failing &= !wrote;
                Ok(())
            }
        }
    }

    /// The state is whole after a panic elsewhere: at worst a line is missing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, path = %self.lock().file.path.display(), "Failed to write the last line of a log");
        }
    }
}

// === impl Batch ===

impl<'a> Batch<'a> {
    fn new(file: &'a mut LogFile, stream: Stream) -> Self {
        let (lines, stamp) = (Vec::new(), String::new());
        Self { file, lines, content: 0, stream, stamp, lost: 0, wrote: false, error: None }
    }

    fn add(&mut self, tag: Tag, content: &[u8]) {
        if self.stamp.is_empty() {
            self.stamp = stamp(Timestamp::now());
        }
        let size = content.len() + OVERHEAD;
        if self.lines.len() + size > MAX_BATCH {
            self.flush();
        }
        let written = self.file.size + self.lines.len() as u64;
        if written > 0 && written + size as u64 > self.file.rotate_at {
            self.flush();
            if let Err(error) = self.file.rotate() {
                self.error.get_or_insert(error);
            }
        }
        encode(&mut self.lines, &self.stamp, self.stream, tag, content);
        self.content += content.len() as u64;
    }

    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        match self.file.append(&self.lines) {
            Ok(()) => self.wrote = true,
            Err(error) => {
                self.lost += self.content;
                self.error.get_or_insert(error);
            }
        }
        self.lines.clear();
        self.content = 0;
    }
}

// === impl LogFile ===

impl LogFile {
    fn open(path: PathBuf, max_bytes: u64, max_files: u32) -> io::Result<Self> {
        let (dir, name) = split(&path)?;
        let mut file = dir.append(Path::new(name), FILE_MODE)?;
        let size = file.metadata()?.len();
        let torn = size > 0 && !ends_with_newline(&mut file)?;
        Ok(Self { path, file, size, torn, rotate_at: max_bytes, max_bytes, max_files })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_all(b"\n")?;
            self.torn = false;
        }
        self.write_all(lines)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.size += n as u64;
                    self.torn = bytes[n - 1] != b'\n';
                    bytes = &bytes[n..];
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Sets the file aside and starts a new one. When that fails the old file goes on being written, and the next
    /// attempt waits until it has grown a little.
    fn rotate(&mut self) -> io::Result<()> {
        self.rotate_at = self.size + MAX_BATCH as u64;
        self.set_aside()?;
        *self = Self::open(self.path.clone(), self.max_bytes, self.max_files)?;
        Ok(())
    }

    fn set_aside(&self) -> io::Result<()> {
        let (dir, name) = split(&self.path)?;
        let mut rotated = rotated::list(&dir, name)?;
        // With the current file and the one about to be set aside, there are `max_files` again.
        rotated::remove_excess(&dir, name, &mut rotated, self.max_files as usize - 2)?;
        if let Err(error) = rotated::compress(&dir, name, &rotated) {
            // Not worth stopping for: the number of files bounds the space.
            tracing::debug!(%error, path = %self.path.display(), "Failed to compress a rotated log");
        }
        rotated::set_aside(&dir, name, &rotated, Timestamp::now())
    }
}

fn split(path: &Path) -> io::Result<(Root, &str)> {
    let (parent, name) = (path.parent(), path.file_name().and_then(|n| n.to_str()));
    match (parent, name) {
        (Some(parent), Some(name)) => Ok((Root::open(parent)?, name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} does not name a file", path.display()))),
    }
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests;
