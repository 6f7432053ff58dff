//! The configuration file as it is written. Doc comments and defaults here are what `docs/configuration.md` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sections::{
    Authentication, Compile, CrashLoopBackOff, GroupUsers, Isolation, Logging, Switch, Taint, TaintEffect,
};
use super::units::{Bytes, GoDuration};

/// The whole file. Fields carry KubeletConfiguration's names and defaults wherever the meaning is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NodeConfiguration {
    /// Optional; `wasmnode.dev/v1alpha1` if given.
    pub(crate) api_version: ApiVersion,
    /// Optional; `NodeConfiguration` if given.
    pub(crate) kind: FileKind,

    /// Address that the kubelet API listens on.
    pub(crate) address: IpAddr,
    /// Port of the kubelet API (HTTPS).
    pub(crate) port: u16,
    /// Certificate of the kubelet API, PEM. Without it the agent makes a self-signed one below the root directory.
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Private key of `tlsCertFile`, PEM.
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Who may call the kubelet API.
    pub(crate) authentication: Authentication,

    /// Labels of the Node besides those that the agent sets itself. A node may not set `node-role.kubernetes.io/…`
    /// and most other labels of Kubernetes' own domains.
    pub(crate) node_labels: BTreeMap<String, String>,
    /// Taints that the Node is created with. An existing Node's taints stay as they are.
    pub(crate) register_with_taints: Vec<Taint>,
    /// Provider id of the Node.
    #[serde(rename = "providerID")]
    pub(crate) provider_id: Option<String>,
    /// Pods that the node takes.
    pub(crate) max_pods: u32,
    /// What the node's capacity keeps for the agent: resource name to quantity (cpu, memory, ephemeral-storage).
    pub(crate) kube_reserved: BTreeMap<String, String>,
    /// What the node's capacity keeps for the rest of the machine.
    pub(crate) system_reserved: BTreeMap<String, String>,
    /// How often the node's state is computed, and posted if it changed.
    pub(crate) node_status_update_frequency: GoDuration,
    /// How often the node's state is posted although nothing changed.
    pub(crate) node_status_report_frequency: GoDuration,
    /// Images listed in the node's status; -1 is all of them.
    pub(crate) node_status_max_images: i32,

    /// Events per second that the agent sends to the API server; 0 is no limit.
    #[serde(rename = "eventRecordQPS")]
    pub(crate) event_record_qps: u32,
    /// Events that may be sent at once.
    pub(crate) event_burst: u32,

    /// Directory of the pods' logs. `/var/log/pods` is refused where a kubelet runs on the same host, since that
    /// kubelet deletes the directories of pods that it does not know.
    pub(crate) pod_logs_dir: PathBuf,
    /// Directory of the links that log collectors follow.
    pub(crate) container_links_dir: PathBuf,
    /// Size at which a container's log file is rotated.
    pub(crate) container_log_max_size: Bytes,
    /// Log files of one container, the one in use included; at least 2.
    pub(crate) container_log_max_files: u32,
    /// Restarts of crashing containers.
    pub(crate) crash_loop_back_off: CrashLoopBackOff,

    /// Images pulled at the same time.
    pub(crate) max_parallel_image_pulls: usize,
    /// Registries that are spoken to over HTTP. Loopback addresses always are.
    pub(crate) insecure_registries: Vec<String>,
    /// Directory with mirrors and certificates of registries in containerd's form, `<host>/hosts.toml`; read at each
    /// pull.
    pub(crate) registry_config_dir: Option<PathBuf>,
    /// The largest wasm file that is pulled.
    pub(crate) max_module_size: Bytes,
    /// Disk space of images and compiled code; beyond it those used least recently are removed.
    pub(crate) image_store_size_limit: Bytes,
    /// Compile jobs.
    pub(crate) compile: Compile,
    /// What pods share a process (a runner) with, unless their RuntimeClass asks for something else: `node`,
    /// `namespace` or `pod`.
    pub(crate) isolation: Isolation,
    /// What RuntimeClasses may ask for, by the handlers `wasm-node`, `wasm-namespace` and `wasm-pod`.
    pub(crate) allowed_isolation: BTreeSet<Isolation>,
    /// User ids of the isolation groups. An agent that may not change users runs all groups as its own.
    pub(crate) group_users: GroupUsers,
    /// Containers that can run at the same time in one runner, which reserves address space for them at its start. A
    /// group has as many runners as it needs.
    pub(crate) capacity: u32,
    /// How long a runner without pods waits for the next one before it ends.
    pub(crate) runner_idle_time: GoDuration,
    /// Time for all pods to end when the machine shuts down, or at `wasmnode drain`. 0: a shutdown ends them in no order
    /// and without a word, and `drain` gives them a minute.
    pub(crate) shutdown_grace_period: GoDuration,
    /// The part of it that critical pods have to themselves, after all others have ended.
    pub(crate) shutdown_grace_period_critical_pods: GoDuration,
    /// Whether components of WASI 0.3 are run. Their engine is made when the first of them starts.
    pub(crate) wasip3: Switch,

    /// Directory for sockets and for volumes in memory (secrets, tokens). A tmpfs is mounted there if there is none.
    pub(crate) run_directory: PathBuf,
    /// Size of that tmpfs; 0 mounts nothing and uses the directory as it is.
    pub(crate) run_directory_size: Bytes,
    /// The agent's own log.
    pub(crate) logging: Logging,
}

