//! The command lines of the tools.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Work with the images that `run` uses.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Pull an image and compile it.
    Pull(PullArgs),
    /// List what is stored.
    List(ListArgs),
    /// Say what an image is and whether it runs here.
    Inspect(InspectArgs),
    /// Remove images by name.
    Remove(RemoveArgs),
    /// Remove all images.
    Prune(PruneArgs),
}

/// Which store, and whose settings.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Directory of the images and their compiled code; by default `wasmnode` in the user's directory of caches.
    #[arg(long, value_name = "DIR")]
    pub(super) root_dir: Option<PathBuf>,
    /// Configuration file of an agent, for what it says about registries, images and compiling.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Flags of `image pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Reference in a registry.
    pub(super) image: String,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `image list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How the answer is written.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A `.wasm` file, a reference in a registry, or `oci:DIR[:TAG]`.
    #[arg(value_name = "FILE|IMAGE")]
    pub(super) image: String,
    /// How the answer is written.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `image remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Names as `image list` shows them.
    #[arg(required = true)]
    pub(super) images: Vec<String>,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `image prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// A `.wasm` file.
    pub(super) file: PathBuf,
    /// Reference in a registry.
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(super) shell: Shell,
}
