//! What must be true of a root file system whatever it was unpacked from, and of everything beside it.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::copy_root;
use crate::digest::Digest;
use crate::image::RunConfig;
use crate::program;
use crate::tree::Tree;
use crate::unpack::{LayerFile, Limits, UnpackError, stream_digest, unpack};

/// Small, so that the bounds are found.
const MAX_BYTES: u64 = 1 << 20;
const MAX_ENTRIES: u64 = 256;
const WITNESS: &str = "witness";
const ROOT: &str = "root";
const COPY: &str = "copy";

/// Unpacks, uses what came of it, and looks around.
pub(super) fn unpacks(layers: &[&[u8]]) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join(ROOT);
    fs::create_dir(&root).unwrap();
    fs::write(place.path().join(WITNESS), WITNESS).unwrap();
    let layers: Vec<_> = layers.iter().map(|layer| mk_layer(layer)).collect();
    let unpacked = unpack(&root, &layers, &mk_limits());
    check_inside(&root);
    match unpacked {
        Ok(size) => {
            assert!(size <= MAX_BYTES, "{size}");
            check_use(&root, place.path());
        }
        Err(UnpackError::Content { what, .. }) => assert!(!what.is_empty()),
        // Never what a stranger wrote.
        Err(err) => panic!("{err}"),
    }
    check_outside(place.path());
}

fn mk_limits() -> Limits {
    Limits { bytes: MAX_BYTES, entries: MAX_ENTRIES, cancelled: Arc::default() }
}

fn mk_layer(bytes: &[u8]) -> LayerFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    // With another digest only the first layer would ever be unpacked.
    let diff_id = stream_digest(&file, &mk_limits()).unwrap_or_else(|_| Digest::of(bytes));
    LayerFile { digest: Digest::of(bytes), diff_id, file }
}

fn check_outside(place: &Path) {
    for entry in fs::read_dir(place).unwrap() {
        let name = entry.unwrap().file_name();
        assert!([WITNESS, ROOT, COPY].iter().any(|known| name == *known), "{}", name.display());
    }
    assert_eq!(fs::read(place.join(WITNESS)).unwrap(), WITNESS.as_bytes());
}

/// Files, directories and symbolic links, none that lends its owner's rights.
fn check_inside(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        assert!(meta.is_file() || meta.is_dir() || meta.is_symlink(), "{}", path.display());
        assert!(meta.is_symlink() || meta.permissions().mode() & 0o6000 == 0, "{}", path.display());
        if meta.is_dir() {
            check_inside(&path);
        }
    }
}

/// A program is looked for, and a container gets a copy.
fn check_use(root: &Path, place: &Path) {
    let tree = Tree::open(root).unwrap();
    for command in ["", "a", "/a/b", "../a", "../witness"] {
        let command: Vec<_> = Some(command.to_owned()).into_iter().filter(|word| !word.is_empty()).collect();
        let _ = program::find(&tree, &RunConfig::default(), &command, &[]);
    }
    let outside = fs::metadata(place.join(WITNESS)).unwrap().ino();
    for path in ["../witness", "a/../../witness", "a/witness", "b", "a/b"] {
        let found = tree.file(Path::new(path)).map(|file| file.metadata().unwrap().ino());
        assert_ne!(found.ok(), Some(outside), "{path}");
    }
    let copy = place.join(COPY);
    fs::create_dir(&copy).unwrap();
    copy_root(root, File::open(&copy).unwrap().as_fd()).unwrap();
    check_inside(&copy);
}
