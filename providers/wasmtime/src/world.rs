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

/// Which handler of HTTP requests a component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handles {
    Wasip2,
    Wasip3,
}

/// What a component can be started as: at least one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) runs: Option<Runs>,
    pub(crate) handles: Option<Handles>,
    /// Its exports, for people.
    pub(crate) exports: String,
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
/// [`StartFailure::World`] for a component that is neither a program nor handles requests.
pub(crate) fn component(component: &Component) -> Result<World, Error> {
    let types = component.component_type();
    let names = types.exports(component.engine()).map(|(name, _)| name.to_owned());
    of_exports(&names.collect::<Vec<_>>())
}

fn of_exports(names: &[String]) -> Result<World, Error> {
    let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    let either = |newer: bool, older: bool| if newer { Some(true) } else { older.then_some(false) };
    let runs = either(has("wasi:cli/run@0.3."), has("wasi:cli/run@0.2."));
    let handles = either(has("wasi:http/handler@0.3."), has("wasi:http/incoming-handler@0.2."));
    let exports = named(names.iter().cloned());
    if runs.is_none() && handles.is_none() {
        return Err(world(format!(
            "the component is neither an HTTP server nor a program: it has no wasi:http/incoming-handler, no \
             wasi:http/handler, and it has no wasi:cli/run, its exports are: {exports}"
        )));
    }
    Ok(World {
        runs: runs.map(|newer| if newer { Runs::Wasip3 } else { Runs::Wasip2 }),
        handles: handles.map(|newer| if newer { Handles::Wasip3 } else { Handles::Wasip2 }),
        exports,
    })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_a_component_can_be() {
        let cases: [(&[&str], Option<Runs>, Option<Handles>); 5] = [
            (&["wasi:cli/run@0.2.3"], Some(Runs::Wasip2), None),
            (&["wasi:cli/run@0.3.0"], Some(Runs::Wasip3), None),
            (&["wasi:http/incoming-handler@0.2.0"], None, Some(Handles::Wasip2)),
            (&["wasi:http/handler@0.3.2", "wasi:http/incoming-handler@0.2.0"], None, Some(Handles::Wasip3)),
            (&["wasi:cli/run@0.2.0", "wasi:http/incoming-handler@0.2.9"], Some(Runs::Wasip2), Some(Handles::Wasip2)),
        ];
        for (exports, runs, handles) in cases {
            let names: Vec<_> = exports.iter().map(ToString::to_string).collect();
            let world = of_exports(&names).unwrap();
            assert_eq!((world.runs, world.handles), (runs, handles), "{exports:?}");
        }
        let error = of_exports(&["wasi:http/incoming-handler@0.1.0".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("exports are: wasi:http/incoming-handler@0.1.0"), "{error}");
    }
}
