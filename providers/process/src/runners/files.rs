//! What the agent keeps beside a runner's record, in directories that are its own.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use wasmnode_provider_api::{RunId, SandboxId, SandboxSpec, wire};

use super::names::GroupDirs;
use super::record;

/// Runs of one runner that are read back.
const MAX_RUNS: usize = 65_536;

/// What is known of runs that an earlier agent started: sandbox, container, when.
pub(crate) type Recorded = HashMap<RunId, (SandboxId, String, SystemTime)>;

/// The directory, whose parent must be there, with exactly this mode.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
    }
}

// A run's record is a link that leads nowhere, `<sandbox>:<container>`: it is made in one step and costs an inode of a
// memory file system and no page.

pub(crate) fn record_run(runs: &Path, run: &RunId, sandbox: &SandboxId, container: &str) -> io::Result<()> {
    let link = runs.join(run.as_str());
    // A leftover of the same run says the same.
    record::remove(&link)?;
    std::os::unix::fs::symlink(format!("{sandbox}:{container}"), link)
}

pub(crate) fn forget_run(runs: &Path, run: &RunId) -> io::Result<()> {
    record::remove(&runs.join(run.as_str()))
}

/// What was recorded; damaged entries are left out.
pub(crate) fn recorded_runs(runs: &Path) -> io::Result<Recorded> {
    let entries = match fs::read_dir(runs) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Recorded::new()),
        entries => entries?,
    };
    let mut recorded = Recorded::new();
    for entry in entries.take(MAX_RUNS) {
        let entry = entry?;
        let run = entry.file_name().to_str().and_then(|name| RunId::new(name).ok());
        let target = fs::read_link(entry.path()).ok();
        let parsed = target.as_ref().and_then(|target| target.to_str()).and_then(|target| target.split_once(':'));
        let sandbox = parsed.and_then(|(sandbox, _)| SandboxId::new(sandbox).ok());
        if let (Some(run), Some(sandbox), Some((_, container))) = (run, sandbox, parsed) {
            let at = entry.metadata()?.modified()?;
            recorded.insert(run, (sandbox, container.to_owned(), at));
        }
    }
    Ok(recorded)
}

pub(crate) fn write_spec(dirs: &GroupDirs, spec: &SandboxSpec) -> io::Result<()> {
    make_dir(&dirs.runners, 0o755)?;
    record::replace(&dirs.spec(&spec.id), &wire::encode(spec.clone()))
}

pub(crate) fn read_spec(dirs: &GroupDirs, id: &SandboxId) -> Result<SandboxSpec, String> {
    let bytes = record::read(&dirs.spec(id)).map_err(|e| e.to_string())?;
    let spec: SandboxSpec = wire::decode(&bytes).map_err(|e| e.to_string())?;
    if spec.id == *id { Ok(spec) } else { Err(format!("it is of sandbox {}", spec.id)) }
}

/// A directory of the agent's own and what is in it.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_back_as_they_were_recorded() {
        let top = tempfile::tempdir().unwrap();
        let (run, other) = (RunId::new("a".repeat(64)).unwrap(), RunId::new("b".repeat(64)).unwrap());
        let sandbox = SandboxId::new("c".repeat(64)).unwrap();
        for run in [&run, &run, &other] {
            record_run(top.path(), run, &sandbox, "web:1").unwrap();
        }
        forget_run(top.path(), &other).unwrap();
        forget_run(top.path(), &other).unwrap();
        std::os::unix::fs::symlink("nonsense", top.path().join("d".repeat(64))).unwrap();
        fs::write(top.path().join("e".repeat(64)), "").unwrap();
        let recorded = recorded_runs(top.path()).unwrap();
        assert_eq!(recorded.len(), 1);
        assert_eq!((&recorded[&run].0, recorded[&run].1.as_str()), (&sandbox, "web:1"));
        assert!(recorded_runs(&top.path().join("none")).unwrap().is_empty());
    }
}
