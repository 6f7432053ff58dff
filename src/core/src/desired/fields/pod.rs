//! Decisions about the pod as a whole.

use super::decision::decisions;

decisions!(POD, pod, PodSpec, "spec", {
    active_deadline_seconds "activeDeadlineSeconds" Refused "this version has no deadlines; bound the Job instead (`activeDeadlineSeconds` of the Job works)"
    affinity "affinity" Honoured "the required node affinity is checked again on admission; the rest is the scheduler's"
    automount_service_account_token "automountServiceAccountToken" Void "the API server adds the volume or does not"
    containers "containers" Honoured "see below"
    dns_config "dnsConfig" Reported "names resolve as on the node in this version"
    dns_policy "dnsPolicy" Reported(unusual_dns) "`None` and `ClusterFirstWithHostNet` only: names resolve as on the node in this version"
    enable_service_links "enableServiceLinks" Honoured "variables of the namespace's Services"
    ephemeral_containers "ephemeralContainers" Reported "this version does not start ephemeral containers"
    eviction_responders "evictionResponders" Void "the eviction API's business"
    host_aliases "hostAliases" Reported "guests get no /etc/hosts in this version"
    host_ipc "hostIPC" Refused "a wasm guest has no IPC namespace to share"
    host_network "hostNetwork" Honoured "in this version every pod has the node's addresses"
    host_pid "hostPID" Refused "a wasm guest has no processes to see"
    host_users "hostUsers" Void "a wasm guest has no uid on the host"
    hostname "hostname" Honoured "the variable HOSTNAME"
    hostname_override "hostnameOverride" Refused "not in this version; use `hostname`"
    image_pull_secrets "imagePullSecrets" Honoured "also those that the service account adds"
    init_containers "initContainers" Refused "this version runs regular containers only; do the work at the start of the container"
    node_name "nodeName" Honoured ""
    node_selector "nodeSelector" Honoured "checked again on admission"
    os "os" Honoured "`linux` is accepted, since the image decides; `windows` fails with PodOSNotSupported"
    overhead "overhead" Honoured "counted on admission"
    preemption_policy "preemptionPolicy" Void "the scheduler's business"
    priority "priority" Honoured "critical pods are the last to end when the node shuts down; they do not preempt others on this node"
    priority_class_name "priorityClassName" Void "the scheduler's business"
    readiness_gates "readinessGates" Honoured ""
    resource_claims "resourceClaims" Refused "this node has no devices to allocate"
    resources "resources" Honoured "see below"
    restart_policy "restartPolicy" Honoured ""
    runtime_class_name "runtimeClassName" Honoured "chooses the isolation"
    scheduler_name "schedulerName" Void "the scheduler's business"
    scheduling_gates "schedulingGates" Void "the scheduler's business"
    scheduling_group "schedulingGroup" Void "the scheduler's business"
    security_context "securityContext" Honoured "see below"
    service_account "serviceAccount" Honoured "the old name of `serviceAccountName`"
    service_account_name "serviceAccountName" Honoured "tokens are requested for it"
    set_hostname_as_fqdn "setHostnameAsFQDN" Refused "not in this version; leave it out"
    share_process_namespace "shareProcessNamespace" Refused "a wasm guest has no processes to share"
    subdomain "subdomain" Void "the cluster's DNS makes the record"
    termination_grace_period_seconds "terminationGracePeriodSeconds" Honoured ""
    tolerations "tolerations" Honoured "NoExecute taints are checked on admission; the rest is the control plane's"
    topology_spread_constraints "topologySpreadConstraints" Void "the scheduler's business"
    volumes "volumes" Honoured "see below"
});

decisions!(POD_RESOURCES, pod_resources, ResourceRequirements, "spec.resources", {
    claims "claims" Refused "this node has no devices to allocate"
    limits "limits" Reported "limits of the pod as a whole are not enforced in this version; set them on its containers"
    requests "requests" Honoured "replace the containers' sum on admission"
});

fn unusual_dns(policy: &Option<String>) -> bool {
    matches!(policy.as_deref(), Some("None" | "ClusterFirstWithHostNet"))
}
