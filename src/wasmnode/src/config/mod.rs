//! The node's configuration: one strict YAML file and a few flags, read once, before anything else happens.
//!
//! [`file`] is what is written, [`Config`] what was checked. A field that nothing reads does not exist, an unknown
//! one is an error with its line: a setting that silently does nothing costs more than one that is refused.

mod check;
mod error;
pub(crate) mod file;
mod neighbour;
pub(crate) mod reference;
pub(crate) mod sections;
pub(crate) mod units;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub(crate) use error::ConfigError;
use file::NodeConfiguration;

use crate::exit::one_line;

/// The largest file that is read, bytes. A complete one with every field has less than 4 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What the command line says; it takes precedence over the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--kubeconfig`
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--root-dir`
    pub(crate) root_dir: PathBuf,
    /// `--node-ip`
    pub(crate) node_ip: Option<IpAddr>,
    /// `--hostname-override`
    pub(crate) hostname: Option<String>,
    /// `--v`
    pub(crate) verbosity: Option<u8>,
}

/// The configuration in effect.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file, with flags applied.
    pub(crate) file: NodeConfiguration,
    /// Name of the Node.
    pub(crate) node_name: String,
    /// Address of the node; otherwise the one it reaches the API server from.
    pub(crate) node_ip: Option<IpAddr>,
    /// State of this agent.
    pub(crate) root_dir: PathBuf,
    /// Credentials; the agent does not start without.
    pub(crate) kubeconfig: Option<PathBuf>,
}

// === impl Config ===

impl Config {
    /// Reads and checks.
    pub(crate) fn load(overrides: Overrides) -> Result<Self, ConfigError> {
        let mut file = match &overrides.config {
            Some(path) => parse(path, &read(path)?)?,
            None => NodeConfiguration::default(),
        };
        if let Some(verbosity) = overrides.verbosity {
            file.logging.verbosity = verbosity;
        }
        check::file(&file)?;
        let node_name = check::node_name(overrides.hostname)?;
        let node_ip = overrides.node_ip.map(check::node_ip).transpose()?;
        let root_dir = check::root_dir(overrides.root_dir)?;
        Ok(Self { file, node_name, node_ip, root_dir, kubeconfig: overrides.kubeconfig })
    }

    /// Refuses log directories that a kubelet on this host would empty. `host` is `/` except in tests.
    pub(crate) fn check_neighbours(&self, host: &Path) -> Result<(), ConfigError> {
        neighbour::check(&self.file.pod_logs_dir, host)
    }

    /// As the file would have to be written to mean the same.
    pub(crate) fn to_yaml(&self) -> String {
        serde_saphyr::to_string(&self.file).unwrap_or_else(|error| format!("# cannot be printed: {error}\n"))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(unreadable(std::io::Error::other("larger than 1 MiB")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn parse(path: &Path, text: &str) -> Result<NodeConfiguration, ConfigError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let bare = error.without_snippet();
        let line = bare.location().map(|location| location.line());
        // The parser puts the place last; it is said first here.
        let problem = one_line(&bare.to_string());
        let problem = problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem).to_owned();
        ConfigError::Parse { path: path.to_owned(), line, problem }
    })
}

#[cfg(test)]
mod tests;
