//! System calls that fail with EPERM, whatever their arguments.

use std::io;

use libc::{c_int, c_long};

use super::Place;

/// Calls that would otherwise fail in another way, or succeed, with arguments that do no harm.
const FORBIDDEN: &[(&str, c_long)] = &[
    ("execve", libc::SYS_execve),
    ("execveat", libc::SYS_execveat),
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("fsopen", libc::SYS_fsopen),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("bpf", libc::SYS_bpf),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("request_key", libc::SYS_request_key),
    ("kexec_load", libc::SYS_kexec_load),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("personality", libc::SYS_personality),
    ("reboot", libc::SYS_reboot),
    ("swapon", libc::SYS_swapon),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("quotactl", libc::SYS_quotactl),
    ("acct", libc::SYS_acct),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
];

/// With arguments that no call accepts.
#[allow(unsafe_code)]
fn call(number: c_long, first: c_long) -> io::Error {
    // SAFETY: every pointer that a call could read is null, and every descriptor, flag and command -1, which none knows.
    let result = unsafe { libc::syscall(number, first, 0, 0, 0, 0, 0) };
    assert_eq!(result, -1, "call {number} should fail");
    io::Error::last_os_error()
}

pub(crate) fn forbidden_calls_fail(place: &Place) {
    let confined = place.confine();
    if !confined.features().contains(&"seccomp".to_owned()) {
        return;
    }
    for (name, number) in FORBIDDEN {
        let error = call(*number, 0);
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{name}: {error}");
    }
    assert_eq!(call(libc::SYS_clone3, 0).raw_os_error(), Some(libc::ENOSYS));
    // The same calls by the other numbers that some kernels have for them.
    assert_eq!(call(0x4000_0000 + libc::SYS_getpid, 0).raw_os_error(), Some(libc::ENOSYS));
}

pub(crate) fn namespaces_cannot_be_made(place: &Place) {
    let confined = place.confine();
    if !confined.features().contains(&"seccomp".to_owned()) {
        return;
    }
    let flags: [(&str, c_int); 4] = [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("network", libc::CLONE_NEWNET),
        ("user and pid", libc::CLONE_NEWUSER | libc::CLONE_NEWPID),
    ];
    for (name, flags) in flags {
        let error = call(libc::SYS_clone, c_long::from(flags));
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{name}: {error}");
    }
}
