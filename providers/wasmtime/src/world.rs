//! Whether an artifact is a program that this host can run.

use wasmnode_provider_api::{Error, StartFailure};
use wasmtime::component::Component;
use wasmtime::{ExternType, Module};

/// The entry of a command module.
pub(crate) const START: &str = "_start";

/// Exports that a message names at most.
const MAX_NAMED: usize = 8;

/// Which `wasi:cli/run` a component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    Wasip2,
    Wasip3,
}

/// # Errors
/// [`StartFailure::World`] for a module that is not a command.
pub(crate) fn module(module: &Module) -> Result<(), Error> {
    match module.get_export(START) {
        Some(ExternType::Func(f)) if f.params().len() == 0 && f.results().len() == 0 => Ok(()),
        Some(_) => Err(world("the module's `_start` is not a function without parameters and results".to_owned())),
        None => {
            let exports = named(module.exports().map(|export| export.name().to_owned()));
            Err(world(format!("the module is not a program: it has no `_start`, its exports are: {exports}")))
        }
    }
}

/// # Errors
/// [`StartFailure::World`] for a component that is not a command.
pub(crate) fn component(component: &Component) -> Result<Runs, Error> {
    let types = component.component_type();
    let exports: Vec<_> = types.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let has = |prefix: &str| exports.iter().find(|name| name.starts_with(prefix));
    if has("wasi:cli/run@0.3.").is_some() {
        Ok(Runs::Wasip3)
    } else if has("wasi:cli/run@0.2.").is_some() {
        Ok(Runs::Wasip2)
    } else if let Some(http) = has("wasi:http/") {
        Err(world(format!("the component exports {http}; HTTP servers are not supported by this version of wasmnode")))
    } else {
        let exports = named(exports.into_iter());
        Err(world(format!("the component is not a program: it has no wasi:cli/run, its exports are: {exports}")))
    }
}

fn named(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    let shown = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        n if n > MAX_NAMED => format!("{shown} and {} more", n - MAX_NAMED),
        _ => shown,
    }
}

fn world(message: String) -> Error {
    Error::Start(StartFailure::World(message))
}
