//! A layer's tar stream: decompressed, counted and hashed as it is read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::zstd::Zstd;
use crate::digest::{Digest, Hasher};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames have 16 magic numbers that differ in the first four bits.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
const BUFFER: usize = 64 << 10;
/// Names and attributes of one entry. The tar reader keeps them in memory.
const MAX_METADATA: u64 = 1 << 20;
/// What a file or directory takes at least, and in multiples of what.
const BLOCK: u64 = 4096;

/// What an unpacking may use.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Bytes of decompressed layers, and of files on disk.
    pub(crate) bytes: u64,
    /// Files, directories and links of all layers.
    pub(crate) entries: u64,
    /// Set when nobody waits for the result any more.
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// What has been used of the limits.
pub(super) struct Meter<'a> {
    limits: &'a Limits,
    read: Cell<u64>,
    written: Cell<u64>,
    entries: Cell<u64>,
    /// While the tar reader looks for the next entry: what it may read for that.
    metadata: Cell<Option<u64>>,
}

/// The tar stream of one layer.
pub(super) struct Stream<'a> {
    inner: Box<dyn Read + 'a>,
    meter: &'a Meter<'a>,
    hasher: Hasher,
}

// === impl Meter ===

impl<'a> Meter<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        let zero = || Cell::new(0);
        Self { limits, read: zero(), written: zero(), entries: zero(), metadata: Cell::new(None) }
    }

    /// Bytes on disk.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Whether the unpacking was given up.
    pub(super) fn is_cancelled(&self) -> bool {
        self.limits.cancelled.load(Ordering::Relaxed)
    }

    /// Counts an entry of `size` bytes before any of it is written.
    pub(super) fn charge(&self, size: u64) -> Result<(), String> {
        self.entries.set(self.entries.get() + 1);
        if self.entries.get() > self.limits.entries {
            return Err(format!("more than {} files", self.limits.entries));
        }
        let blocks = size.max(1).checked_next_multiple_of(BLOCK);
        let written = blocks.and_then(|blocks| self.written.get().checked_add(blocks));
        let written = written.filter(|written| *written <= self.limits.bytes).ok_or_else(|| self.too_big())?;
        self.written.set(written);
        Ok(())
    }

    /// Runs `next`, which reads no file's content, with a bound on what it may read.
    pub(super) fn metadata<T>(&self, next: impl FnOnce() -> T) -> T {
        self.metadata.set(Some(MAX_METADATA));
        let result = next();
        self.metadata.set(None);
        result
    }

    /// Counts decompressed bytes.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        if self.is_cancelled() {
            return Err(io::Error::other("given up"));
        }
        self.read.set(self.read.get().saturating_add(bytes));
        if self.read.get() > self.limits.bytes {
            return Err(io::Error::other(self.too_big()));
        }
        if let Some(left) = self.metadata.get() {
            let left = left.checked_sub(bytes);
            self.metadata
                .set(Some(left.ok_or_else(|| io::Error::other("an entry's names and attributes are too long"))?));
        }
        Ok(())
    }

    fn too_big(&self) -> String {
        format!("more than the {} bytes that this node unpacks of an image", self.limits.bytes)
    }
}

// === impl Stream ===

impl<'a> Stream<'a> {
    /// Decompresses by what the file starts with, as container runtimes do: media types lie.
    pub(super) fn new(layer: &'a File, meter: &'a Meter<'a>) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(BUFFER, layer);
        let start = file.fill_buf()?;
        let is_zstd =
            start.starts_with(&ZSTD) || (start.len() >= 4 && start[1..4] == ZSTD_SKIPPABLE && start[0] >> 4 == 5);
        let inner: Box<dyn Read + 'a> = if start.starts_with(&GZIP) {
            Box::new(MultiGzDecoder::new(file))
        } else if is_zstd {
            Box::new(Zstd::new(file))
        } else {
            Box::new(file)
        };
        Ok(Self { inner, meter, hasher: Hasher::default() })
    }

    /// Reads to the end, and says what all of it hashes to.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        Ok(self.hasher.finish())
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.take(read as u64)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
