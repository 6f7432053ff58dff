//! Rotated files beside a log file: `0.log.20260102-150405`, later `0.log.20260102-150405.gz`.
//!
//! The kubelet's names, which log collectors know. A second is too coarse for a fast writer, so a name that would
//! not sort after the newest one takes the second after it: names are unique and strictly increase, and may run
//! ahead of the clock while a container writes more than one file's worth per second.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp, civil, tz};
use rustix::fs::{AtFlags, renameat, unlinkat};

use crate::beneath::Root;

const FORMAT: &str = "%Y%m%d-%H%M%S";

/// Entries read from a container's log directory. Its few attempts have `max_files` each; more than this means
/// that someone else fills it.
const MAX_ENTRIES: usize = 65_536;

/// How a rotated file exists on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    pub(crate) plain: bool,
    pub(crate) gzip: bool,
}

/// Rotated files by the stamp in their name, oldest first.
pub(crate) type Rotated = BTreeMap<String, Forms>;

/// Lists the rotated files of the log file `name` in `dir`.
pub(crate) fn list(dir: &Root, name: &str) -> io::Result<Rotated> {
    let mut rotated = Rotated::new();
    for entry in dir.names(MAX_ENTRIES)? {
        let Some(suffix) = entry.strip_prefix(name).and_then(|s| s.strip_prefix('.')) else { continue };
        let (stamp, gzip) = suffix.strip_suffix(".gz").map_or((suffix, false), |s| (s, true));
        if civil::DateTime::strptime(FORMAT, stamp).is_ok() {
            let forms = rotated.entry(stamp.to_owned()).or_default();
            if gzip { forms.gzip = true } else { forms.plain = true }
        }
    }
    Ok(rotated)
}

/// Renames the log file `name` to its rotated name.
pub(crate) fn set_aside(dir: &Root, name: &str, rotated: &Rotated, now: Timestamp) -> io::Result<()> {
    let stamp = next_stamp(rotated.keys().next_back().map(String::as_str), now);
    match renameat(dir, name, dir, plain(name, &stamp)) {
        // Someone removed it: there is nothing to keep.
        Err(rustix::io::Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

/// Removes the oldest of `rotated` so that at most `keep` are left.
pub(crate) fn remove_excess(dir: &Root, name: &str, rotated: &mut Rotated, keep: usize) -> io::Result<()> {
    while rotated.len() > keep
        && let Some((stamp, _)) = rotated.pop_first()
    {
        for file in [plain(name, &stamp), gzip(name, &stamp), temporary(name, &stamp)] {
            dir.remove_tree(Path::new(&file))?;
        }
    }
    Ok(())
}

/// Compresses what of `rotated` is not compressed yet. What an interrupted attempt left is made anew.
pub(crate) fn compress(dir: &Root, name: &str, rotated: &Rotated) -> io::Result<()> {
    for (stamp, _) in rotated.iter().filter(|(_, forms)| forms.plain) {
        let (from, to) = (plain(name, stamp), gzip(name, stamp));
        let temporary = temporary(name, stamp);
        dir.remove_tree(Path::new(&temporary))?;
        let result = compress_to(dir, &from, &temporary).and_then(|()| Ok(renameat(dir, &temporary, dir, &to)?));
        if let Err(error) = result {
            dir.remove_tree(Path::new(&temporary))?;
            return Err(error);
        }
        unlinkat(dir, &from, AtFlags::empty())?;
    }
    Ok(())
}

/// File name of a rotated file that is not compressed.
pub(crate) fn plain(name: &str, stamp: &str) -> String {
    format!("{name}.{stamp}")
}

/// File name of a rotated file that is compressed.
pub(crate) fn gzip(name: &str, stamp: &str) -> String {
    format!("{name}.{stamp}.gz")
}

fn temporary(name: &str, stamp: &str) -> String {
    format!("{name}.{stamp}.tmp")
}

fn compress_to(dir: &Root, from: &str, to: &str) -> io::Result<()> {
    let mut reader = BufReader::new(dir.file(Path::new(from))?);
    // Fast: the guest that fills its log waits for this.
    let mut writer = GzEncoder::new(dir.create(Path::new(to), 0o640)?, Compression::fast());
    io::copy(&mut reader, &mut writer)?;
    writer.finish()?;
    Ok(())
}

fn next_stamp(newest: Option<&str>, now: Timestamp) -> String {
    let now = now.to_zoned(tz::TimeZone::UTC).datetime();
    let after = newest
        .and_then(|stamp| civil::DateTime::strptime(FORMAT, stamp).ok())
        .and_then(|time| time.checked_add(SignedDuration::from_secs(1)).ok());
    after.map_or(now, |after| after.max(now)).strftime(FORMAT).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_increase_even_within_a_second() {
        let now: Timestamp = "2026-01-02T23:59:59.9Z".parse().unwrap();
        for (newest, expected) in [
            (None, "20260102-235959"),
            (Some("20260102-235958"), "20260102-235959"),
            (Some("20260102-235959"), "20260103-000000"),
            (Some("20260103-120000"), "20260103-120001"),
        ] {
            assert_eq!(next_stamp(newest, now), expected);
        }
    }

    #[test]
    fn lists_only_rotated_files_of_this_log() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "0.log",
            "0.log.20260102-150405",
            "0.log.20260101-150405.gz",
            "0.log.20260103-150405.tmp",
            "10.log.20260102-150405",
            "0.log.x",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let rotated = list(&Root::open(dir.path()).unwrap(), "0.log").unwrap();
        let names: Vec<_> = rotated.iter().map(|(stamp, forms)| (stamp.as_str(), forms.gzip)).collect();
        assert_eq!(names, [("20260101-150405", true), ("20260102-150405", false)]);
    }
}
