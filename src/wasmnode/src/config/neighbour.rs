//! Whether a kubelet works on the same host: it deletes log directories of pods that it does not know.

use std::path::Path;

use super::error::ConfigError;
use super::file::DEFAULT_POD_LOGS_DIR;

/// Programs that are or contain a kubelet, as `/proc/PID/comm` names them.
const PROGRAMS: [&str; 4] = ["kubelet", "kubelite", "k3s-server", "k3s-agent"];

/// Sockets that a kubelet makes and keeps.
const SOCKETS: [&str; 2] =
    ["var/lib/kubelet/device-plugins/kubelet.sock", "var/lib/kubelet/pod-resources/kubelet.sock"];

/// Refuses the kubelet's own log directory where there is a kubelet.
pub(super) fn check(pod_logs_dir: &Path, host: &Path) -> Result<(), ConfigError> {
    if pod_logs_dir.components().ne(Path::new(DEFAULT_POD_LOGS_DIR).components()) {
        return Ok(());
    }
    match evidence(host) {
        Some(evidence) => Err(ConfigError::Kubelet { dir: pod_logs_dir.to_owned(), evidence }),
        None => Ok(()),
    }
}

fn evidence(host: &Path) -> Option<String> {
    let socket = SOCKETS.iter().find(|socket| host.join(socket).exists());
    socket.map(|socket| format!("/{socket} exists")).or_else(|| running(host))
}

fn running(host: &Path) -> Option<String> {
    std::fs::read_dir(host.join("proc")).ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        PROGRAMS.contains(&name.trim()).then(|| format!("process {pid} is {}", name.trim()))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_refused_beside_a_kubelet_and_only_there() {
        let host = tempfile::tempdir().unwrap();
        let (default, other) = (Path::new("/var/log/pods/"), Path::new("/var/log/wasm-pods"));
        assert!(check(default, host.path()).is_ok());

        std::fs::create_dir_all(host.path().join("proc/7")).unwrap();
        std::fs::write(host.path().join("proc/7/comm"), "kubelet\n").unwrap();
        let message = check(default, host.path()).unwrap_err().to_string();
        assert!(message.contains("process 7 is kubelet") && message.contains("set podLogsDir"), "{message}");
        assert!(check(other, host.path()).is_ok());
    }

    #[test]
    fn a_socket_is_evidence_enough() {
        let host = tempfile::tempdir().unwrap();
        let socket = host.path().join(SOCKETS[0]);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(&socket, "").unwrap();
        assert!(check(Path::new(DEFAULT_POD_LOGS_DIR), host.path()).is_err());
    }
}
