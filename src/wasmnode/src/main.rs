//! `wasmnode`: a Kubernetes node agent that runs WebAssembly pods.
//!
//! One binary, several verbs. This crate parses, builds and joins; what a node does lives in the crates it wires
//! together (`docs/architecture.md`).

mod admin;
mod agent;
mod args;
mod compile;
mod config;
mod docs;
mod drain;
mod exit;
mod host;
mod layout;
mod limits;
mod lock;
mod log;
mod metrics;
mod node;
mod program;
mod run;
mod runner;
mod tmpfs;
mod tools;
mod uninstall;
mod version;
mod wire;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use args::{Cli, ConfigVerb, Verb};
use config::Config;
use exit::Failure;

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    // The agent quotes what a compile job says in events, where the program's name tells nobody anything.
    let prefix = if matches!(verb, Verb::Compile(_)) { "" } else { "wasmnode: " };
    match run(verb) {
        Ok(code) => code,
        Err(failure) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{prefix}{}", exit::one_line(&failure.to_string()));
            ExitCode::from(&failure)
        }
    }
}

/// The exit status is the program's own only where `run` runs one.
fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run(args) => return run::run(args),
        Verb::Agent(args) => agent::run(Config::load(args.into())?)?,
        Verb::Drain(args) => drain::run(args)?,
        Verb::Uninstall(args) => uninstall::run(args)?,
        Verb::Compile(args) => compile::run(&args)?,
        Verb::Runner(args) => runner::run(&args)?,
        Verb::Config(ConfigVerb::Show(args)) => print(&Config::load(args.into())?.to_yaml())?,
        Verb::Image(verb) => print(&tools::image(verb)?)?,
        Verb::Inspect(args) => print(&tools::inspect(&args)?)?,
        Verb::Push(args) => print(&tools::push(&args)?)?,
        Verb::Completions(args) => print(&tools::completions(&args, Cli::command()))?,
        Verb::Version => print(&format!("wasmnode {}\n", version::long()))?,
        Verb::Docs { dir } => {
            let written = docs::write(&dir).with_context(|| format!("cannot write pages to {}", dir.display()))?;
            written.iter().try_for_each(|path| print(&format!("{}\n", path.display())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// To standard output; a reader that left early (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(error).into()),
        _ => Ok(()),
    }
}
