//! The tools around images: what is stored, what a file of wasm is, and how it gets into a registry.

mod args;
mod bench;
mod inspect;
mod push;
mod store;
mod table;

pub(crate) use args::{CompletionsArgs, ImageVerb, InspectArgs, PushArgs};
pub(crate) use push::user_keyring;

use crate::exit::Failure;
use crate::run;
use bench::Bench;

/// `wasmnode image …`.
pub(crate) fn image(verb: ImageVerb) -> Result<String, Failure> {
    let runtime = run::runtime()?;
    let text = runtime.block_on(async {
        match verb {
            ImageVerb::Pull(args) => store::pull(&args).await,
            ImageVerb::List(args) => store::list(&args).await,
            ImageVerb::Inspect(args) => inspect::inspect(&args).await,
            ImageVerb::Remove(args) => store::remove(&args).await,
            ImageVerb::Prune(args) => store::prune(&args).await,
        }
    });
    runtime.shutdown_background();
    text
}

/// `wasmnode inspect`.
pub(crate) fn inspect(args: &InspectArgs) -> Result<String, Failure> {
    run::runtime()?.block_on(inspect::inspect(args))
}

/// `wasmnode push`.
pub(crate) fn push(args: &PushArgs) -> Result<String, Failure> {
    run::runtime()?.block_on(push::push(args))
}

/// `wasmnode completions`.
pub(crate) fn completions(args: &CompletionsArgs, mut command: clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "wasmnode", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
