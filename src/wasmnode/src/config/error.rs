//! What can be wrong with a configuration.

use std::path::PathBuf;

/// Each is one line that names the file and the field.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("configuration {}{}: {problem}", path.display(), at_line(*line))]
    Parse { path: PathBuf, line: Option<u64>, problem: String },
    #[error("configuration field {field}: {problem}")]
    Field { field: &'static str, problem: String },
    #[error("flag --{flag}: {problem}")]
    Flag { flag: &'static str, problem: String },
    #[error(
        "podLogsDir is {}, and a kubelet works on this host ({evidence}): it would delete the logs of pods that it does \
         not know, so set podLogsDir to another directory", dir.display()
    )]
    Kubelet { dir: PathBuf, evidence: String },
}

// === impl ConfigError ===

impl ConfigError {
    /// About one field.
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
