//! wasm in, machine code out. Runs in a process of its own.

use wasmnode_provider_api::EngineName;
use wasmparser::{Encoding, Parser, Payload, Validator};

use crate::engine;

/// Why a binary was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is not a WebAssembly binary that this engine accepts; trying again is useless.
    #[error("not valid WebAssembly: {0}")]
    Invalid(String),
    /// The compiler gave up.
    #[error("compilation failed: {0}")]
    Failed(String),
}

/// Compiles a module or component to code that a provider of this build can load under the id that
/// [`crate::engine_ids`] gives the engine. Uses all cores and much memory: about a hundred times the input.
///
/// # Errors
/// [`CompileError::Invalid`] with the offset of what is wrong, [`CompileError::Failed`] for limits of the compiler.
pub fn compile(engine: EngineName, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let engine = engine::compiler(engine).map_err(|e| CompileError::Failed(format!("{e:#}")))?;
    let encoding = encoding(wasm)?;
    Validator::new_with_features(engine.get_wasm_features())
        .validate_all(wasm)
        .map_err(|e| CompileError::Invalid(e.to_string()))?;
    let code = match encoding {
        Encoding::Module => engine.precompile_module(wasm),
        Encoding::Component => engine.precompile_component(wasm),
    };
    code.map_err(|e| CompileError::Failed(format!("{e:#}")))
}

fn encoding(wasm: &[u8]) -> Result<Encoding, CompileError> {
    let header = Parser::new(0).parse_all(wasm).next();
    match header {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(e)) => Err(CompileError::Invalid(e.to_string())),
        _ => Err(CompileError::Invalid("it has no header".to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_wrong() {
        let truncated = &wat::parse_str("(module (func (export \"_start\") unreachable))").unwrap()[..20];
        let ill_typed = wat::parse_str("(module (func (result i32)))").unwrap();
        let cases: [(&[u8], &str); 5] = [
            (b"", "header"),
            (b"#!/bin/sh", "magic header not detected"),
            (b"\0asm\x02\0\0\0", "unknown binary version"),
            (truncated, "unexpected end"),
            (&ill_typed, "type mismatch"),
        ];
        for (wasm, expected) in cases {
            let error = compile(EngineName::Base, wasm).unwrap_err();
            let CompileError::Invalid(text) = &error else { panic!("{error:?} should be invalid input") };
            assert!(text.contains(expected) || text.contains("end-of-file"), "{text:?} should say {expected:?}");
        }
    }

    #[test]
    fn the_base_engine_has_no_concurrency() {
        let concurrent = wat::parse_str("(component (type (func async)))").unwrap();
        assert!(matches!(compile(EngineName::Base, &concurrent), Err(CompileError::Invalid(_))));
        assert!(compile(EngineName::Wasip3, &concurrent).is_ok());
    }
}
