//! What a configuration must fulfil beyond its form.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use wasmnode_core::node::{LabelError, check_labels};
use wasmnode_core::quantity;

use super::error::ConfigError;
use super::file::NodeConfiguration;
use super::sections::Taint;
use super::units::GoDuration;

/// The longest restart delay that Kubernetes allows (kubelet contract section 13).
const LONGEST_RESTART: Duration = Duration::from_secs(300);

/// All fields of the file.
pub(super) fn file(file: &NodeConfiguration) -> Result<(), ConfigError> {
    serving(file)?;
    node(file)?;
    directories(file)?;
    limits(file)
}

fn serving(file: &NodeConfiguration) -> Result<(), ConfigError> {
    if file.port == 0 {
        return Err(ConfigError::field("port", "must not be 0"));
    }
    if file.tls_cert_file.is_some() != file.tls_private_key_file.is_some() {
        return Err(ConfigError::field("tlsCertFile", "needs tlsPrivateKeyFile, and the other way round"));
    }
    Ok(())
}

fn node(file: &NodeConfiguration) -> Result<(), ConfigError> {
    check_labels(&file.node_labels).map_err(|error| ConfigError::field("nodeLabels", error.to_string()))?;
    for taint in &file.register_with_taints {
        check_taint(taint)?;
    }
    reserved("kubeReserved", &file.kube_reserved)?;
    reserved("systemReserved", &file.system_reserved)?;
    positive("nodeStatusUpdateFrequency", file.node_status_update_frequency)?;
    positive("nodeStatusReportFrequency", file.node_status_report_frequency)?;
    if file.node_status_max_images < -1 {
        return Err(ConfigError::field("nodeStatusMaxImages", "must be -1 (all images) or more"));
    }
    Ok(())
}

/// Taints follow the syntax of labels, but a node may create itself with taints of any domain.
fn check_taint(taint: &Taint) -> Result<(), ConfigError> {
    let label = BTreeMap::from([(taint.key.clone(), taint.value.clone())]);
    match check_labels(&label) {
        Err(LabelError::Syntax { key, value, why }) => {
            Err(ConfigError::field("registerWithTaints", format!("{key:?}={value:?} is not a taint: {why}")))
        }
        _ => Ok(()),
    }
}

fn directories(file: &NodeConfiguration) -> Result<(), ConfigError> {
    absolute("podLogsDir", &file.pod_logs_dir)?;
    absolute("containerLinksDir", &file.container_links_dir)?;
    absolute("runDirectory", &file.run_directory)
}

fn limits(file: &NodeConfiguration) -> Result<(), ConfigError> {
    at_least("maxPods", u64::from(file.max_pods), 1)?;
    at_least("capacity", u64::from(file.capacity), 1)?;
    isolation(file)?;
    at_least("containerLogMaxFiles", u64::from(file.container_log_max_files), 2)?;
    at_least("containerLogMaxSize", file.container_log_max_size.0, 4096)?;
    at_least("maxParallelImagePulls", file.max_parallel_image_pulls as u64, 1)?;
    at_least("maxModuleSize", file.max_module_size.0, 1)?;
    at_least("imageStoreSizeLimit", file.image_store_size_limit.0, file.max_module_size.0)?;
    if file.run_directory_size.0 > 0 {
        at_least("runDirectorySize", file.run_directory_size.0, 1 << 20)?;
    }
    at_least("compile.memoryLimit", file.compile.memory_limit.0, 64 << 20)?;
    positive("compile.timeout", file.compile.timeout)?;
    if file.compile.nice > 19 {
        return Err(ConfigError::field("compile.nice", "must be between 0 and 19"));
    }
    let restart = file.crash_loop_back_off.max_container_restart_period.0;
    if restart < Duration::from_secs(1) || restart > LONGEST_RESTART {
        let field = "crashLoopBackOff.maxContainerRestartPeriod";
        return Err(ConfigError::field(field, "must be between 1s and 300s"));
    }
    Ok(())
}

fn isolation(file: &NodeConfiguration) -> Result<(), ConfigError> {
    if !file.allowed_isolation.contains(&file.isolation) {
        return Err(ConfigError::field("allowedIsolation", "must contain the node's own isolation"));
    }
    let users = &file.group_users;
    if users.count > 0 && users.first == 0 {
        return Err(ConfigError::field("groupUsers.first", "must not be 0, which is root"));
    }
    if users.first.checked_add(users.count).is_none_or(|end| end == u32::MAX) {
        return Err(ConfigError::field("groupUsers", "ends beyond the largest user id"));
    }
    if file.shutdown_grace_period_critical_pods.0 > file.shutdown_grace_period.0 {
        let field = "shutdownGracePeriodCriticalPods";
        return Err(ConfigError::field(field, "must not be longer than shutdownGracePeriod"));
    }
    Ok(())
}

fn reserved(field: &'static str, resources: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, amount) in resources {
        if !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            let problem = format!("{name:?} is not one of cpu, memory, ephemeral-storage");
            return Err(ConfigError::field(field, problem));
        }
        if quantity::parse(&Quantity(amount.clone())).is_none_or(|amount| amount.0 < 0) {
            return Err(ConfigError::field(field, format!("{name}: {amount:?} is not a quantity such as 500m or 1Gi")));
        }
    }
    Ok(())
}

fn positive(field: &'static str, duration: GoDuration) -> Result<(), ConfigError> {
    if duration.0.is_zero() { Err(ConfigError::field(field, "must be more than 0s")) } else { Ok(()) }
}

fn at_least(field: &'static str, value: u64, least: u64) -> Result<(), ConfigError> {
    if value < least { Err(ConfigError::field(field, format!("must be at least {least}"))) } else { Ok(()) }
}

fn absolute(field: &'static str, path: &Path) -> Result<(), ConfigError> {
    if path.is_absolute() { Ok(()) } else { Err(ConfigError::field(field, "must be an absolute path")) }
}

/// The flag, or the host's name in lower case; the rules are a Node object's.
pub(super) fn node_name(flag: Option<String>) -> Result<String, ConfigError> {
    let name = flag.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    let name = name.trim().to_lowercase();
    if is_subdomain(&name) {
        return Ok(name);
    }
    let problem = format!("{name:?} is not a name for a Node (letters, digits, - and . only); choose another one");
    Err(ConfigError::Flag { flag: "hostname-override", problem })
}

/// Addresses that other machines cannot use are refused (kubelet contract section 1.2).
pub(super) fn node_ip(ip: IpAddr) -> Result<IpAddr, ConfigError> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local {
        let problem = format!("{ip} cannot be reached from other machines; give an address of this host");
        return Err(ConfigError::Flag { flag: "node-ip", problem });
    }
    Ok(ip)
}

/// An absolute path, so that compile jobs and runners find it whatever their working directory.
pub(super) fn root_dir(dir: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&dir).map_err(|error| ConfigError::Flag { flag: "root-dir", problem: error.to_string() })
}

/// A DNS subdomain, as names of objects are.
fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
