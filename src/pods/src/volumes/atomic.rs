//! Writes a volume's files so that a reader sees all of the old or all of the new ones (contract section 10.2).
//!
//! ```text
//! ..2026_01_02_15_04_05.123/ca.crt     the files
//! ..data  -> ..2026_01_02_15_04_05.123  replaced by renaming ..data_tmp: the moment of the change
//! ca.crt  -> ..data/ca.crt              what users open
//! ```
//!
//! Nothing is written when content, modes and owners are as they should be: programs watch these files. The files
//! belong to the pod's user, so nothing found is trusted to be what was put there.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rustix::fs::{readlinkat, renameat, symlinkat};
use rustix::io::Errno;
use wasmnode_logs::beneath::{Owner, Root};

use super::payload::{File, Payload};

const DATA: &str = "..data";
const DATA_TMP: &str = "..data_tmp";
const DIRECTORY_MODE: u32 = 0o755;

/// Entries that are looked at in one directory: what a volume may hold, twice, and the names above.
const MAX_NAMES: usize = 40_000;

/// Makes `volume` hold exactly `payload`, files of that owner. Whether anything changed.
pub(crate) fn write(volume: &Root, payload: &Payload, owner: Owner, now: Timestamp) -> io::Result<bool> {
    let current = current(volume)?;
    if let Some(name) = &current
        && holds(volume, name, payload, owner)
        && has_links(volume, payload)?
    {
        return Ok(false);
    }
    let next = fill(volume, payload, owner, now)?;
    swap(volume, &next)?;
    link(volume, payload)?;
    sweep(volume, payload, &next)?;
    Ok(true)
}

/// Name of the directory that `..data` points to, if it is one of ours.
fn current(volume: &Root) -> io::Result<Option<String>> {
    Ok(read_link(volume, DATA)?.filter(|name| name.starts_with("..") && name.len() > 2 && !name.contains('/')))
}

fn read_link(volume: &Root, name: &str) -> io::Result<Option<String>> {
    match readlinkat(volume, name, Vec::new()) {
        Ok(target) => Ok(target.into_string().ok()),
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

// An error while comparing means "not as it should be": the rewrite repairs it or reports the error itself.
fn holds(volume: &Root, name: &str, payload: &Payload, owner: Owner) -> bool {
    let Ok(directory) = volume.dir(Path::new(name)) else { return false };
    let names_match =
        payload.directories().iter().all(|(path, expected)| names(&directory, path) == Some(expected.clone()));
    names_match && payload.files().all(|(path, file)| equals(&directory, path, file, owner).unwrap_or(false))
}

fn names(directory: &Root, path: &str) -> Option<Vec<String>> {
    let mut names = match path {
        "" => directory.names(MAX_NAMES).ok()?,
        path => directory.dir(Path::new(path)).ok()?.names(MAX_NAMES).ok()?,
    };
    names.sort();
    Some(names)
}

fn equals(directory: &Root, path: &str, expected: &File, owner: Owner) -> io::Result<bool> {
    let file = directory.file(Path::new(path))?;
    let metadata = file.metadata()?;
    let is_same_size = metadata.len() == expected.bytes.len() as u64;
    if metadata.permissions().mode() & 0o777 != expected.mode || !is_same_size || !owner.owns(&metadata) {
        return Ok(false);
    }
    let mut bytes = Vec::with_capacity(expected.bytes.len());
    file.take(expected.bytes.len() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes == expected.bytes)
}

fn has_links(volume: &Root, payload: &Payload) -> io::Result<bool> {
    for name in payload.top_names() {
        if read_link(volume, name)? != Some(format!("{DATA}/{name}")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes all files to a new directory and returns its name.
fn fill(volume: &Root, payload: &Payload, owner: Owner, now: Timestamp) -> io::Result<String> {
    let name = unused_name(volume, now)?;
    let directory = volume.create_dirs(Path::new(&name), DIRECTORY_MODE)?;
    match write_files(&directory, payload, owner) {
        Ok(()) => Ok(name),
        Err(e) => {
            // The error counts; what is left behind is swept by the next write.
            let _ = volume.remove_tree(Path::new(&name));
            Err(e)
        }
    }
}

fn write_files(directory: &Root, payload: &Payload, owner: Owner) -> io::Result<()> {
    for (path, file) in payload.files() {
        let path = Path::new(path);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            directory.create_dirs(parent, DIRECTORY_MODE)?;
        }
        let mut created = directory.create(path, file.mode)?;
        owner.give(&created)?;
        created.write_all(&file.bytes)?;
    }
    Ok(())
}

/// A name that was never used before, even if the clock stood still: whoever holds the old directory's path must not
/// find new files there.
fn unused_name(volume: &Root, now: Timestamp) -> io::Result<String> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let taken = volume.names(MAX_NAMES)?;
    let stamp = now.strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    loop {
        let name = format!("{stamp}{}", SERIAL.fetch_add(1, Ordering::Relaxed));
        if !taken.contains(&name) {
            return Ok(name);
        }
    }
}

fn swap(volume: &Root, next: &str) -> io::Result<()> {
    volume.remove_tree(Path::new(DATA_TMP))?;
    symlinkat(next, volume, DATA_TMP)?;
    match renameat(volume, DATA_TMP, volume, DATA) {
        Err(Errno::ISDIR | Errno::NOTEMPTY) => {
            volume.remove_tree(Path::new(DATA))?;
            Ok(renameat(volume, DATA_TMP, volume, DATA)?)
        }
        other => Ok(other?),
    }
}

fn link(volume: &Root, payload: &Payload) -> io::Result<()> {
    for name in payload.top_names() {
        let target = format!("{DATA}/{name}");
        if read_link(volume, name)?.as_deref() != Some(&target) {
            volume.remove_tree(Path::new(name))?;
            symlinkat(target.as_str(), volume, name)?;
        }
    }
    Ok(())
}

/// Removes everything that does not belong to the newest content: links of keys that are gone, older directories,
/// and what an interrupted write left behind.
fn sweep(volume: &Root, payload: &Payload, next: &str) -> io::Result<()> {
    let wanted = payload.top_names();
    for name in volume.names(MAX_NAMES)? {
        if name != DATA && name != next && wanted.binary_search(&name.as_str()).is_err() {
            volume.remove_tree(Path::new(OsStr::from_bytes(name.as_bytes())))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
