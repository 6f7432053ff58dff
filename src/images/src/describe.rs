//! What a file of wasm asks for and offers, for people and for the configuration of artifacts.
//!
//! [`crate::inspect`] looks at what strangers sent and reads as little as it can; this reads files that their owner
//! wants to know about.

use wasmparser::{Parser, Payload};

use crate::image::{Engine, Kind};
use crate::inspect::is_wasip3;

/// Names that are kept of imports or exports each; real programs have a few hundred.
const MAX_NAMES: usize = 10_000;

/// What is in a file of wasm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Module or component.
    pub kind: Kind,
    /// The engine that would run it.
    pub engine: Engine,
    /// `module::name` of modules, names of interfaces of components.
    pub imports: Vec<String>,
    /// Names.
    pub exports: Vec<String>,
}

/// Describes a whole file.
///
/// # Errors
/// What the parser says is wrong with it.
pub fn describe(wasm: &[u8]) -> Result<Description, String> {
    let mut found = Description { kind: Kind::Module, engine: Engine::Base, imports: Vec::new(), exports: Vec::new() };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|err| err.to_string())?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        // What is nested is the component's own business.
        if depth == 0 {
            found.take(payload).map_err(|err| err.message().to_owned())?;
        }
    }
    found.imports.truncate(MAX_NAMES);
    found.exports.truncate(MAX_NAMES);
    if found.imports.iter().chain(&found.exports).any(|name| found.kind == Kind::Component && is_wasip3(name)) {
        found.engine = Engine::Wasip3;
    }
    Ok(found)
}

impl Description {
    fn take(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                self.kind = Kind::Component;
                for import in imports {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) => {
                self.kind = Kind::Component;
                for export in exports {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::Version { encoding: wasmparser::Encoding::Component, .. } => self.kind = Kind::Component,
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    self.imports.push(format!("{}::{}", import.module, import.name));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    self.exports.push(export?.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn imports_and_exports_of_the_outermost() {
        let module = "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)) (memory (export \"memory\") 1) \
            (func (export \"_start\")))";
        let found = describe(&wat::parse_str(module).unwrap()).unwrap();
        assert_eq!((found.kind, found.engine), (Kind::Module, Engine::Base));
        assert_eq!(found.imports, ["wasi_snapshot_preview1::fd_write"]);
        assert_eq!(found.exports, ["memory", "_start"]);

        let component = "(component (import \"wasi:cli/environment@0.3.0\" (instance)) \
            (core module (import \"inner\" \"x\" (func)) (func (export \"y\"))))";
        let found = describe(&wat::parse_str(component).unwrap()).unwrap();
        assert_eq!((found.kind, found.engine), (Kind::Component, Engine::Wasip3));
        assert_eq!((found.imports, found.exports), (vec!["wasi:cli/environment@0.3.0".to_owned()], Vec::new()));
        assert!(describe(b"#!/bin/sh").is_err());
    }
}
