//! Decisions about security contexts. Most of them bound what a process may ask of the kernel: a wasm guest has no
//! uid, makes no system calls and reaches only what it was handed.

use super::decision::decisions;

decisions!(POD_SECURITY, pod_security, PodSecurityContext, "spec.securityContext", {
    app_armor_profile "appArmorProfile" Void "a guest makes no system calls"
    fs_group "fsGroup" Void "a guest has no gid; it may use every volume that is mounted"
    fs_group_change_policy "fsGroupChangePolicy" Void "as `fsGroup`"
    run_as_group "runAsGroup" Void "a guest has no gid"
    run_as_non_root "runAsNonRoot" Void "a guest never runs as root"
    run_as_user "runAsUser" Void "a guest has no uid"
    se_linux_change_policy "seLinuxChangePolicy" Void "a guest has no SELinux label"
    se_linux_options "seLinuxOptions" Void "a guest has no SELinux label"
    seccomp_profile "seccompProfile" Void "a guest makes no system calls"
    supplemental_groups "supplementalGroups" Void "a guest has no gid"
    supplemental_groups_policy "supplementalGroupsPolicy" Void "a guest has no gid"
    sysctls "sysctls" Refused "a guest has no kernel of its own to tune"
    windows_options "windowsOptions" Refused "this node does not run Windows containers"
});

decisions!(SECURITY, security, SecurityContext, "spec.containers[].securityContext", {
    allow_privilege_escalation "allowPrivilegeEscalation" Void "a guest has no privileges to gain"
    app_armor_profile "appArmorProfile" Void "a guest makes no system calls"
    capabilities "capabilities" Void "a guest has no capabilities, and none can be added"
    privileged "privileged" Refused "there is no privileged WebAssembly"
    proc_mount "procMount" Void "a guest has no /proc"
    read_only_root_filesystem "readOnlyRootFilesystem" Honoured ""
    run_as_group "runAsGroup" Void "a guest has no gid"
    run_as_non_root "runAsNonRoot" Void "a guest never runs as root"
    run_as_user "runAsUser" Void "a guest has no uid"
    se_linux_options "seLinuxOptions" Void "a guest has no SELinux label"
    seccomp_profile "seccompProfile" Void "a guest makes no system calls"
    windows_options "windowsOptions" Refused "this node does not run Windows containers"
});
