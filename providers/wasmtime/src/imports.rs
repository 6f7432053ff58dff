//! What an artifact asks for and this host does not have: all of it at once, so that one look is enough.

use wasmnode_provider_api::{EngineName, Error, StartFailure};
use wasmtime::component::Component;
use wasmtime::{Linker, Module};
use wasmtime_wasi::WasiCtxBuilder;

use crate::budget::MemoryBudget;
use crate::guest::{ModuleState, store};
use crate::limiter::Limiter;

/// Imports that are listed at most; what follows is counted.
const MAX_LISTED: usize = 50;

/// Interfaces of WASI 0.2 that are linked. Used for messages only: what decides is the linker.
const WASI_02: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What is linked of WASI 0.3: packages, and interfaces of one.
const WASI_03: &[&str] = &[
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/",
    "wasi:sockets/",
];

/// # Errors
/// [`StartFailure::Imports`] with every import of the module that the linker does not have.
pub(crate) fn of_module(linker: &Linker<ModuleState>, module: &Module) -> Result<(), Error> {
    let limiter = Limiter::new(MemoryBudget::new(Some(0), None).into());
    let mut store = store(linker.engine(), ModuleState::new(WasiCtxBuilder::new(), limiter));
    let mut unknown = Vec::new();
    for import in module.imports() {
        if linker.get_by_import(&mut store, &import).is_none() {
            unknown.push(format!("{}::{}", import.module(), import.name()));
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(failure(unknown)) }
}

/// Why linking a component failed: its unknown imports, or else the linker's own words.
pub(crate) fn of_component(engine: EngineName, component: &Component, error: &wasmtime::Error) -> Error {
    let types = component.component_type();
    let names = types.imports(component.engine()).map(|(name, _)| name.to_owned());
    let unknown: Vec<_> = names.filter(|name| !known(engine, name)).collect();
    if unknown.is_empty() {
        return Error::Start(StartFailure::Invalid(format!("component cannot be linked: {error:#}")));
    }
    failure(unknown)
}

fn known(engine: EngineName, import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    if version.starts_with("0.2.") {
        return WASI_02.contains(&interface);
    }
    let of_03 = WASI_03.iter().any(|package| interface.starts_with(package));
    engine == EngineName::Wasip3 && version.starts_with("0.3.") && of_03
}

fn failure(mut unknown: Vec<String>) -> Error {
    let more = unknown.len().saturating_sub(MAX_LISTED);
    unknown.truncate(MAX_LISTED);
    if more > 0 {
        unknown.push(format!("and {more} more"));
    }
    Error::Start(StartFailure::Imports(unknown))
}
