//! The command line of `run`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A file of Pods, Deployments, Jobs, ConfigMaps and Secrets (`pod.yaml`; `-` is standard input), or an image: a
    /// reference in a registry, `oci:DIR[:TAG]`, or a `.wasm` file.
    #[arg(value_name = "FILE|IMAGE")]
    pub(super) what: String,
    /// Arguments of the program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) args: Vec<String>,
    /// A variable of the program's environment; without `=` its value here.
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(super) env: Vec<Variable>,
    /// A directory of this machine that the program sees; `:ro` lets it only read.
    #[arg(long, short, value_name = "DIR:GUEST[:ro]")]
    pub(super) volume: Vec<Volume>,
    /// Gives the program this standard input; without, its input is empty.
    #[arg(long, short)]
    pub(super) interactive: bool,
    /// Tells the program that it is at a terminal, whose lines are edited, echoed and ended (Ctrl-D) as ever.
    #[arg(long, short)]
    pub(super) tty: bool,
    /// Name of the pod; by default that of the image.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// When the registry is asked.
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(super) pull: Pull,
    /// Directory of the images, their compiled code and what runs now; by default `wasmnode` in the user's directory
    /// of caches.
    #[arg(long, value_name = "DIR")]
    pub(super) root_dir: Option<PathBuf>,
    /// Configuration file of an agent, for what it says about registries, images and compiling.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Log verbosity on standard error: 0 to 10; silent without.
    #[arg(long, value_name = "LEVEL")]
    pub(super) v: Option<u8>,
}

/// `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Pull {
    /// Each time.
    Always,
    /// When no image of that name is here.
    Missing,
    /// Not at all.
    Never,
}

/// `--env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// `--volume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) host: PathBuf,
    pub(super) guest: String,
    pub(super) read_only: bool,
}

// === impl RunArgs ===

impl RunArgs {
    /// Whether a file of objects is meant.
    pub(super) fn is_file(&self) -> bool {
        self.what == "-" || [".yaml", ".yml", ".json"].iter().any(|end| self.what.ends_with(end))
    }

    /// The first flag that only makes sense with an image.
    pub(super) fn flag_of_images(&self) -> Option<&'static str> {
        let given = [
            ("arguments", !self.args.is_empty()),
            ("--env", !self.env.is_empty()),
            ("--volume", !self.volume.is_empty()),
            ("--interactive", self.interactive),
            ("--tty", self.tty),
            ("--name", self.name.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}

// === impl Pull ===

impl Pull {
    /// The word in a pod's spec.
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::Missing => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (text, std::env::var(text).map_err(|_| format!("{text} is not set here: give it a value"))?),
        };
        if name.is_empty() {
            return Err("the variable has no name".to_owned());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, read_only) = match text.rsplit_once(':') {
            Some((rest, "ro")) => (rest, true),
            Some((rest, "rw")) => (rest, false),
            _ => (text, false),
        };
        let (host, guest) = rest.rsplit_once(':').ok_or("it must be DIR:GUEST or DIR:GUEST:ro")?;
        if !guest.starts_with('/') || guest.split('/').any(|part| part == "..") {
            return Err(format!("{guest:?} is not an absolute path of the guest"));
        }
        // The provider takes absolute paths; a link leads where it leads now.
        let host = std::fs::canonicalize(host).map_err(|error| format!("{host}: {error}"))?;
        if !host.is_dir() {
            return Err(format!("{} is not a directory", host.display()));
        }
        let guest = match guest.trim_end_matches('/') {
            "" => return Err("a volume cannot be the guest's root".to_owned()),
            guest => guest.to_owned(),
        };
        Ok(Self { host, guest, read_only })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn volumes_and_variables() {
        let volume = |text: &str| text.parse::<Volume>().map(|volume| (volume.guest, volume.read_only));
        assert_eq!(volume("/:/data"), Ok(("/data".to_owned(), false)));
        assert_eq!(volume("/:/data/:ro"), Ok(("/data".to_owned(), true)));
        for wrong in ["/", "/:data", "/:/a/../b", "/missing-directory:/a", "/etc/hostname:/a", "/:/"] {
            assert!(volume(wrong).is_err(), "{wrong}");
        }
        let variable = |text: &str| text.parse::<Variable>().map(|variable| (variable.name, variable.value));
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("PATH").is_ok() && variable("=x").is_err() && variable("WASMNODE_NOT_SET").is_err());
    }
}