/// The only version so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum ApiVersion {
    /// Fields may still change between minor releases.
    #[default]
    #[serde(rename = "wasmnode.dev/v1alpha1")]
    V1Alpha1,
}

/// The only kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum FileKind {
    /// The agent's configuration.
    #[default]
    NodeConfiguration,
}

impl Default for NodeConfiguration {
    fn default() -> Self {
        Self {
            api_version: ApiVersion::default(),
            kind: FileKind::default(),
            address: IpAddr::from([0, 0, 0, 0]),
            port: 10250,
            tls_cert_file: None,
            tls_private_key_file: None,
            authentication: Authentication::default(),
            node_labels: BTreeMap::new(),
            register_with_taints: [TaintEffect::NoSchedule, TaintEffect::NoExecute].map(wasm_taint).to_vec(),
            provider_id: None,
            max_pods: 110,
            kube_reserved: BTreeMap::new(),
            system_reserved: BTreeMap::new(),
            node_status_update_frequency: GoDuration::secs(10),
            node_status_report_frequency: GoDuration::secs(300),
            node_status_max_images: 50,
            event_record_qps: 50,
            event_burst: 100,
            pod_logs_dir: DEFAULT_POD_LOGS_DIR.into(),
            container_links_dir: "/var/log/containers".into(),
            container_log_max_size: Bytes::mebi(10),
            container_log_max_files: 5,
            crash_loop_back_off: CrashLoopBackOff::default(),
            max_parallel_image_pulls: 4,
            insecure_registries: Vec::new(),
            registry_config_dir: None,
            max_module_size: Bytes::mebi(256),
            image_store_size_limit: Bytes::gibi(10),
            compile: Compile::default(),
            isolation: Isolation::Namespace,
            allowed_isolation: BTreeSet::from([Isolation::Namespace, Isolation::Pod]),
            group_users: GroupUsers::default(),
            capacity: 1000,
            runner_idle_time: GoDuration::secs(10),
            shutdown_grace_period: GoDuration::secs(0),
            shutdown_grace_period_critical_pods: GoDuration::secs(0),
            wasip3: Switch::On,
            run_directory: "/run/wasmnode".into(),
            run_directory_size: Bytes::mebi(256),
            logging: Logging::default(),
        }
    }
}

/// Where a kubelet keeps its logs, too.
pub(crate) const DEFAULT_POD_LOGS_DIR: &str = "/var/log/pods";

fn wasm_taint(effect: TaintEffect) -> Taint {
    Taint { key: "kubernetes.io/arch".to_owned(), value: "wasm32-wasi".to_owned(), effect }
}
