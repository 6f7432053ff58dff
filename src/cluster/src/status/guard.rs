//! What is never posted: a finished container or pod that runs again. The API server refuses most of it; a status
//! like that means an error in this agent, and a controller may already have acted on the end.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

/// Why this status may not follow the one that stands.
pub(super) fn objection(known: &Pod, wanted: &PodStatus) -> Option<String> {
    let stands = known.status.as_ref()?;
    let phase = stands.phase.as_deref().unwrap_or_default();
    let next = wanted.phase.as_deref().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") && phase != next {
        return Some(format!("phase {phase} may not become {next}"));
    }
    let spec = known.spec.as_ref()?;
    let apps = reopened(spec, &spec.containers, &stands.container_statuses, &wanted.container_statuses);
    let inits = || {
        let containers = spec.init_containers.as_deref().unwrap_or_default();
        reopened(spec, containers, &stands.init_container_statuses, &wanted.init_container_statuses)
    };
    apps.or_else(inits).map(|name| format!("container {name} has terminated for good and may not run again"))
}

fn reopened<'a>(
    spec: &PodSpec,
    containers: &[Container],
    old: &'a Option<Vec<ContainerStatus>>,
    new: &Option<Vec<ContainerStatus>>,
) -> Option<&'a str> {
    let ended = old.iter().flatten().filter(|status| ended_for_good(spec, containers, status));
    ended.map(|status| status.name.as_str()).find(|name| {
        let mut new = new.iter().flatten();
        new.any(|status| status.name == **name && !is_terminated(status))
    })
}

fn is_terminated(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.terminated.is_some())
}

fn ended_for_good(spec: &PodSpec, containers: &[Container], status: &ContainerStatus) -> bool {
    let terminated = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(exit_code) = terminated.map(|terminated| terminated.exit_code) else { return false };
    let container = containers.iter().find(|container| container.name == status.name);
    // Rules decide by exit code and may restart other containers, too.
    if containers.iter().any(|container| container.restart_policy_rules.is_some()) {
        return false;
    }
    let policy = container.and_then(|container| container.restart_policy.as_deref());
    match policy.or(spec.restart_policy.as_deref()).unwrap_or("Always") {
        "Never" => true,
        "OnFailure" => exit_code == 0,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn known(policy: &str, container: &Value, phase: &str, exit_code: i32) -> Pod {
        let terminated = json!({"name": "c", "state": {"terminated": {"exitCode": exit_code}}, "image": "", "imageID": "",
            "ready": false, "restartCount": 0});
        serde_json::from_value(json!({
            "spec": {"restartPolicy": policy, "containers": [container]},
            "status": {"phase": phase, "containerStatuses": [terminated]},
        }))
        .unwrap()
    }

    fn running(phase: &str) -> PodStatus {
        let status = json!({"name": "c", "state": {"running": {}}, "image": "", "imageID": "", "ready": true, "restartCount": 1});
        serde_json::from_value(json!({"phase": phase, "containerStatuses": [status]})).unwrap()
    }

    #[test]
    fn what_ended_for_good_stays_ended() {
        let plain = json!({"name": "c"});
        let own = json!({"name": "c", "restartPolicy": "Always"});
        let rules = json!({"name": "c", "restartPolicy": "Never", "restartPolicyRules": []});
        let cases = [
            ("Always", &plain, 0, false),
            ("OnFailure", &plain, 1, false),
            ("OnFailure", &plain, 0, true),
            ("Never", &plain, 1, true),
            ("Never", &own, 1, false),
            ("Never", &rules, 1, false),
        ];
        for (policy, container, exit_code, objects) in cases {
            let found = objection(&known(policy, container, "Running", exit_code), &running("Running"));
            assert_eq!(found.is_some(), objects, "{policy} {container} {exit_code}");
        }
    }

    #[test]
    fn final_phases_are_final() {
        let pod = known("Always", &json!({"name": "c"}), "Failed", 0);
        assert_eq!(objection(&pod, &running("Running")).unwrap(), "phase Failed may not become Running");
        assert_eq!(objection(&pod, &running("Succeeded")).unwrap(), "phase Failed may not become Succeeded");
        assert_eq!(objection(&pod, &running("Failed")), None);
        assert_eq!(objection(&Pod::default(), &running("Running")), None);
    }
}
