//! Files, privileges, and what must go on working.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use landlock::{CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use rustix::fs::{FileType, Mode};
use rustix::process::{Resource, Signal};
use wasmnode_provider_process::confine::{ConfineError, Confined, confine};

use super::Place;

fn has(confined: &Confined, feature: &str) -> bool {
    confined.features().iter().any(|found| found == feature)
}

fn is_denied<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.expect_err("this should be refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

pub(crate) fn programs_cannot_be_executed(place: &Place) {
    assert!(Command::new("/bin/true").status().unwrap().success());
    let confined = place.confine();
    if has(&confined, "landlock") || has(&confined, "seccomp") {
        is_denied(Command::new("/bin/true").status());
    }
}

pub(crate) fn own_files_can_be_used(place: &Place) {
    let _confined = place.confine();
    let (one, two) = written_and_renamed(place, "pods");
    fs::create_dir(&one).unwrap();
    fs::rename(&two, one.join("below")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &two).unwrap();
    fs::remove_dir_all(&one).unwrap();
    assert_eq!(fs::read_dir(place.path("pods")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(place.path("code/a.cwasm")).unwrap(), "content");
}

fn written_and_renamed(place: &Place, directory: &str) -> (PathBuf, PathBuf) {
    let (one, two) = (place.path(directory).join("one"), place.path(directory).join("two"));
    fs::write(&one, "text").unwrap();
    fs::rename(&one, &two).unwrap();
    assert_eq!(fs::read_to_string(&two).unwrap(), "text");
    OpenOptions::new().write(true).truncate(true).open(&two).unwrap();
    (one, two)
}

/// What a runner's exits are: the agent reads and removes them when the runner is gone.
pub(crate) fn a_directory_for_files_takes_nothing_else(place: &Place) {
    let confined = place.confine();
    let (one, two) = written_and_renamed(place, "exits");
    fs::write(place.path("pods/x"), "").unwrap();
    if has(&confined, "landlock") {
        is_denied(fs::create_dir(&one));
        is_denied(std::os::unix::fs::symlink("elsewhere", &one));
        is_denied(std::os::unix::net::UnixListener::bind(&one));
        let fifo = rustix::fs::mknodat(rustix::fs::CWD, &one, FileType::Fifo, Mode::RWXU, 0);
        is_denied(fifo.map_err(io::Error::from));
        assert!(fs::rename(place.path("pods/x"), &one).is_err());
        assert!(fs::hard_link(place.path("pods/x"), &one).is_err());
    }
    fs::remove_file(two).unwrap();
    assert_eq!(fs::read_dir(place.path("exits")).unwrap().count(), 0);
}

pub(crate) fn other_files_cannot_be_opened(place: &Place) {
    std::os::unix::fs::symlink(place.path("other"), place.path("pods/planted")).unwrap();
    let confined = place.confine();
    if !has(&confined, "landlock") {
        return;
    }
    is_denied(fs::read("/etc/shadow"));
    is_denied(fs::read("/etc/passwd"));
    is_denied(fs::read(place.path("other/secret")));
    is_denied(fs::read(place.path("pods/planted/secret")));
    is_denied(fs::read_dir(place.path("other")));
    is_denied(fs::read("/proc/1/environ"));
    is_denied(fs::write(place.path("other/new"), ""));
    is_denied(fs::write(place.path("new"), ""));
    is_denied(fs::write("/tmp/new", ""));
    is_denied(fs::remove_file(place.path("other/secret")));
    // Links are the way around names: a second one for a file elsewhere.
    assert!(fs::hard_link(place.path("other/secret"), place.path("pods/secret")).is_err());
    assert!(fs::rename(place.path("other/secret"), place.path("pods/secret")).is_err());
}

pub(crate) fn code_cannot_be_changed(place: &Place) {
    let confined = place.confine();
    if has(&confined, "landlock") {
        is_denied(fs::write(place.path("code/a.cwasm"), ""));
        is_denied(fs::write(place.path("code/b.cwasm"), ""));
        is_denied(fs::remove_file(place.path("code/a.cwasm")));
    }
    assert_eq!(fs::read_to_string(place.path("code/a.cwasm")).unwrap(), "content");
}

pub(crate) fn single_files_can_be_let_in(place: &Place) {
    let confined = place.confine();
    assert_eq!(fs::read_to_string(place.path("let-in")).unwrap(), "content");
    if has(&confined, "landlock") {
        is_denied(fs::write(place.path("let-in"), ""));
    }
}

/// Signals are scoped by the sixth version of landlock.
fn scopes_signals() -> bool {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).is_ok()
}

pub(crate) fn others_cannot_be_signalled(place: &Place) {
    let parent = rustix::process::getppid().unwrap();
    rustix::process::test_kill_process(parent).unwrap();
    let scopes_signals = scopes_signals();
    let _confined = place.confine();
    rustix::process::kill_process(rustix::process::getpid(), Signal::CONT).unwrap();
    if scopes_signals {
        is_denied(rustix::process::test_kill_process(parent).map_err(io::Error::from));
    }
}

pub(crate) fn privileges_are_gone(place: &Place) {
    let _confined = place.confine();
    let sets = rustix::thread::capabilities(None).unwrap();
    assert!(sets.effective.is_empty() && sets.permitted.is_empty() && sets.inheritable.is_empty(), "{sets:?}");
    assert!(rustix::thread::no_new_privs().unwrap());
    assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
    assert_eq!(rustix::process::getsid(None).unwrap(), rustix::process::getpid());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    if rustix::process::getuid().is_root() {
        for set in ["CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
        }
    }
    fs::write(place.path("pods/new"), "").unwrap();
    let mode = rustix::fs::stat(place.path("pods/new")).unwrap().st_mode;
    assert_eq!(mode & 0o777, 0o640);
}

pub(crate) fn inherited_descriptors_are_closed(place: &Place) {
    let inherited = File::open(place.path("other/secret")).unwrap().into_raw_fd();
    let _confined = place.confine();
    let target = fs::read_link(format!("/proc/self/fd/{inherited}"));
    assert!(target.is_err() || !target.unwrap().ends_with("secret"));
}

pub(crate) fn threads_and_sockets_work(place: &Place) {
    let _confined = place.confine();
    let (mut one, mut two) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || io::copy(&mut io::Read::take(&mut two, 5), &mut Vec::new()).unwrap());
    io::Write::write_all(&mut one, b"hello").unwrap();
    assert_eq!(thread.join().unwrap(), 5);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let slept = async { tokio::time::sleep(std::time::Duration::from_millis(1)).await };
    runtime.block_on(async { tokio::spawn(slept).await }).unwrap();
}

pub(crate) fn own_proc_stays_open(place: &Place) {
    let _confined = place.confine();
    assert!(!fs::read("/proc/self/maps").unwrap().is_empty());
    File::open("/proc/self/pagemap").unwrap();
    assert!(!fs::read("/proc/sys/vm/max_map_count").unwrap().is_empty());
}

pub(crate) fn a_missing_path_is_named(place: &Place) {
    let mut allowed = place.allowed();
    allowed.write.push(place.path("none"));
    match confine(&allowed) {
        Err(ConfineError::Path { path, .. }) => assert_eq!(path, place.path("none")),
        other => panic!("{other:?} should name the path"),
    }
}
