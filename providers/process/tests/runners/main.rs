//! Runners as real processes: this program again, with the scripted provider behind [`wasmnode_provider_process::serve`].
//! What is shown is what the agent's side makes of deaths, silence, restarts and damage; no guest is needed for that.

#![allow(clippy::unwrap_used)]

mod adoption;
mod deaths;
mod hostile;
mod life;
mod rig;
mod runner;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

type Case = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|verb| verb == "runner") {
        return runner::main(&arguments[2..]);
    }
    let cases = [life::CASES, deaths::CASES, adoption::CASES, hostile::CASES].concat();
    let trials = cases.into_iter().map(|(name, case)| Trial::test(name, case)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Gives each async case a runtime and a name.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[(&str, $crate::Case)] = &[$((concat!(module_path!(), "::", stringify!($name)), || {
            $crate::rig::play($name())
        })),*];
    };
}
