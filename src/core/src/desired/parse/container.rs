//! Regular containers.

use k8s_openapi::api::core::v1;

use super::env;
use super::notes::Notes;
use super::{non_empty, quantity, restart_policy};
use crate::desired::{Container, PullPolicy, RestartRule, VolumeMount, fields};

const DEFAULT_TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

pub(super) fn containers(containers: &[v1::Container], notes: &mut Notes) -> Vec<Container> {
    containers.iter().map(|container| parse(container, notes)).collect()
}

fn parse(container: &v1::Container, notes: &mut Notes) -> Container {
    let path = format!("spec.containers[{}]", container.name);
    note_fields(container, &path, notes);
    let image = container.image.clone().unwrap_or_default();
    let resources = container.resources.as_ref();
    let context = container.security_context.as_ref();
    Container {
        name: container.name.clone(),
        pull_policy: pull_policy(container.image_pull_policy.as_deref(), &image, &path, notes),
        image,
        command: container.command.clone().unwrap_or_default(),
        args: container.args.clone().unwrap_or_default(),
        env_from: env::env_from(container.env_from.as_deref().unwrap_or_default()),
        env: env::env(container.env.as_deref().unwrap_or_default(), &path, notes),
        working_dir: non_empty(container.working_dir.clone()),
        mounts: container.volume_mounts.iter().flatten().map(mount).collect(),
        limits: quantity::list(
            resources.and_then(|resources| resources.limits.as_ref()),
            &format!("{path}.resources.limits"),
            notes,
        ),
        requests: quantity::list(
            resources.and_then(|resources| resources.requests.as_ref()),
            &format!("{path}.resources.requests"),
            notes,
        ),
        stdin: container.stdin.unwrap_or_default(),
        stdin_once: container.stdin_once.unwrap_or_default(),
        tty: container.tty.unwrap_or_default(),
        restart_policy: restart_policy(container.restart_policy.as_deref(), &path, notes),
        restart_rules: container.restart_policy_rules.iter().flatten().filter_map(restart_rule).collect(),
        termination_message_path: non_empty(container.termination_message_path.clone())
            .unwrap_or_else(|| DEFAULT_TERMINATION_MESSAGE_PATH.to_owned()),
        termination_message_from_log: container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
        read_only_root: context.and_then(|context| context.read_only_root_filesystem).unwrap_or_default(),
        resources: resources.cloned(),
    }
}

fn note_fields(container: &v1::Container, path: &str, notes: &mut Notes) {
    notes.take(path, fields::container(container));
    if let Some(resources) = &container.resources {
        notes.take(&format!("{path}.resources"), fields::resources(resources));
    }
    if let Some(context) = &container.security_context {
        notes.take(&format!("{path}.securityContext"), fields::security(context));
    }
    for port in container.ports.iter().flatten() {
        notes.take(&format!("{path}.ports[{}]", port.container_port), fields::port(port));
    }
    for (index, rule) in container.restart_policy_rules.iter().flatten().enumerate() {
        notes.take(&format!("{path}.restartPolicyRules[{index}]"), fields::restart_rule(rule));
    }
    for mount in container.volume_mounts.iter().flatten() {
        notes.take(&format!("{path}.volumeMounts[{}]", mount.name), fields::mount(mount));
    }
}

fn mount(mount: &v1::VolumeMount) -> VolumeMount {
    VolumeMount {
        volume: mount.name.clone(),
        path: mount.mount_path.clone(),
        read_only: mount.read_only.unwrap_or_default(),
    }
}

/// A rule without exit codes matches nothing. An operator other than `In` and `NotIn` does not exist.
fn restart_rule(rule: &v1::ContainerRestartRule) -> Option<RestartRule> {
    let codes = rule.exit_codes.as_ref()?;
    let in_set = match codes.operator.as_str() {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    Some(RestartRule { in_set, codes: codes.values.clone().unwrap_or_default() })
}

fn pull_policy(text: Option<&str>, image: &str, path: &str, notes: &mut Notes) -> PullPolicy {
    match text {
        Some("Always") => PullPolicy::Always,
        Some("IfNotPresent") => PullPolicy::IfNotPresent,
        Some("Never") => PullPolicy::Never,
        None | Some("") => default_pull_policy(image),
        Some(_) => {
            notes.refuse(format!("{path}.imagePullPolicy"), "not one of `Always`, `IfNotPresent` and `Never`");
            PullPolicy::IfNotPresent
        }
    }
}

/// As the API server fills it in: Always for the tag `latest`, which is also the tag of an image without one.
fn default_pull_policy(image: &str) -> PullPolicy {
    let last = image.rsplit('/').next().unwrap_or_default();
    let latest = match (last.contains('@'), last.split_once(':')) {
        (true, _) => false,
        (false, Some((_, tag))) => tag == "latest",
        (false, None) => true,
    };
    if latest { PullPolicy::Always } else { PullPolicy::IfNotPresent }
}
