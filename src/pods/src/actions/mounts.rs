//! A container's tree: its root, and the pod's volumes in it.

use std::path::{Component, Path, PathBuf};

use wasmnode_core::desired::{Container, Desired, VolumeMount};
use wasmnode_provider_api::Mount;

use crate::layout::{Medium, PodLayout};
use crate::volumes;

/// What the guest sees, `/` first, parents before what lies below them.
pub(super) fn mounts(pod: &PodLayout, desired: &Desired, container: &Container) -> Result<Vec<Mount>, String> {
    let root = pod.container_root(&container.name);
    let mut mounts = vec![Mount { host: root.clone(), guest: "/".to_owned(), read_only: container.read_only_root }];
    mounts.extend(message_directory(container, &root));
    for mount in &container.mounts {
        mounts.push(one(pod, desired, mount)?);
    }
    mounts.sort_by(|a, b| a.guest.cmp(&b.guest));
    Ok(mounts)
}

fn one(pod: &PodLayout, desired: &Desired, mount: &VolumeMount) -> Result<Mount, String> {
    let volume = desired.volumes.iter().find(|volume| volume.name == mount.volume);
    let volume = volume.ok_or_else(|| format!("volume {:?} is not in the pod's spec", mount.volume))?;
    let inside = relative(&mount.path).ok_or_else(|| format!("mountPath {:?} is not a path below /", mount.path))?;
    Ok(Mount {
        host: volumes::host_path(pod, volume),
        guest: format!("/{}", inside.display()),
        read_only: mount.read_only || !volumes::is_writable(&volume.source),
    })
}

/// The directory of the termination message stays writable below a read-only root.
fn message_directory(container: &Container, root: &Path) -> Option<Mount> {
    let file = relative(&container.termination_message_path)?;
    let directory = file.parent().filter(|parent| container.read_only_root && !parent.as_os_str().is_empty())?;
    let guest = format!("/{}", directory.display());
    Some(Mount { host: root.join(directory), guest, read_only: false })
}

/// Where the container's termination message is on the host: a directory that is the agent's and a path below it,
/// which leads through what the container writes. A file in a volume is found there; where the container cannot write
/// there is none.
pub(super) fn message_file(pod: &PodLayout, container: &Container, mounts: &[Mount]) -> Option<(PathBuf, PathBuf)> {
    let file = relative(&container.termination_message_path)?;
    let (innermost, rest) = mounts
        .iter()
        .filter_map(|mount| Some((mount, file.strip_prefix(mount.guest.trim_start_matches('/')).ok()?)))
        .filter(|(_, rest)| !rest.as_os_str().is_empty())
        .min_by_key(|(_, rest)| rest.components().count())?;
    let place = Medium::ALL.into_iter().find_map(|medium| {
        let directory = pod.path(medium);
        let below = innermost.host.strip_prefix(&directory).ok()?.join(rest);
        Some((directory, below))
    });
    place.filter(|_| !innermost.read_only)
}

/// A guest path relative to the guest's root; none for the root itself and for paths that lead upwards.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!clean.as_os_str().is_empty()).then_some(clean)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmnode_core::desired::{Volume, VolumeSource};

    use super::*;
    use crate::fixtures::{container, desired, pod_layout};

    fn volume(name: &str, source: VolumeSource) -> Volume {
        Volume { name: name.to_owned(), source }
    }

    fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
        VolumeMount { volume: volume.to_owned(), path: path.to_owned(), read_only }
    }

    fn pod() -> (PodLayout, Desired) {
        let mut desired = desired("p", "u");
        let disk = VolumeSource::EmptyDir { memory: false, size_limit: None };
        let memory = VolumeSource::EmptyDir { memory: true, size_limit: None };
        desired.volumes =
            vec![volume("disk", disk), volume("ram", memory), volume("token", VolumeSource::Projected(Vec::new(), 0))];
        (pod_layout(Path::new("/top"), "p", "u"), desired)
    }

    #[test]
    fn root_first_and_agents_files_read_only() {
        let (pod, desired) = pod();
        let mut container = container("c");
        container.mounts =
            vec![mount("token", "/run/x/", false), mount("disk", "/data/./a", false), mount("ram", "/data", true)];
        let mounts = mounts(&pod, &desired, &container).unwrap();
        let state = "/top/state/groups/node/pods/u";
        let expected = [
            ("/", format!("{state}/root/c"), false),
            ("/data", "/top/run/groups/node/pods/u/volumes/ram".to_owned(), true),
            ("/data/a", format!("{state}/volumes/disk"), false),
            ("/run/x", "/top/run/groups/node/pods/u/volumes/token".to_owned(), true),
        ];
        let found = mounts.iter().map(|m| (m.guest.as_str(), m.host.display().to_string(), m.read_only));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let (pod, desired) = pod();
        for (name, path) in [("disk", "/"), ("disk", ""), ("disk", "/a/../b"), ("unknown", "/a")] {
            let mut container = container("c");
            container.mounts = vec![mount(name, path, false)];
            assert!(mounts(&pod, &desired, &container).is_err(), "{name} {path}");
        }
    }

    #[test]
    fn the_message_stays_writable_below_a_read_only_root() {
        let (pod, desired) = pod();
        let mut container = container("c");
        container.read_only_root = true;
        let found: Vec<_> =
            mounts(&pod, &desired, &container).unwrap().into_iter().map(|m| (m.guest, m.read_only)).collect();
        assert_eq!(found, [("/".to_owned(), true), ("/dev".to_owned(), false)]);
    }

    #[test]
    fn the_message_is_where_the_guest_wrote_it() {
        let (pod, desired) = pod();
        let mut container = container("c");
        container.mounts = vec![mount("disk", "/data", false)];
        let file = |container: &Container| {
            let (directory, file) = message_file(&pod, container, &mounts(&pod, &desired, container).unwrap())?;
            Some(directory.join(file).display().to_string())
        };
        let state = "/top/state/groups/node/pods/u";
        assert_eq!(file(&container).unwrap(), format!("{state}/root/c/dev/termination-log"));
        container.termination_message_path = "/data/a/b".to_owned();
        assert_eq!(file(&container).unwrap(), format!("{state}/volumes/disk/a/b"));
        container.termination_message_path = "/data".to_owned();
        assert_eq!(file(&container).unwrap(), format!("{state}/root/c/data"));
        container.termination_message_path = "/../x".to_owned();
        assert_eq!(file(&container), None);
        container.mounts[0].read_only = true;
        container.termination_message_path = "/data/a/b".to_owned();
        assert_eq!(file(&container), None, "what is there is no message of the container's");
    }
}
