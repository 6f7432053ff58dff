//! System calls by seccomp: a list of what fails, because a list of what works would break with the next library.
//!
//! Nothing is ever killed for a call: a guest's process holds other pods, and a library may just be trying.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use super::ConfineError;

/// Newer than the library's table, and the same on every architecture.
const SYS_OPEN_TREE_ATTR: c_long = 467;

/// Starting programs and looking into other processes.
const OF_PROCESSES: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_personality,
];

/// Mounts and namespaces.
const OF_MOUNTS: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
];

/// Parts of the kernel that runners have no use for, and that exploits do.
const OF_KERNEL: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
];

/// The machine as a whole.
const OF_MACHINE: &[c_long] = &[
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWTIME,
];

/// Calls of the x32 interface, which the list would not recognise, have this bit. No other call has.
const X32_BIT: u32 = 0x4000_0000;

/// Whether the kernel has seccomp, and filters now.
pub(super) fn close_off() -> Result<bool, ConfineError> {
    let filters = [foreign_calls(), clone3()?, forbidden()?];
    for filter in &filters {
        match seccompiler::apply_filter(filter) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error)) if is_missing(&error) => {
                tracing::warn!("This kernel has no seccomp filters; system calls are not restricted");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSYS | Errno::INVAL))
}

fn forbidden() -> Result<BpfProgram, ConfineError> {
    let always = [OF_PROCESSES, OF_MOUNTS, OF_KERNEL, OF_MACHINE].concat();
    let mut rules: BTreeMap<_, _> = always.into_iter().map(|call| (call, Vec::new())).collect();
    let making = NAMESPACES.map(|flag| {
        let bit = u64::from(flag.unsigned_abs());
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)?;
        SeccompRule::new(vec![condition])
    });
    let making = making.into_iter().collect::<Result<_, _>>().map_err(seccompiler::Error::from)?;
    rules.insert(libc::SYS_clone, making);
    program(rules, Errno::PERM)
}

/// Its flags are out of a filter's sight. Libraries fall back to `clone`.
fn clone3() -> Result<BpfProgram, ConfineError> {
    program(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), Errno::NOSYS)
}

fn program(rules: BTreeMap<c_long, Vec<SeccompRule>>, errno: Errno) -> Result<BpfProgram, ConfineError> {
    let arch = TargetArch::try_from(ARCH).map_err(seccompiler::Error::from)?;
    let refusal = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).map_err(seccompiler::Error::from)?;
    Ok(BpfProgram::try_from(filter).map_err(seccompiler::Error::from)?)
}

/// Loads the call's number, which comes first, and refuses those of [`X32_BIT`] and beyond.
fn foreign_calls() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let refusal = libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error().unsigned_abs();
    vec![
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: refusal },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_fit() {
        assert!(forbidden().unwrap().len() < 512);
        assert!(clone3().unwrap().len() < 16);
    }
}
