#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

#[test]
fn reads_files_below_the_root() {
    let (dir, root) = root();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    std::fs::write(dir.path().join("a/b"), "0123456789").unwrap();
    assert_eq!(root.read(Path::new("a/b"), 10).unwrap(), b"0123456789");
    assert_eq!(root.read(Path::new("a/b"), 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(root.read_last(Path::new("a/b"), 3).unwrap(), b"789");
    assert_eq!(root.read_last(Path::new("a/b"), 30).unwrap(), b"0123456789");
    assert_eq!(root.dir(Path::new("a")).unwrap().names(1).unwrap(), ["b"]);
}

#[test]
fn follows_no_link_and_leaves_no_root() {
    let (dir, root) = root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    symlink(outside.path(), dir.path().join("up")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    std::fs::write(dir.path().join("inside"), "x").unwrap();
    symlink("inside", dir.path().join("near")).unwrap();
    for path in ["up/secret", "file", "near", "../x", "/etc/passwd", "", "."] {
        assert!(root.read(Path::new(path), 100).is_err(), "{path}");
        assert!(root.append(Path::new(path), 0o640).is_err(), "{path}");
        assert!(
            root.create_dirs(&Path::new(path).join("new"), 0o750).is_err() || path.is_empty() || path == ".",
            "{path}"
        );
    }
    assert!(!outside.path().join("new").exists());
}

#[test]
fn opens_only_regular_files_and_never_blocks() {
    let (dir, root) = root();
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(&root.0, "fifo", mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    for path in ["fifo", "socket", "dir"] {
        assert!(root.file(Path::new(path)).is_err(), "{path}");
        assert!(root.append(Path::new(path), 0o640).is_err(), "{path}");
    }
}

#[test]
fn creates_with_the_modes_asked_for() {
    let (dir, root) = root();
    root.create_dirs(Path::new("a/b"), 0o751).unwrap();
    root.create(Path::new("a/b/f"), 0o666).unwrap().write_all(b"x").unwrap();
    assert_eq!(root.create(Path::new("a/b/f"), 0o666).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let mode = |p: &str| std::fs::metadata(dir.path().join(p)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a"), mode("a/b"), mode("a/b/f")), (0o751, 0o751, 0o666));
}

#[test]
fn removes_deep_trees_and_spares_what_links_point_to() {
    let (dir, root) = root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("keep"), "x").unwrap();
    let mut path = std::path::PathBuf::from("top");
    for depth in 0..100 {
        path.push(format!("d{depth}"));
    }
    root.create_dirs(&path, 0o750).unwrap();
    std::fs::write(dir.path().join(&path).join("leaf"), "x").unwrap();
    symlink(outside.path(), dir.path().join("top/link")).unwrap();
    symlink(outside.path(), dir.path().join(&path).join("link")).unwrap();
    root.remove_tree(Path::new("top")).unwrap();
    root.remove_tree(Path::new("top")).unwrap();
    root.remove_tree(Path::new("none/at/all")).unwrap();
    assert!(!dir.path().join("top").exists());
    assert!(outside.path().join("keep").exists());
}

#[test]
fn removes_a_link_itself() {
    let (dir, root) = root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("keep"), "x").unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    root.remove_tree(Path::new("link")).unwrap();
    assert!(outside.path().join("keep").exists());
    assert!(dir.path().join("link").symlink_metadata().is_err());
}

#[test]
fn refuses_directories_with_too_many_names() {
    let (dir, root) = root();
    for n in 0..5 {
        std::fs::write(dir.path().join(n.to_string()), "").unwrap();
    }
    assert_eq!(root.names(5).unwrap().len(), 5);
    assert!(root.names(4).is_err());
}
