//! Decisions about containers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::decision::decisions;

decisions!(CONTAINER, container, Container, "spec.containers[]", {
    args "args" Honoured "with `$(VAR)`"
    command "command" Honoured "with `$(VAR)`; becomes the first arguments of the guest"
    env "env" Honoured "see below"
    env_from "envFrom" Honoured ""
    image "image" Honoured "a WebAssembly artifact"
    image_pull_policy "imagePullPolicy" Honoured ""
    lifecycle "lifecycle" Refused "this version has no lifecycle hooks"
    liveness_probe "livenessProbe" Refused "this version has no probes"
    name "name" Honoured ""
    ports "ports" Void "informational; see below"
    readiness_probe "readinessProbe" Refused "this version has no probes"
    resize_policy "resizePolicy" Void "says how to resize in place, which this node does not do"
    resources "resources" Honoured "see below"
    restart_policy "restartPolicy" Honoured ""
    restart_policy_rules "restartPolicyRules" Honoured "see below"
    security_context "securityContext" Honoured "see below"
    startup_probe "startupProbe" Refused "this version has no probes"
    stdin "stdin" Honoured ""
    stdin_once "stdinOnce" Honoured ""
    termination_message_path "terminationMessagePath" Honoured ""
    termination_message_policy "terminationMessagePolicy" Honoured ""
    tty "tty" Honoured ""
    volume_devices "volumeDevices" Refused "a guest cannot use block devices"
    volume_mounts "volumeMounts" Honoured "see below"
    working_dir "workingDir" Honoured "the variable PWD, and the initial directory of components"
});

decisions!(RESOURCES, resources, ResourceRequirements, "spec.containers[].resources", {
    claims "claims" Refused "this node has no devices to allocate"
    limits "limits" Reported(limits_not_enforced) "`memory` and `cpu` are enforced; other limits, such as `ephemeral-storage`, are not in this version"
    requests "requests" Honoured "counted on admission"
});

decisions!(PORT, port, ContainerPort, "spec.containers[].ports[]", {
    container_port "containerPort" Void "informational"
    host_ip "hostIP" Void "belongs to `hostPort`"
    host_port "hostPort" Reported "nothing is forwarded from the node's port in this version"
    name "name" Void "informational"
    protocol "protocol" Void "informational"
});

decisions!(RESTART_RULE, restart_rule, ContainerRestartRule, "spec.containers[].restartPolicyRules[]", {
    action "action" Refused(not_restart) "`Restart` is honoured; `RestartAllContainers` is not in this version"
    exit_codes "exitCodes" Honoured ""
});

decisions!(ENV_VAR_SOURCE, env_var_source, EnvVarSource, "spec.containers[].env[].valueFrom", {
    config_map_key_ref "configMapKeyRef" Honoured ""
    field_ref "fieldRef" Honoured ""
    file_key_ref "fileKeyRef" Refused "this version reads no variables from files; use a ConfigMap"
    resource_field_ref "resourceFieldRef" Honoured ""
    secret_key_ref "secretKeyRef" Honoured ""
});

fn limits_not_enforced(limits: &Option<BTreeMap<String, Quantity>>) -> bool {
    limits.iter().flat_map(BTreeMap::keys).any(|name| name != "memory" && name != "cpu")
}

fn not_restart(action: &str) -> bool {
    action != "Restart"
}
