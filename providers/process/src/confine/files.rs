//! Files by landlock: what is not named cannot be opened, and nothing can be executed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};

use super::{Allowed, ConfineError};

/// The newest version whose restrictions were tried with all of this. An older kernel restricts what it can.
const TRIED: ABI = ABI::V6;

/// What the engine asks of its own process: which of its pages were written to.
const OWN_PROC: &str = "/proc/self";

/// Where the engine reads how many mappings it may have.
const LIMITS: &str = "/proc/sys/vm";

/// `None` on a kernel without landlock; else something to keep, see [`super::Confined`].
pub(super) fn close_off(allowed: &Allowed) -> Result<Option<OwnedFd>, ConfineError> {
    let own_proc = open(Path::new(OWN_PROC))?;
    let mut rules =
        Ruleset::default().handle_access(AccessFs::from_all(TRIED))?.scope(Scope::from_all(TRIED))?.create()?;
    for path in allowed.read.iter().map(AsRef::as_ref).chain([Path::new(OWN_PROC), Path::new(LIMITS)]) {
        rules = allow(rules, path, AccessFs::from_read(TRIED))?;
    }
    for path in &allowed.write {
        rules = allow(rules, path, AccessFs::from_all(TRIED))?;
    }
    for path in &allowed.files {
        rules = allow(rules, path, regular_files())?;
    }
    let enforced = rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced;
    if !enforced {
        tracing::warn!("This kernel has no landlock; files are protected by their modes alone");
    }
    Ok(enforced.then_some(own_proc))
}

/// Others read such a directory and remove it: nothing but what its owner needs is to be found there. Links to elsewhere
/// and moves from elsewhere are refused for want of [`AccessFs::Refer`].
fn regular_files() -> BitFlags<AccessFs> {
    AccessFs::from_read(TRIED) | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, ConfineError> {
    let fd = open(path)?;
    let status = rustix::fs::fstat(&fd).map_err(|errno| unusable(path, errno.into()))?;
    let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
    let possible = if is_directory { AccessFs::from_all(TRIED) } else { AccessFs::from_file(TRIED) };
    let rule = PathBeneath::new(fd.as_fd(), (access & possible) & !BitFlags::from(AccessFs::Execute));
    Ok(rules.add_rule(rule)?)
}

fn open(path: &Path) -> Result<OwnedFd, ConfineError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| unusable(path, errno.into()))
}

fn unusable(path: &Path, source: io::Error) -> ConfineError {
    ConfineError::Path { path: path.to_owned(), source }
}
