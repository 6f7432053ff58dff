//! The blocking half of a reader: one bounded step at a time.

use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use crate::beneath::Root;

use super::Options;
use super::chain::Chain;
use super::filter::Filter;
use super::lines::Lines;
use super::source::Source;
use super::tail;

/// Output of one step, roughly.
const CHUNK: usize = 32 * 1024;

/// Lines looked at in one step, whether shown or not.
const MAX_LINES: usize = 4096;

#[derive(Debug)]
pub(super) enum Step {
    /// Output.
    Data(Bytes),
    /// No output yet, but more to read.
    Busy,
    /// Everything that is there was read.
    Idle,
    /// Nothing will come any more.
    Done,
}

#[derive(Debug)]
pub(super) struct Cursor {
    chain: Chain,
    lines: Lines,
    filter: Filter,
    /// The file to go on with when the current one, which was rotated, has been read to its end once more.
    next: Option<Source>,
    follow: bool,
}

// === impl Cursor ===

impl Cursor {
    pub(super) fn open(root: &Path, relative: &Path, options: &Options) -> io::Result<Self> {
        let name = relative.file_name().and_then(|n| n.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
        let root = Root::open(root)?;
        let dir = match relative.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(parent) => root.dir(parent)?,
            None => root,
        };
        let (chain, mut source) = Chain::open(dir, name.to_owned())?;
        let left = position(&mut source, options)?;
        let filter = Filter::new(options.clone());
        Ok(Self { chain, lines: Lines::new(source, left), filter, next: None, follow: options.follow })
    }

    /// Reads on. `last`: nothing is written any more, so that the end of the file is the end.
    pub(super) fn step(&mut self, last: bool) -> io::Result<Step> {
        let mut out = Vec::new();
        for _ in 0..MAX_LINES {
            if self.filter.is_full() || out.len() >= CHUNK {
                break;
            }
            if let Some(line) = self.lines.next()? {
                self.filter.add(self.lines.bytes(line), &mut out);
            } else if !self.advance(&mut out)? {
                return Ok(self.at_end(last, out));
            }
        }
        Ok(match out.is_empty() {
            false => Step::Data(out.into()),
            true if self.filter.is_full() => Step::Done,
            true => Step::Busy,
        })
    }

    /// At the end of a file: goes on to the next one, or has the current one read once more. `false`: there is
    /// nothing to go on with.
    fn advance(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if !self.follow {
            return Ok(false);
        }
        if let Some(next) = self.next.take() {
            self.add_rest(out);
            self.lines = Lines::new(next, u64::MAX);
            return Ok(true);
        }
        self.next = match self.chain.next(self.lines.source()) {
            // The pod's directory was removed: what is open is all there is.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            next => next?,
        };
        Ok(self.next.is_some())
    }

    fn at_end(&mut self, last: bool, mut out: Vec<u8>) -> Step {
        if last {
            self.add_rest(&mut out);
        }
        match (out.is_empty(), last) {
            (false, _) => Step::Data(out.into()),
            (true, true) => Step::Done,
            (true, false) => Step::Idle,
        }
    }

    /// The writer broke off in the middle of a line and will not complete it.
    fn add_rest(&mut self, out: &mut Vec<u8>) {
        if let Some(rest) = self.lines.rest() {
            self.filter.add(self.lines.bytes(rest), out);
        }
    }
}

/// Moves to where reading starts and returns how many bytes are to be read.
fn position(source: &mut Source, options: &Options) -> io::Result<u64> {
    let Source::Plain(file) = source else { return Ok(u64::MAX) };
    let size = file.metadata()?.len();
    let start = options.tail_lines.map_or(Ok(0), |lines| tail::start(file, size, lines))?;
    file.seek(SeekFrom::Start(start))?;
    Ok(if options.follow { u64::MAX } else { size - start })
}
