//! Which machine, which boot, which system: the descriptive part of a Node's `nodeInfo`.

use std::path::Path;

/// Empty where the machine does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the installation.
    pub(crate) machine_id: String,
    /// Of the hardware or virtual machine.
    pub(crate) system_uuid: String,
    /// Of this boot; another one voids every run.
    pub(crate) boot_id: String,
    /// Linux's release.
    pub(crate) kernel: String,
    /// The distribution.
    pub(crate) os_image: String,
}

// === impl Identity ===

impl Identity {
    /// Reads it; `host` is `/` except in tests.
    pub(crate) fn read(host: &Path) -> Self {
        let machine_id = first_of(host, &["etc/machine-id", "var/lib/dbus/machine-id"]);
        // Only root may read the hardware's; the kubelet falls back to the machine id, too.
        let system_uuid = first_of(host, &["sys/class/dmi/id/product_uuid", "etc/machine-id"]);
        Self {
            machine_id,
            system_uuid,
            boot_id: first_of(host, &["proc/sys/kernel/random/boot_id"]),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            os_image: os_image(&first_of(host, &["etc/os-release", "usr/lib/os-release"])),
        }
    }
}

fn first_of(host: &Path, candidates: &[&str]) -> String {
    let read = |path: &&str| std::fs::read_to_string(host.join(path)).ok();
    candidates.iter().find_map(read).map_or_else(String::new, |text| text.trim().to_owned())
}

/// `PRETTY_NAME` of os-release(5).
fn os_image(release: &str) -> String {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.map_or_else(|| "Linux".to_owned(), |value| value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_leave_fields_empty() {
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir(host.path().join("etc")).unwrap();
        std::fs::write(host.path().join("etc/machine-id"), "abc\n").unwrap();
        std::fs::write(host.path().join("etc/os-release"), "NAME=x\nPRETTY_NAME=\"Debian 13\"\n").unwrap();
        let identity = Identity::read(host.path());
        assert_eq!((identity.machine_id.as_str(), identity.system_uuid.as_str()), ("abc", "abc"));
        assert_eq!((identity.boot_id.as_str(), identity.os_image.as_str()), ("", "Debian 13"));
        assert!(!identity.kernel.is_empty());
    }
}
