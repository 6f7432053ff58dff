#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::fixtures::{access, layout, names, pod_ref, users};
use crate::own;

/// A node whose groups have that many users, where users can be had at all.
fn node(top: &Path, count: u32) -> Groups {
    Groups::new(layout(top), IsolationPolicy { users: users(count), ..IsolationPolicy::default() })
}

/// The n-th user; the caller where users cannot be had.
fn user(n: u32) -> Option<u32> {
    users(1).map(|users| users.start + n)
}

fn place(groups: &Groups, uid: &str, group: &str) -> PodLayout {
    let pod = pod_ref("p", uid);
    groups.place(&pod, &Group::named(group.to_owned()), &[]).unwrap();
    let placed = groups.find(&pod).unwrap();
    own::record(&placed, 30).unwrap();
    placed
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn another_agent_finds_groups_users_and_pods() {
    let top = tempfile::tempdir().unwrap();
    let first = node(top.path(), 3);
    assert!(first.find(&pod_ref("p", "u")).is_none() && !first.is_settled(&pod_ref("p", "u")));
    assert_eq!(place(&first, "u", "a").user(), user(0));
    assert_eq!(place(&first, "v", "b").user(), user(1));
    assert_eq!(place(&first, "w", "a").user(), user(0));

    // Other settings: what is recorded counts.
    let second =
        Groups::new(layout(top.path()), IsolationPolicy { default: Isolation::Pod, ..IsolationPolicy::default() });
    assert_eq!(own::left(&second).unwrap().len(), 3);
    let found = second.find(&pod_ref("p", "v")).unwrap();
    assert_eq!((found.group().as_str(), found.user()), ("b", user(1)));
    assert!(second.is_settled(&pod_ref("p", "v")));
    assert_eq!(place(&node_of(&top, 3), "x", "c").user(), user(2), "the first one that no directory records");
}

/// As another agent sees the node.
fn node_of(top: &tempfile::TempDir, count: u32) -> Groups {
    let groups = node(top.path(), count);
    own::left(&groups).unwrap();
    groups
}

#[test]
fn directories_let_their_group_pass_and_nobody_else() {
    let top = tempfile::tempdir().unwrap();
    let pod = place(&node(top.path(), 1), "u", "a");
    pod.create(Medium::Memory, Path::new("volumes")).unwrap();
    let (me, my_group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let group = user(0).unwrap_or(my_group);
    let cases = [
        ("state/groups", my_group, 0o755),
        ("state/groups/a", group, 0o750),
        ("state/groups/a/pods", group, 0o750),
        ("state/groups/a/pods/u", group, 0o750),
        ("state/groups/a/pods/u/pod.json", my_group, 0o640),
        ("run/groups/a", group, 0o750),
        ("run/groups/a/pods/u/volumes", group, 0o750),
    ];
    for (path, group, mode) in cases {
        assert_eq!(access(&top.path().join(path)), (me, group, mode), "{path}");
    }
}

#[test]
fn a_group_goes_with_its_last_pod_once_nothing_runs_in_it() {
    let top = tempfile::tempdir().unwrap();
    let groups = node(top.path(), 1);
    let pod = place(&groups, "u", "a");
    let record = top.path().join("run/groups/a/runners/7.json");
    let exit = top.path().join("state/groups/a/exits/7/x.exit");
    write(record.clone(), "{}");
    write(top.path().join("run/groups/a/runners/7.sock"), "");
    write(exit.clone(), "");
    write(top.path().join("state/groups/a/code/e/x.cwasm"), "");
    own::remove(&groups, &pod).unwrap();
    assert!(record.exists() && exit.exists());
    fs::remove_file(&record).unwrap();
    groups.sweep();
    assert!(exit.exists(), "an exit that was not read");
    fs::remove_dir_all(exit.parent().unwrap()).unwrap();
    groups.sweep();
    assert_eq!((names(&top.path().join("state/groups")), names(&top.path().join("run/groups"))), (vec![], vec![]));
    assert_eq!(place(&groups, "v", "b").user(), user(0), "its user is free again");
}

#[test]
fn without_a_free_user_there_is_no_place() {
    let top = tempfile::tempdir().unwrap();
    let groups = node(top.path(), 1);
    let first = place(&groups, "u", "a");
    let refused = groups.place(&pod_ref("p", "v"), &Group::named("b".to_owned()), &[]);
    if user(0).is_some() {
        let text = "all 1 user ids of groupUsers, from 1900000000, are in use by other isolation groups";
        assert_eq!(refused.unwrap_err().to_string(), text);
        assert!(groups.find(&pod_ref("p", "v")).is_none());
    } else {
        refused.unwrap();
    }
    // A group whose runner was there when its last pod went.
    let record = top.path().join("run/groups/a/runners/7.json");
    write(record.clone(), "{}");
    own::remove(&groups, &first).unwrap();
    fs::remove_file(&record).unwrap();
    assert_eq!(place(&groups, "v", "b").user(), user(0));
}

#[test]
fn what_a_release_with_one_group_left_comes_along() {
    let top = tempfile::tempdir().unwrap();
    let old = top.path().join("state/groups/node/pods/u");
    let record = json!({ "namespace": "ns", "name": "p", "uid": "u", "logs": top.path().join("logs") });
    write(old.join("pod.json"), &record.to_string());
    write(old.join("exits/c.json"), "{}");
    write(old.join("volumes/data/file"), "kept");
    write(old.join("volumes/settings/..1/key"), "kept");
    std::os::unix::fs::symlink("/etc", old.join("volumes/data/link")).unwrap();
    write(top.path().join("run/groups/node/pods/u/volumes/ram/file"), "kept");

    let groups = node_of(&top, 1);
    let pod = pod_ref("p", "u");
    assert!(!groups.is_settled(&pod));
    assert!(groups.find(&pod).unwrap().if_there(Medium::Disk).unwrap().is_some(), "its exits can be read");
    let before = access(Path::new("/etc"));
    let writable = ["data", "ram", "none"].map(str::to_owned);
    groups.place(&pod, &Group::named("ns-ns".to_owned()), &writable).unwrap();
    let placed = groups.find(&pod).unwrap();
    own::record(&placed, 30).unwrap();
    assert!(groups.is_settled(&pod));
    let owner = |path: PathBuf| Some(access(&path).0).filter(|owner| *owner != rustix::process::geteuid().as_raw());
    for (tree, file) in [(Medium::Disk, "volumes/data/file"), (Medium::Memory, "volumes/ram/file")] {
        assert_eq!(fs::read(placed.path(tree).join(file)).unwrap(), b"kept");
        assert_eq!(owner(placed.path(tree).join(file)), user(0));
        assert_eq!(owner(placed.path(tree).join("volumes")), None, "the holder stays the agent's");
    }
    assert_eq!(owner(placed.path(Medium::Disk).join("volumes/data/link")), user(0));
    for path in ["volumes/settings", "volumes/settings/..1", "volumes/settings/..1/key"] {
        assert_eq!(owner(placed.path(Medium::Disk).join(path)), None, "nobody else changes what the agent writes");
    }
    assert_eq!(access(Path::new("/etc")), before);
    assert!(placed.path(Medium::Disk).join("exits/c.json").exists());
    groups.sweep();
    assert_eq!(names(&top.path().join("state/groups")), ["ns-ns"]);
    assert!(node_of(&top, 1).is_settled(&pod));
}

#[test]
fn two_directories_of_one_pod_go_together() {
    let top = tempfile::tempdir().unwrap();
    place(&node(top.path(), 1), "u", "ns-ns");
    let record = json!({ "namespace": "ns", "name": "p", "uid": "u", "logs": top.path().join("logs") });
    // The release before ran in between.
    write(top.path().join("state/groups/node/pods/u/pod.json"), &record.to_string());
    let groups = node_of(&top, 1);
    let found = groups.find(&pod_ref("p", "u")).unwrap();
    assert_eq!(found.group().as_str(), "ns-ns");
    own::remove(&groups, &found).unwrap();
    assert_eq!(names(&top.path().join("state/groups")), Vec::<String>::new());
}

#[test]
fn a_pod_that_finds_no_room_stays_where_it_was() {
    let top = tempfile::tempdir().unwrap();
    let groups = node(top.path(), 1);
    fs::create_dir(top.path().join("state")).unwrap();
    fs::write(top.path().join("state/groups"), "").unwrap();
    let error = groups.place(&pod_ref("p", "u"), &Group::named("a".to_owned()), &[]).unwrap_err();
    assert!(matches!(error, PlaceError::Disk(_)), "{error}");
    assert!(groups.find(&pod_ref("p", "u")).is_none());
    fs::remove_file(top.path().join("state/groups")).unwrap();
    place(&groups, "u", "a");
}
