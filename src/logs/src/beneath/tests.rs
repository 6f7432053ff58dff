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

/// A user id, where tests may change owners.
fn user() -> Option<u32> {
    let file = tempfile::tempfile().unwrap();
    Some(1_900_000_000).filter(|user| Owner::user(Some(*user)).give(&file).is_ok())
}

fn owner(path: std::path::PathBuf) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
fn what_is_made_for_someone_is_theirs() {
    let (dir, root) = root();
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let theirs = user().map_or(me, |user| (user, user));
    std::fs::create_dir(dir.path().join("a")).unwrap();
    root.create_dirs_for(Path::new("a/b"), 0o755, Owner::user(user())).unwrap();
    assert_eq!((owner(dir.path().join("a")), owner(dir.path().join("a/b"))), (theirs, theirs));
    root.create_dirs_for(Path::new("g"), 0o755, Owner::group(user())).unwrap();
    assert_eq!(owner(dir.path().join("g")), (me.0, theirs.1));
    assert_eq!(root.dir(Path::new("g")).unwrap().group().unwrap(), theirs.1);
    // Once it is another one's it stays so.
    let other = user().map(|user| user + 1);
    root.create_dirs_for(Path::new("a/b"), 0o755, Owner::user(other)).unwrap();
    assert_eq!(owner(dir.path().join("a/b")), theirs);
    assert!(root.create_dirs_for(Path::new("a/../b"), 0o755, Owner::user(user())).is_err());
}

#[test]
fn a_tree_is_handed_over_without_what_links_lead_to() {
    let (dir, root) = root();
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let theirs = user().map_or(me, |user| (user, user));
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("keep"), "x").unwrap();
    root.create_dirs(Path::new("top/a/b"), 0o755).unwrap();
    std::fs::write(dir.path().join("top/a/file"), "x").unwrap();
    symlink(outside.path(), dir.path().join("top/a/up")).unwrap();
    symlink(outside.path().join("keep"), dir.path().join("top/link")).unwrap();
    root.chown_tree(Path::new("top"), Owner::user(user())).unwrap();
    for path in ["top", "top/a", "top/a/b", "top/a/file", "top/a/up", "top/link"] {
        assert_eq!(owner(dir.path().join(path)), theirs, "{path}");
    }
    assert_eq!((owner(outside.path().to_owned()), owner(outside.path().join("keep"))), (me, me));
    assert!(root.chown_tree(Path::new("top/a/up"), Owner::user(user())).is_err(), "a link is no tree");
}

#[test]
fn only_empty_directories_are_removed_as_such() {
    let (dir, root) = root();
    root.create_dirs(Path::new("a/b"), 0o755).unwrap();
    symlink("a", dir.path().join("link")).unwrap();
    assert!(!root.remove_empty(Path::new("a")).unwrap());
    assert!(root.remove_empty(Path::new("a/b")).unwrap());
    assert!(root.remove_empty(Path::new("a")).unwrap());
    assert!(root.remove_empty(Path::new("a")).unwrap(), "gone already");
    assert!(root.remove_empty(Path::new("none/b")).unwrap());
    assert!(root.remove_empty(Path::new("link")).is_err());
}
