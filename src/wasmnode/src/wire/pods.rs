//! Pods and their logs, for the kubelet API.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use wasmnode_core::PodRef;
use wasmnode_logs::paths;
use wasmnode_pods::Handle;
use wasmnode_server::{Instance, LogTarget, Pods};

/// The supervisor's view of pods, with where their logs are.
pub(crate) struct ServedPods {
    pub(crate) pods: Handle,
    pub(crate) logs: PathBuf,
}

impl Pods for ServedPods {
    fn list(&self) -> Vec<Pod> {
        self.pods.pods()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.pods.lookup(namespace, name)
    }

    fn log_target(&self, pod: &Pod, instance: &Instance) -> Option<LogTarget> {
        let pod = pod_ref(pod);
        let directory = paths::pod_dir(Path::new(""), &pod.namespace, &pod.name, &pod.uid);
        let relative = paths::log_file(&directory, &instance.container, instance.attempt);
        // A link in its place exists, too, and is refused by whoever opens it.
        self.logs.join(&relative).symlink_metadata().ok()?;
        let ended = self.pods.ended(&pod, &instance.container, instance.attempt);
        Some(LogTarget { root: self.logs.clone(), relative, ended })
    }
}

fn pod_ref(pod: &Pod) -> PodRef {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    PodRef { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) }
}
