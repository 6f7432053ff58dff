//! What a file of wasm is, without reading more of it than it takes.
//!
//! Only the headers of the top-level sections and the import and export sections of a component
//! are read: the agent's memory must not grow with the size of a guest. Validation belongs to the
//! compiler, which runs in a process that may fail.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReader, ComponentExportSectionReader, ComponentImportSectionReader};

use crate::image::{Engine, Kind};

const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const ELF: [u8; 4] = *b"\x7fELF";
const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;
/// Imports and exports of a component: names and type indices. Real ones take a few KiB.
const MAX_SECTION: u32 = 4 << 20;
/// Sections of a component; composed ones have thousands.
const MAX_SECTIONS: usize = 1_000_000;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    /// Something else, to stand after `"X" is `.
    #[error("{0}")]
    NotWasm(&'static str),
    /// Wasm, but broken.
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Looks at a file from its start. Blocking.
pub(crate) fn inspect(file: &mut File) -> Result<Inspection, InspectError> {
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut file = io::BufReader::new(file);
    match kind(&mut file)? {
        Kind::Module => Ok(Inspection { kind: Kind::Module, engine: Engine::Base }),
        Kind::Component => {
            let engine = component_engine(&mut file, length)?;
            Ok(Inspection { kind: Kind::Component, engine })
        }
    }
}

fn kind(file: &mut impl Read) -> Result<Kind, InspectError> {
    let mut start = Vec::with_capacity(MODULE.len());
    file.take(MODULE.len() as u64).read_to_end(&mut start)?;
    if start == MODULE {
        return Ok(Kind::Module);
    }
    if start == COMPONENT {
        return Ok(Kind::Component);
    }
    if start.starts_with(&ELF) {
        return Err(InspectError::NotWasm(
            "native or precompiled code (ELF), which is never loaded from a registry; push the .wasm file",
        ));
    }
    if start.starts_with(&MODULE[..4]) {
        return Err(InspectError::Invalid("unknown version in its header".to_owned()));
    }
    Err(InspectError::Invalid("it does not start with the magic bytes \\0asm".to_owned()))
}

/// Walks the top-level sections.
fn component_engine<F: Read + Seek>(file: &mut io::BufReader<F>, length: u64) -> Result<Engine, InspectError> {
    for _ in 0..MAX_SECTIONS {
        let Some((id, size)) = section_header(file)? else {
            return Ok(Engine::Base);
        };
        if file.stream_position()? + u64::from(size) > length {
            return Err(truncated());
        }
        if id != IMPORTS && id != EXPORTS {
            file.seek_relative(i64::from(size))?;
            continue;
        }
        if size > MAX_SECTION {
            return Err(InspectError::Invalid(format!("its section {id} has {size} bytes")));
        }
        let mut body = vec![0; size as usize];
        file.read_exact(&mut body)?;
        if names(id, &body)?.iter().any(|name| is_wasip3(name)) {
            return Ok(Engine::Wasip3);
        }
    }
    Err(InspectError::Invalid(format!("it has more than {MAX_SECTIONS} sections")))
}

/// Id and size, or none at the end of the file.
fn section_header(file: &mut impl Read) -> Result<Option<(u8, u32)>, InspectError> {
    let Some(id) = byte(file)? else { return Ok(None) };
    let mut size = 0_u32;
    for shift in (0..35).step_by(7) {
        let next = byte(file)?.ok_or_else(truncated)?;
        let bits = u32::from(next & 0x7f);
        size |= bits
            .checked_shl(shift)
            .filter(|v| v >> shift == bits)
            .ok_or_else(|| InspectError::Invalid("a section's size is out of range".to_owned()))?;
        if next & 0x80 == 0 {
            return Ok(Some((id, size)));
        }
    }
    Err(InspectError::Invalid("a section's size is out of range".to_owned()))
}

fn byte(file: &mut impl Read) -> io::Result<Option<u8>> {
    let mut one = [0];
    Ok((file.read(&mut one)? == 1).then_some(one[0]))
}

fn truncated() -> InspectError {
    InspectError::Invalid("it is truncated".to_owned())
}

fn names(id: u8, body: &[u8]) -> Result<Vec<String>, InspectError> {
    let reader = BinaryReader::new(body, 0);
    let names: Result<Vec<_>, _> = if id == IMPORTS {
        ComponentImportSectionReader::new(reader)
            .and_then(|imports| imports.into_iter().map(|i| Ok(i?.name.name.to_owned())).collect())
    } else {
        ComponentExportSectionReader::new(reader)
            .and_then(|exports| exports.into_iter().map(|e| Ok(e?.name.name.to_owned())).collect())
    };
    names.map_err(|err| InspectError::Invalid(err.message().to_owned()))
}

/// `wasi:cli/run@0.3.0`, but not a release candidate of it: those are other interfaces, and their
/// refusal by the base engine names them.
pub(crate) fn is_wasip3(name: &str) -> bool {
    let Some((interface, version)) = name.rsplit_once('@') else { return false };
    interface.starts_with("wasi:") && version.starts_with("0.3.") && !version.contains('-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn look(bytes: &[u8]) -> Result<Inspection, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        inspect(&mut file).map_err(|err| err.to_string())
    }

    fn mk_component(item: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module (func)) {item})")).unwrap()
    }

    #[test]
    fn engines() {
        let module = wat::parse_str("(module (memory 1) (data (i32.const 0) \"x\"))").unwrap();
        let import = |name| mk_component(&format!("(import \"{name}\" (instance))"));
        let export = mk_component("(instance $i) (export \"wasi:cli/run@0.3.0\" (instance $i))");
        let base = Ok(Inspection { kind: Kind::Component, engine: Engine::Base });
        let wasip3 = Ok(Inspection { kind: Kind::Component, engine: Engine::Wasip3 });
        assert_eq!(look(&module), Ok(Inspection { kind: Kind::Module, engine: Engine::Base }));
        assert_eq!(look(&mk_component("")), base);
        assert_eq!(look(&import("wasi:cli/environment@0.2.12")), base);
        assert_eq!(look(&import("my:own/thing@0.3.0")), base);
        assert_eq!(look(&import("wasi:http/types@0.3.0-rc-2026-03-15")), base);
        assert_eq!(look(&import("wasi:clocks/types@0.3.1")), wasip3);
        assert_eq!(look(&export), wasip3);
    }

    #[test]
    fn everything_else_is_named() {
        let component = mk_component("(import \"wasi:cli/environment@0.2.12\" (instance))");
        let cases: [(&[u8], &str); 7] = [
            (b"", "it does not start with the magic bytes"),
            (b"#!/bin/sh\n", "it does not start with the magic bytes"),
            (b"\0asm", "unknown version"),
            (b"\0asm\x02\0\0\0", "unknown version"),
            (b"\x7fELF\x02\x01\x01\xc8", "precompiled code"),
            (&component[..component.len() - 1], "it is truncated"),
            (b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\xff", "size is out of range"),
        ];
        for (bytes, expected) in cases {
            let err = look(bytes).unwrap_err();
            assert!(err.contains(expected), "{bytes:?}: {err}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = look(&[COMPONENT.as_slice(), &tail].concat());
        }
    }
}
