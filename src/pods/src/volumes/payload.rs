//! What a volume of files should hold.

use std::collections::BTreeMap;

/// Longest path of a file in a volume, bytes (contract section 10.2).
const MAX_PATH: usize = 4096;

/// Longest name in such a path, bytes.
const MAX_NAME: usize = 255;

/// Most files of one volume. Objects are below 1 MiB each, so that only a volume made to hurt has more.
const MAX_FILES: usize = 16_384;

/// Most bytes of one volume, all in memory while they are written: one object may be named by any number of items.
const MAX_BYTES: usize = 32 << 20;

/// Files by relative path. Paths were checked by [`Payload::insert`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    files: BTreeMap<String, File>,
    /// Bytes of everything that was inserted.
    bytes: usize,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    /// Permission bits.
    pub(crate) mode: u32,
}

// === impl Payload ===

impl Payload {
    /// Adds or replaces a file: of two sources with the same path, the later one wins.
    pub(crate) fn insert(&mut self, path: &str, bytes: Vec<u8>, mode: i32) -> Result<(), String> {
        check(path)?;
        let mode = u32::try_from(mode).map_err(|_| format!("invalid mode {mode} of {path}"))? & 0o777;
        self.bytes += bytes.len();
        self.files.insert(path.to_owned(), File { bytes, mode });
        self.check_size()
    }

    /// Takes all files of `other`.
    pub(crate) fn extend(&mut self, other: Self) -> Result<(), String> {
        self.bytes += other.bytes;
        self.files.extend(other.files);
        self.check_size()
    }

    fn check_size(&self) -> Result<(), String> {
        if self.files.len() > MAX_FILES {
            return Err(format!("the volume has more than {MAX_FILES} files"));
        }
        if self.bytes > MAX_BYTES {
            return Err(format!("the volume holds more than {MAX_BYTES} bytes"));
        }
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// First elements of all paths, sorted, each once.
    pub(crate) fn top_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.keys().map(|path| path.split('/').next().unwrap_or(path)).collect();
        // `a-b` stands between `a` and `a/b`.
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every directory, the volume's own (``) included, with the sorted names that it holds.
    pub(crate) fn directories(&self) -> BTreeMap<String, Vec<String>> {
        let mut directories = BTreeMap::from([(String::new(), Vec::new())]);
        for path in self.files.keys() {
            add_ancestors(&mut directories, path);
        }
        for names in directories.values_mut() {
            names.sort();
            names.dedup();
        }
        directories
    }
}

fn add_ancestors(directories: &mut BTreeMap<String, Vec<String>>, path: &str) {
    let mut parent = String::new();
    for name in path.split('/') {
        directories.entry(parent.clone()).or_default().push(name.to_owned());
        if !parent.is_empty() {
            parent.push('/');
        }
        parent.push_str(name);
    }
}

fn check(path: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("invalid path {path:?}: {why}"));
    if path.is_empty() || path.len() > MAX_PATH {
        return Err(format!("invalid path of {} bytes: must have 1 to {MAX_PATH}", path.len()));
    }
    if path.starts_with('/') {
        return bad("must be relative");
    }
    if path.starts_with("..") {
        return bad("must not start with '..'");
    }
    for name in path.split('/') {
        match name {
            "" | "." | ".." => return bad("must not contain empty elements, '.' or '..'"),
            _ if name.len() > MAX_NAME || name.contains('\0') => return bad("has an element that is no file name"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let mut payload = Payload::default();
        for good in ["a", "a/b", ".a", "a..b", "a/..b", &"x".repeat(255)] {
            assert_eq!(payload.insert(good, Vec::new(), 0o644), Ok(()), "{good}");
        }
        for bad in ["", "/a", "..", "../a", "..a", "a/../b", "a/", "a//b", "./a", "a\0b", &"x".repeat(256)] {
            assert!(payload.insert(bad, Vec::new(), 0o644).is_err(), "{bad}");
        }
        assert!(payload.insert("a", Vec::new(), -1).is_err());
    }

    #[test]
    fn one_object_under_many_names_is_bounded() {
        let object = || vec![0; 1 << 20];
        let mut payload = Payload::default();
        let error = (0..64).find_map(|n| payload.insert(&n.to_string(), object(), 0o644).err());
        assert_eq!(error.as_deref(), Some("the volume holds more than 33554432 bytes"));
        assert_eq!(payload.files.len(), 33);
        assert!(Payload::default().extend(payload).is_err());
    }

    #[test]
    fn directories_and_top_names() {
        let mut payload = Payload::default();
        for path in ["a/b/c", "a/d", "e", "a-b"] {
            payload.insert(path, Vec::new(), 0o644).unwrap();
        }
        assert_eq!(payload.top_names(), ["a", "a-b", "e"].to_vec());
        let directories: Vec<_> = payload.directories().into_iter().map(|(d, names)| (d, names.join(" "))).collect();
        let expected = [("", "a a-b e"), ("a", "b d"), ("a/b", "c")];
        assert_eq!(directories, expected.map(|(d, names)| (d.to_owned(), names.to_owned())));
    }
}
