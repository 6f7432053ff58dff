//! Names: of the node, of pods, of what they print.

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;

/// Name of the only node that there is.
pub(super) const NODE: &str = "localhost";

/// Longest name of a pod that is made from an image's.
const MAX_NAME: usize = 63;

/// A new UID, as of any object.
pub(super) fn uid() -> anyhow::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot make a pod's UID")?;
    Ok(uuid.trim().to_owned())
}

/// What stands before a container's output: its pod's name, and its own where there are several.
pub(super) fn label(pod: &Pod, container: &str) -> String {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let alone = pod.spec.as_ref().is_some_and(|spec| spec.containers.len() == 1);
    if alone { name } else { format!("{name}/{container}") }
}

/// A pod's name from an image's: the last part of it, without tag and digest.
pub(super) fn of_image(image: &str) -> String {
    let path = image.strip_prefix("oci:").unwrap_or(image);
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let stem = last.split(['@', ':']).next().unwrap_or_default();
    let stem = stem.strip_suffix(".wasm").unwrap_or(stem).to_ascii_lowercase();
    let dashed = stem.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let cut: String = dashed.trim_matches('-').chars().take(MAX_NAME).collect();
    match cut.trim_end_matches('-') {
        "" => "main".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_called_like_their_images() {
        let cases = [
            ("ghcr.io/team/Hello_World:1.0", "hello-world"),
            ("hello@sha256:00", "hello"),
            ("localhost:5000/a/b", "b"),
            ("./target/my.app.wasm", "my-app"),
            ("oci:dist/app:v1", "app"),
            ("oci:.", "main"),
        ];
        for (image, name) in cases {
            assert_eq!(of_image(image), name, "{image}");
        }
    }
}
