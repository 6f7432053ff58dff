//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Overrides;
use crate::config::units::GoDuration;
use crate::run::RunArgs;
use crate::runner::RunnerArgs;
use crate::tools::{CompletionsArgs, ImageVerb, InspectArgs, PushArgs};
use crate::version;

/// A Kubernetes node that runs WebAssembly pods.
#[derive(Debug, Parser)]
#[command(name = "wasmnode", version = version::long(), subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Register the node and run its pods.
    Agent(AgentArgs),
    /// End all pods of this node and take no more.
    Drain(DrainArgs),
    /// End all pods of this node and remove its directories.
    Uninstall(UninstallArgs),
    /// Run pods from a file, or one program, without a cluster.
    Run(RunArgs),
    /// Compile wasm from standard input to machine code on standard output; used by the agent.
    #[command(hide = true)]
    Compile(CompileArgs),
    /// Run the pods of one group in this process; used by the agent.
    #[command(hide = true)]
    Runner(RunnerArgs),
    /// Work with the images that `run` uses.
    #[command(subcommand)]
    Image(ImageVerb),
    /// Say what a file of wasm or an image is, and whether it runs here.
    Inspect(InspectArgs),
    /// Push a file of wasm to a registry.
    Push(PushArgs),
    /// Work with the configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a script that completes command lines.
    Completions(CompletionsArgs),
    /// Print the versions of everything in this build.
    Version,
    /// Write the generated pages of the documentation.
    #[command(hide = true)]
    Docs {
        /// Directory to write to.
        #[arg(default_value = "docs")]
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print the configuration in effect, as YAML.
    Show(AgentArgs),
}

/// Flags of the agent. They take precedence over the configuration file.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Configuration file (YAML); the defaults without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Credentials of the node: a kubeconfig file of the user system:node:NAME.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Directory for the agent's state.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wasmnode")]
    root_dir: PathBuf,
    /// Address of the node; by default the one from which it reaches the API server.
    #[arg(long, value_name = "IP")]
    node_ip: Option<IpAddr>,
    /// Name of the node; by default the host's name.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// Log verbosity: 0 to 10, as `logging.verbosity`.
    #[arg(long, value_name = "LEVEL")]
    v: Option<u8>,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Configuration file of the agent (YAML); the defaults without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the agent's state.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wasmnode")]
    root_dir: PathBuf,
}

/// Flags of `drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Time for all pods, such as 90s; what is left then is killed. By default `shutdownGracePeriod`, or one minute; 30
    /// seconds where no agent runs.
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<GoDuration>,
}

/// Flags of `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Time for all pods, such as 90s; what is left then is killed. By default 30 seconds.
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<GoDuration>,
    /// Do it.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Flags of a compile job.
#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// The engine configuration that will load the code.
    #[arg(long)]
    pub(crate) engine: Engine,
    /// Niceness, 0 to 19.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=19))]
    pub(crate) nice: u8,
    /// Address space of this process in bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Engine {
    /// Core modules and components up to WASI 0.2.
    Base,
    /// Components of WASI 0.3.
    Wasip3,
}

impl From<PlaceArgs> for Overrides {
    fn from(args: PlaceArgs) -> Self {
        // These verbs have no use for the node's name, which the host's need not be fit for.
        let hostname = Some("localhost".to_owned());
        Self { config: args.config, root_dir: args.root_dir, hostname, ..Self::default() }
    }
}

impl From<AgentArgs> for Overrides {
    fn from(args: AgentArgs) -> Self {
        Self {
            config: args.config,
            kubeconfig: args.kubeconfig,
            root_dir: args.root_dir,
            node_ip: args.node_ip,
            hostname: args.hostname_override,
            verbosity: args.v,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
