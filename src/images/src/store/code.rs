//! Compiled code: files that an engine maps and trusts, so they are checked against their record.

use std::fs::File;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::files::{self, blocking};
use super::{CodeKey, CodeRecord, Pin, Store};
use crate::digest::Hasher;
use crate::error::{DiskContext, DiskError};

// === impl Store ===

impl Store {
    /// Where the code of `key` is or will be.
    pub(crate) fn code_path(&self, key: &CodeKey) -> PathBuf {
        self.paths.code_file(key)
    }

    /// Code that is there and unchanged: its size each time, its digest once per process, which
    /// is what a disk or a crash can do to a file that nobody may write.
    pub(crate) async fn code(&self, key: &CodeKey) -> Result<Option<CodeRecord>, DiskError> {
        let (record, checked) = {
            let state = self.state();
            (state.code.get(key).cloned(), state.checked.contains(key))
        };
        let Some(record) = record else { return Ok(None) };
        let (path, expected) = (self.code_path(key), record.clone());
        if blocking(move || is_intact(&path, &expected, checked)).await? {
            self.state().checked.insert(key.clone());
            return Ok(Some(record));
        }
        tracing::warn!(path = %self.code_path(key).display(), "Compiled code is damaged: compiling again");
        self.state().code.remove(key);
        Ok(None)
    }

    /// The code cannot be loaded although it is what was written: the next one who asks has it compiled again.
    pub(crate) fn distrust(&self, key: &CodeKey) {
        let mut state = self.state();
        state.code.remove(key);
        state.checked.remove(key);
    }

    /// An unfinished file of code; the caller has pinned and recorded it. Blocking.
    pub(crate) fn temp_code(&self, key: &CodeKey) -> Result<NamedTempFile, DiskError> {
        self.paths.temp_code(key)
    }

    /// Gives compiled code its name and records it.
    pub(crate) async fn put_code(&self, key: CodeKey, temp: NamedTempFile) -> Result<CodeRecord, DiskError> {
        let path = self.code_path(&key);
        let record = blocking(move || {
            let file = temp.reopen().at("open", temp.path())?;
            let size = file.metadata().at("read", temp.path())?.len();
            let digest = Hasher::read_all(file).at("read", temp.path())?;
            files::settle_code(temp, &path)?;
            Ok(CodeRecord::new(key, size, digest))
        })
        .await?;
        {
            let mut state = self.state();
            state.pending.remove(&Pin::Code(record.key()));
            state.checked.insert(record.key());
            state.code.insert(record.key(), record.clone());
        }
        self.save().await?;
        Ok(record)
    }
}

fn is_intact(path: &std::path::Path, record: &CodeRecord, checked: bool) -> Result<bool, DiskError> {
    let sized = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == record.size);
    if !sized || checked {
        return Ok(sized);
    }
    let file = File::open(path).at("open", path)?;
    Ok(Hasher::read_all(file).at("read", path)? == record.digest)
}
