//! What a confined process can and cannot do any more. Each case is a process of its own: being confined cannot be
//! taken back.

#![allow(clippy::unwrap_used)]

mod cases;
mod syscalls;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use wasmnode_provider_process::confine::{Allowed, Confined, confine};

/// Set in a case's process: which one it is.
const CASE: &str = "CONFINE_CASE";
/// Set in a case's process: its directories.
const PLACE: &str = "CONFINE_PLACE";

/// Directories as a runner has them, and some that it must not reach.
struct Place {
    top: PathBuf,
}

type Case = fn(&Place);

const CASES: &[(&str, Case)] = &[
    ("programs_cannot_be_executed", cases::programs_cannot_be_executed),
    ("own_files_can_be_used", cases::own_files_can_be_used),
    ("a_directory_for_files_takes_nothing_else", cases::a_directory_for_files_takes_nothing_else),
    ("other_files_cannot_be_opened", cases::other_files_cannot_be_opened),
    ("code_cannot_be_changed", cases::code_cannot_be_changed),
    ("single_files_can_be_let_in", cases::single_files_can_be_let_in),
    ("others_cannot_be_signalled", cases::others_cannot_be_signalled),
    ("privileges_are_gone", cases::privileges_are_gone),
    ("inherited_descriptors_are_closed", cases::inherited_descriptors_are_closed),
    ("threads_and_sockets_work", cases::threads_and_sockets_work),
    ("own_proc_stays_open", cases::own_proc_stays_open),
    ("forbidden_calls_fail", syscalls::forbidden_calls_fail),
    ("namespaces_cannot_be_made", syscalls::namespaces_cannot_be_made),
    ("a_missing_path_is_named", cases::a_missing_path_is_named),
];

// === impl Place ===

impl Place {
    fn make(top: PathBuf) -> Self {
        for directory in ["pods", "exits", "code", "other"] {
            std::fs::create_dir(top.join(directory)).unwrap();
        }
        for file in ["code/a.cwasm", "other/secret", "let-in"] {
            std::fs::write(top.join(file), "content").unwrap();
        }
        Self { top }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    fn allowed(&self) -> Allowed {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
        Allowed { read: paths(&["code", "let-in"]), write: paths(&["pods"]), files: paths(&["exits"]) }
    }

    fn confine(&self) -> Confined {
        confine(&self.allowed()).unwrap()
    }
}

/// Whether the case's assertions hold, in a process of its own.
fn in_a_process(name: &'static str) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    Place::make(directory.path().to_owned());
    let output = Command::new(env::current_exe()?).env(CASE, name).env(PLACE, directory.path()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

fn main() -> ExitCode {
    if let (Some(case), Some(place)) = (env::var_os(CASE), env::var_os(PLACE)) {
        let (_, case) = CASES.iter().find(|(name, _)| case == *name).unwrap();
        case(&Place { top: place.into() });
        return ExitCode::SUCCESS;
    }
    let trials = CASES.iter().map(|(name, _)| Trial::test(*name, || in_a_process(name)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
