//! A compile job: wasm on standard input, machine code on standard output, and nothing else of the machine.
//!
//! The compiler is the largest piece of code that reads what strangers wrote. It runs in a process of its own that
//! limits itself first: niceness, address space, no other descriptors, no core dump.

use std::io::{Read, Write};

use anyhow::Context;
use rustix::process::{Resource, Rlimit};
use wasmnode_provider_api::EngineName;
use wasmnode_provider_wasmtime::CompileError;

use crate::args::{CompileArgs, Engine};
use crate::exit::Failure;
use crate::limits;

/// The agent refuses larger modules much earlier (`maxModuleSize`); this only bounds a job run by hand.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Runs the job.
pub(crate) fn run(args: &CompileArgs) -> Result<(), Failure> {
    confine(args)?;
    let wasm = read_input()?;
    let code = wasmnode_provider_wasmtime::compile(engine(args.engine), &wasm).map_err(failure)?;
    std::io::stdout().write_all(&code).context("cannot write the compiled code")?;
    Ok(())
}

fn engine(engine: Engine) -> EngineName {
    match engine {
        Engine::Base => EngineName::Base,
        Engine::Wasip3 => EngineName::Wasip3,
    }
}

/// A limit that cannot be set ends the job: running without would be worse than not compiling.
fn confine(args: &CompileArgs) -> anyhow::Result<()> {
    close_inherited();
    limits::end_at(limits::FIRST);
    if args.nice > 0 {
        rustix::process::setpriority_process(None, i32::from(args.nice)).context("cannot lower the priority")?;
    }
    limit(Resource::Core, 0).context("cannot switch core dumps off")?;
    if let Some(bytes) = args.memory_limit {
        limit(Resource::As, bytes).context("cannot limit the address space")?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
}

/// Descriptors beyond the standard three that a careless parent left open.
#[allow(unsafe_code)]
fn close_inherited() {
    // SAFETY: called first thing in `main`, when this process has opened no descriptor of its own beyond the standard
    // three, so nothing in it owns one of the closed numbers.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

fn read_input() -> anyhow::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    std::io::stdin().take(MAX_INPUT_BYTES + 1).read_to_end(&mut wasm).context("cannot read the wasm")?;
    anyhow::ensure!(wasm.len() as u64 <= MAX_INPUT_BYTES, "the wasm is larger than {MAX_INPUT_BYTES} bytes");
    Ok(wasm)
}

fn failure(error: CompileError) -> Failure {
    match error {
        CompileError::Invalid(text) => Failure::InvalidWasm(text),
        CompileError::Failed(text) => Failure::Other(anyhow::anyhow!(text)),
    }
}
