//! Where fuzzing begins: inputs that say something.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::archive::{entry, join, layers};

const NEXT_LAYER: u8 = 0xff;
const MODULE: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x07\x09\x01\x40\0\x01\0\0\0\0\0";

/// Seeds of a target; `golden` is the folder of golden manifests. Blocking.
///
/// # Panics
/// Where the folder cannot be read.
#[must_use]
pub fn seeds(target: &str, golden: &Path) -> Vec<Vec<u8>> {
    match target {
        "documents" => documents(golden),
        "layers" => archives().iter().flat_map(|input| packed(&layers(input))).collect(),
        "archive" => archives(),
        "wasm" => vec![MODULE.to_vec(), COMPONENT.to_vec(), b"\x7fELF".to_vec()],
        _ => Vec::new(),
    }
}

fn documents(golden: &Path) -> Vec<Vec<u8>> {
    let read = |path: PathBuf| fs::read(path).unwrap_or_default();
    let input =
        |folder: PathBuf| [read(folder.join("manifest.json")), vec![0], read(folder.join("config.json"))].concat();
    folders(golden).iter().flat_map(|kind| folders(kind)).map(input).collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// As they are, and compressed.
fn packed(layers: &[Vec<u8>]) -> [Vec<u8>; 3] {
    let gzip = |layer: &Vec<u8>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(layer).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |layer: &Vec<u8>| compress_to_vec(layer.as_slice(), CompressionLevel::Fastest);
    [
        join(layers),
        join(&layers.iter().map(gzip).collect::<Vec<_>>()),
        join(&layers.iter().map(zstd).collect::<Vec<_>>()),
    ]
}

/// Images as tools write them, and as nobody should.
fn archives() -> Vec<Vec<u8>> {
    let (file, dir) = (
        |name: &str| entry(b'0', 0x24, name.as_bytes(), b"", MODULE),
        |name: &str| entry(b'5', 0x3f, name.as_bytes(), b"", b""),
    );
    let link = |kind: u8, name: &str, target: &str| entry(kind, 0x3f, name.as_bytes(), target.as_bytes(), b"");
    let next = || vec![NEXT_LAYER];
    vec![
        [file("app.wasm")].concat(),
        [dir("a/"), file("a/b"), link(b'2', "a/c", "/a/b"), link(b'1', "a/d", "a/b")].concat(),
        [dir("a"), file("a/b"), next(), file("a/.wh.b"), next(), dir("a"), file("a/.wh..wh..opq"), file("a/e")]
            .concat(),
        [link(b'2', "a", ".."), file("a/witness"), next(), file(".wh.a")].concat(),
        [link(b'2', "a", "/tmp"), file("a/b"), link(b'1', "b", "../witness")].concat(),
        [file("../witness"), file("/witness"), entry(b'3', 0xff, b"null", b"", b"")].concat(),
        [entry(b'L', 0, b"././@LongLink", b"", &[b'a'; 120]), file("a"), link(b'2', "b", "b"), file("b/c")].concat(),
        [entry(b'x', 0, b"pax", b"", b"18 path=../witness\n"), file("a"), entry(b'S', 0x24, b"s", b"", b"")].concat(),
    ]
}
