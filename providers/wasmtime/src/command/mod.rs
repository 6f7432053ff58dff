//! Programs that run once, from `_start` or `wasi:cli/run` to their end. One file per kind of program.

mod component;
mod component3;
mod module;

pub(crate) use component::{ComponentCommand, Linker as ComponentLinker, link, linker as linker2};
pub(crate) use component3::{Component3Command, linker as linker3};
pub(crate) use module::{Linker as ModuleLinker, ModuleCommand, linker as module_linker};

use crate::entered::Entered;
use crate::exit::Ended;
use crate::guest::Given;

/// A linked program, ready to be started any number of times.
pub(crate) enum Command {
    Module(ModuleCommand),
    Component(ComponentCommand),
    Component3(Component3Command),
}

impl Command {
    /// Instantiates the program and runs it to its end. Dropping the future ends the guest at once.
    pub(crate) async fn run(&self, given: Given, entered: &Entered) -> Ended {
        match self {
            Self::Module(command) => command.run(given, entered).await,
            Self::Component(command) => command.run(given, entered).await,
            Self::Component3(command) => command.run(given, entered).await,
        }
    }
}
