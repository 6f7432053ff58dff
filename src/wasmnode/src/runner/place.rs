//! The directories of a runner.

use std::path::PathBuf;

use wasmnode_provider_process::confine::Allowed;

use super::RunnerArgs;
use super::args::LetIn;

/// Where a runner finds and puts things. All of it was made by the agent.
#[derive(Debug)]
pub(super) struct Place {
    /// Of the group, on disk and in memory: what its pods' containers see.
    pods: [PathBuf; 2],
    /// Of the group: compiled code.
    code: PathBuf,
    /// Of this runner: exits and last words.
    pub(super) exits: PathBuf,
    logs: PathBuf,
}

// === impl Place ===

impl Place {
    pub(super) fn of(args: &RunnerArgs) -> Self {
        let group = |root: &PathBuf| root.join("groups").join(&args.group);
        let (state, memory) = (group(&args.state_root), group(&args.memory_root));
        Self {
            pods: [state.join("pods"), memory.join("pods")],
            code: state.join("code"),
            exits: state.join("exits").join(&args.id),
            logs: args.logs_root.clone(),
        }
    }

    /// What stays reachable; for logs and pods the modes say which ones.
    pub(super) fn allowed(&self, let_in: &[LetIn]) -> Allowed {
        let let_in = |read_only| {
            let these = let_in.iter().filter(move |LetIn(path)| path.read_only == read_only);
            these.map(|LetIn(path)| path.path.clone())
        };
        let own = [&self.pods[0], &self.pods[1], &self.logs].map(PathBuf::clone);
        Allowed {
            read: [self.code.clone()].into_iter().chain(let_in(true)).collect(),
            write: own.into_iter().chain(let_in(false)).collect(),
            files: vec![self.exits.clone()],
        }
    }
}
