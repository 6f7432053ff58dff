//! What the agent writes down about a runner, so that the next agent finds it.
//!
//! A record is written before the runner is relied upon, and read by this release, the one before and the one after
//! within one [`VERSION`]: fields are only added, and unknown ones are skipped.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use wasmnode_provider_api::{Engine, EngineId, EngineName};

use super::Config;
use super::names::RunnerId;
use crate::PROTOCOL;

/// Of the record's form. Raised only when an older agent must not touch the runner.
pub(crate) const VERSION: u32 = 1;

/// Bytes of a record; a real one has some hundred.
const MAX_RECORD: u64 = 64 << 10;

/// One runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) group: String,
    /// 0 while it is being started.
    pub(crate) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: with the pid, nobody else's.
    pub(crate) start_time: u64,
    pub(crate) boot_id: String,
    /// Of the program.
    pub(crate) build: String,
    /// What that build compiles for, as its own agent knew it; none in records of before this was noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) engines: Vec<RecordedEngine>,
    /// What it was started from.
    pub(crate) program: PathBuf,
    /// User and group id that it runs as.
    pub(crate) user: Option<u32>,
    /// The sandbox that has it to itself.
    pub(crate) exclusive: Option<String>,
    /// Protocol major that was spoken with it.
    pub(crate) protocol: u32,
    /// Version of the agent that wrote this.
    pub(crate) made_by: String,
    /// Set when its end was seen and some of its exits were not acknowledged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<Ended>,
}

/// One engine of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedEngine {
    name: String,
    id: String,
}

/// How a runner ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    /// For people; the message of every exit that it caused.
    pub(crate) cause: String,
    /// Milliseconds since 1970.
    pub(crate) at_millis: u64,
}

/// Why a record is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("version {0} is not known")]
    Newer(u32),
    #[error("{0}")]
    Damaged(String),
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

// === impl Record ===

impl Record {
    /// Of a runner of this build that is about to be started.
    pub(crate) fn new(id: &RunnerId, group: &str, config: &Config, boot_id: &str) -> Self {
        Self {
            version: VERSION,
            id: id.as_str().to_owned(),
            group: group.to_owned(),
            pid: 0,
            start_time: 0,
            boot_id: boot_id.to_owned(),
            build: config.build.clone(),
            engines: config.engines.iter().map(RecordedEngine::from).collect(),
            program: config.program.clone(),
            user: None,
            exclusive: None,
            protocol: PROTOCOL,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            ended: None,
        }
    }

    /// Those that this build knows, too.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        self.engines.iter().filter_map(RecordedEngine::read).collect()
    }

    /// Writes it in one step, so that a reader finds the old one or the new one.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec(self)?)
    }

    /// # Errors
    /// [`RecordError::Newer`] before anything else: what a later release means by the other fields is not known.
    pub(crate) fn parse(bytes: &[u8], id: &RunnerId, group: &str) -> Result<Self, RecordError> {
        let damaged = |e: serde_json::Error| RecordError::Damaged(e.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(RecordError::Newer(version));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        if record.id != id.as_str() || record.group != group {
            return Err(RecordError::Damaged(format!("it is of runner {} of group {}", record.id, record.group)));
        }
        Ok(record)
    }
}

// === impl RecordedEngine ===

impl RecordedEngine {
    fn read(&self) -> Option<Engine> {
        let name = [EngineName::Base, EngineName::Wasip3].into_iter().find(|name| engine_name(*name) == self.name)?;
        Some(Engine { name, id: EngineId::new(self.id.as_str()).ok()? })
    }
}

impl From<&Engine> for RecordedEngine {
    fn from(engine: &Engine) -> Self {
        Self { name: engine_name(engine.name).to_owned(), id: engine.id.to_string() }
    }
}

fn engine_name(name: EngineName) -> &'static str {
    match name {
        EngineName::Base => "base",
        EngineName::Wasip3 => "wasip3",
    }
}

// === impl Ended ===

impl Ended {
    pub(crate) fn new(cause: String, at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { cause, at_millis: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(crate) fn at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at_millis)).unwrap_or(UNIX_EPOCH)
    }
}

/// The whole of a small file of the agent's own.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_RECORD + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_RECORD {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_RECORD} bytes")));
    }
    Ok(bytes)
}

/// Writes a small file of the agent's own beside and renames it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _stale = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _best_effort = std::fs::remove_file(&beside);
    }
    written
}

/// One that does not exist is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    fn record() -> Record {
        Record {
            version: VERSION,
            id: ID.to_owned(),
            group: "node".to_owned(),
            pid: 4711,
            start_time: 99,
            boot_id: "b".to_owned(),
            build: "1".to_owned(),
            engines: vec![RecordedEngine { name: "wasip3".to_owned(), id: "e".repeat(64) }],
            program: "/bin/wasmnode".into(),
            user: Some(7),
            exclusive: None,
            protocol: 1,
            made_by: "0.1.0".to_owned(),
            ended: None,
        }
    }

    #[test]
    fn survives_the_disk_and_is_readable_for_a_release_with_more_fields() {
        let top = tempfile::tempdir().unwrap();
        let (path, id) = (top.path().join("r.json"), RunnerId::parse(ID).unwrap());
        let mut record = record();
        record.write(&path).unwrap();
        record.ended = Some(Ended::new("x".to_owned(), UNIX_EPOCH + Duration::from_secs(5)));
        record.write(&path).unwrap();
        assert_eq!(Record::parse(&read(&path).unwrap(), &id, "node").unwrap(), record);
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1);
        let mut later = serde_json::to_value(&record).unwrap();
        later["added"] = serde_json::json!({"by": "a later release"});
        let later = serde_json::to_vec(&later).unwrap();
        assert_eq!(Record::parse(&later, &id, "node").unwrap(), record);
    }

    #[test]
    fn engines_are_read_back_and_those_of_other_releases_are_left_out() {
        let mut record = record();
        let known = Engine { name: EngineName::Wasip3, id: EngineId::new("e".repeat(64)).unwrap() };
        assert_eq!(record.engines, [RecordedEngine::from(&known)]);
        record.engines.push(RecordedEngine { name: "later".to_owned(), id: "e".repeat(64) });
        assert_eq!(record.engines(), [known]);
        let mut older = serde_json::to_value(&record).unwrap();
        older.as_object_mut().unwrap().remove("engines").unwrap();
        let older = serde_json::to_vec(&older).unwrap();
        assert!(Record::parse(&older, &RunnerId::parse(ID).unwrap(), "node").unwrap().engines().is_empty());
    }

    #[test]
    fn refuses_what_it_cannot_know() {
        let id = RunnerId::parse(ID).unwrap();
        let newer = br#"{"version": 2, "pid": "in another form"}"#;
        assert!(matches!(Record::parse(newer, &id, "node"), Err(RecordError::Newer(2))));
        let good = serde_json::to_vec(&record()).unwrap();
        for (bytes, group) in [(&b""[..], "node"), (b"\0\xff{", "node"), (b"{}", "node"), (&good, "other")] {
            assert!(matches!(Record::parse(bytes, &id, group), Err(RecordError::Damaged(_))), "{bytes:?}");
        }
    }
}
