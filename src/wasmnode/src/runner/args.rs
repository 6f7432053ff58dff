//! The command line of a runner.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use wasmnode_provider_api::HostPath;

use crate::config::sections::{LogFormat, Switch};

/// Flags of a runner. An agent of another build may read them: none changes its meaning.
#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {
    /// Group whose pods it runs.
    #[arg(long, value_parser = element)]
    pub(crate) group: String,
    /// Which of the group's runners it is.
    #[arg(long, value_parser = element)]
    pub(crate) id: String,
    /// Directory of the agent's state.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_root: PathBuf,
    /// Directory of volumes in memory.
    #[arg(long, value_name = "DIR")]
    pub(crate) memory_root: PathBuf,
    /// Directory of pods' logs.
    #[arg(long, value_name = "DIR")]
    pub(crate) logs_root: PathBuf,
    /// Runs that fit at the same time.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) capacity: u32,
    /// Whether components of WASI 0.3 run.
    #[arg(long)]
    pub(crate) wasip3: OnOff,
    /// The agent's name for this build.
    #[arg(long)]
    pub(crate) build: String,
    /// A file or directory of the host that its pods see, `ro:PATH` or `rw:PATH`.
    #[arg(long = "path", value_name = "MODE:PATH")]
    pub(crate) paths: Vec<LetIn>,
    /// How messages are written.
    #[arg(long, default_value = "text")]
    pub(crate) log_format: Format,
    /// Log verbosity: 0 to 10.
    #[arg(long, default_value_t = 0)]
    pub(crate) v: u8,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OnOff {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// A path that a runner is let into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetIn(pub(crate) HostPath);

impl From<OnOff> for Switch {
    fn from(value: OnOff) -> Self {
        match value {
            OnOff::On => Self::On,
            OnOff::Off => Self::Off,
        }
    }
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

impl FromStr for LetIn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, path) = text.split_once(':').ok_or("it has no mode, ro: or rw:")?;
        let read_only = match mode {
            "ro" => true,
            "rw" => false,
            _ => return Err(format!("mode {mode} is neither ro nor rw")),
        };
        if !Path::new(path).is_absolute() {
            return Err(format!("{path} is no absolute path"));
        }
        Ok(Self(HostPath { path: path.into(), read_only }))
    }
}

/// A name that is a single element of a path.
fn element(text: &str) -> Result<String, String> {
    let mut components = Path::new(text).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == text => Ok(text.to_owned()),
        _ => Err("it is no single element of a path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        assert_eq!(element("ns-default").as_deref(), Ok("ns-default"));
        for name in ["", ".", "..", "a/b", "/a", "a/", "./a"] {
            assert!(element(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn paths_have_a_mode() {
        let let_in = |path: &str, read_only| Ok(LetIn(HostPath { path: path.into(), read_only }));
        assert_eq!("ro:/a:b c".parse(), let_in("/a:b c", true));
        assert_eq!("rw:/a".parse(), let_in("/a", false));
        for text in ["/a", "rx:/a", "ro:a", "ro:"] {
            assert!(text.parse::<LetIn>().is_err(), "{text}");
        }
    }
}
