//! Files of pods and who may do what with them: what a pod's user has, and what it cannot make the agent do.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;
use tempfile::TempDir;
use wasmnode_core::desired::Desired;
use wasmnode_provider_api::{Exit, ExitReason, Mount, RunId};

use super::{exit, files, mounts};
use crate::fixtures::{access, container, desired, layout, pod_ref, users};
use crate::groups::{Group, Groups, IsolationPolicy};
use crate::layout::{Medium, PodLayout};
use crate::volumes::tests::set_up_volume;
use crate::{exits, own, volumes};

/// A pod `p` with everything that the agent makes for it, and a file of its own in each place.
struct Rig {
    top: TempDir,
    groups: Groups,
    pod: PodLayout,
    desired: Desired,
}

impl Rig {
    async fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let groups = Groups::new(layout(top.path()), IsolationPolicy { users: users(1), ..IsolationPolicy::default() });
        groups.place(&pod_ref("p", "u"), &Group::named("a".to_owned()), &[]).unwrap();
        let pod = groups.find(&pod_ref("p", "u")).unwrap();
        own::record(&pod, 30).unwrap();
        let rig = Self { top, groups, pod, desired: desired("p", "u") };
        rig.set_up_volumes().await.unwrap();
        rig.prepare(0).unwrap();
        fs::write(rig.pod.log_file("c", 0), "2026-01-02T15:04:05.000000000Z stdout F mine\n").unwrap();
        rig
    }

    async fn set_up_volumes(&self) -> Result<(), String> {
        set_up_volume(&self.pod, &json!({ "emptyDir": {} })).await?;
        set_up_volume(&self.pod, &json!({ "secret": { "secretName": "s", "defaultMode": 0o400 } })).await.map(drop)
    }

    fn mounts(&self) -> Vec<Mount> {
        let mut mounts = mounts::mounts(&self.pod, &self.desired, &container("c")).unwrap();
        mounts.push(Mount {
            host: self.pod.volume(Medium::Disk, "v"),
            guest: "/etc/data".to_owned(),
            read_only: false,
        });
        mounts
    }

    fn prepare(&self, attempt: u32) -> std::io::Result<()> {
        let image = self.top.path().join("image");
        fs::create_dir_all(image.join("usr")).unwrap();
        fs::set_permissions(image.join("usr"), Permissions::from_mode(0o755)).unwrap();
        fs::write(image.join("usr/tool"), "tool").unwrap();
        fs::set_permissions(image.join("usr/tool"), Permissions::from_mode(0o4755)).unwrap();
        if !image.join("link").exists() {
            symlink("usr/tool", image.join("link")).unwrap();
        }
        files::prepare(&self.pod, &container("c"), attempt, &self.mounts(), Some(&image))
    }

    fn message(&self) -> String {
        let exit = Exit {
            run: RunId::new("0".repeat(64)).unwrap(),
            code: 1,
            reason: ExitReason::Exited,
            message: String::new(),
            started_at: SystemTime::UNIX_EPOCH,
            finished_at: SystemTime::UNIX_EPOCH,
        };
        let mut container = container("c");
        container.termination_message_from_log = true;
        exit::written(&self.pod, &self.desired, &container, 0, &exit)
    }

    fn log(&self) -> String {
        let root = self.top.path().join("logs");
        let file = self.pod.log_file("c", 0);
        let output = wasmnode_logs::last_output(&root, file.strip_prefix(&root).unwrap(), 10, 1000);
        String::from_utf8(output.unwrap_or_default()).unwrap()
    }
}

#[tokio::test]
async fn a_pods_user_has_what_containers_write_and_nothing_else() {
    let rig = Rig::new().await;
    let (me, my_group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (user, group) = rig.pod.user().map_or((me, my_group), |user| (user, user));
    let (disk, memory) = ("state/groups/a/pods/u", "run/groups/a/pods/u");
    let secret = rig.pod.volume(Medium::Memory, "v");
    let data = fs::read_link(secret.join("..data")).unwrap();
    let data = format!("volumes/v/{}", data.display());
    let (theirs, passing, mine) = ((user, group), (me, group), (me, my_group));
    let cases = [
        (disk, "root", passing, 0o750),
        (disk, "root/c", theirs, 0o755),
        (disk, "root/c/usr", theirs, 0o755),
        (disk, "root/c/usr/tool", theirs, 0o4755),
        (disk, "root/c/link", theirs, 0o777),
        (disk, "root/c/etc", theirs, 0o755),
        (disk, "root/c/etc/data", theirs, 0o755),
        (disk, "root/c/dev", theirs, 0o755),
        (disk, "root/c/dev/termination-log", theirs, 0o666),
        (disk, "volumes", passing, 0o750),
        (disk, "volumes/v", theirs, 0o777),
        (disk, "pod.json", mine, 0o640),
        (memory, "volumes/v", mine, 0o755),
        (memory, &data, mine, 0o755),
        (memory, &format!("{data}/k"), theirs, 0o400),
        ("logs", "", mine, 0o755),
        ("logs", "ns_p_u", passing, 0o750),
        ("logs", "ns_p_u/c", theirs, 0o750),
    ];
    for (tree, path, (user, group), mode) in cases {
        assert_eq!(access(&rig.top.path().join(tree).join(path)), (user, group, mode), "{tree}/{path}");
    }
}

/// Everything about a tree that the agent must leave as it is.
fn state(top: &Path) -> BTreeMap<PathBuf, (u32, u32, u32, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![top.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.uid(), metadata.gid(), metadata.mode(), metadata.nlink(), content));
    }
    found
}

/// Another pod's, or the host's: one entry for each name that the agent looks for.
fn victim() -> TempDir {
    let victim = tempfile::tempdir().unwrap();
    let line = "2026-01-02T15:04:05.000000000Z stdout F precious\n";
    for directory in ["c", "v", "dev", "etc", "volumes/v", "root/c/dev", "c/dev"] {
        fs::create_dir_all(victim.path().join(directory)).unwrap();
    }
    for file in [
        "k",
        "v/k",
        "c/0.log",
        "0.log",
        "termination-log",
        "dev/termination-log",
        "hosts",
        "c.json",
        "root/c/dev/termination-log",
    ] {
        fs::write(victim.path().join(file), line).unwrap();
    }
    victim
}

/// Puts a link in the place of what is there.
fn plant(place: &Path, target: &Path) {
    match fs::symlink_metadata(place) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(place).unwrap(),
        Ok(_) => fs::remove_file(place).unwrap(),
        Err(_) => fs::create_dir_all(place.parent().unwrap()).unwrap(),
    }
    symlink(target, place).unwrap();
}

#[tokio::test]
async fn planted_links_lead_the_agent_nowhere() {
    // Where a link is, and to what of the victim's.
    let (disk, memory) = ("state/groups/a/pods/u", "run/groups/a/pods/u");
    let plants = [
        (disk, "root", ""),
        (disk, "root/c", ""),
        (disk, "root/c/etc", ""),
        (disk, "root/c/etc/hosts", "hosts"),
        (disk, "root/c/dev", ""),
        (disk, "root/c/dev/termination-log", "termination-log"),
        (disk, "volumes", ""),
        (disk, "volumes/v", ""),
        (disk, "volumes/v/dir", ""),
        (disk, "exits", ""),
        (disk, "exits/c.json", "c.json"),
        (memory, "volumes", ""),
        (memory, "volumes/v", ""),
        (memory, "volumes/v/..data", ""),
        (memory, "volumes/v/..data_tmp", ""),
        (memory, "volumes/v/k", "k"),
        ("logs", "ns_p_u", ""),
        ("logs", "ns_p_u/c", "c"),
        ("logs", "ns_p_u/c/0.log", "c/0.log"),
        ("logs", "ns_p_u/c/1.log", "c/0.log"),
    ];
    for (tree, place, target) in plants {
        let (rig, victim) = (Rig::new().await, victim());
        let place = rig.top.path().join(tree).join(place);
        plant(&place, &victim.path().join(target));
        let before = state(victim.path());
        let unharmed = |what: &str| assert_eq!(state(victim.path()), before, "{what} with {}", place.display());

        assert!(!rig.message().contains("precious"), "the message with {}", place.display());
        assert!(!rig.log().contains("precious"), "the log with {}", place.display());
        // Whether it works is another matter: a user may break what is its own.
        let _ = rig.set_up_volumes().await;
        unharmed("a refresh");
        for attempt in 1..3 {
            let _ = rig.prepare(attempt);
            unharmed("a start");
        }
        let status = serde_json::from_value(json!({
            "name": "c", "restartCount": 0, "image": "", "imageID": "", "ready": false,
        }));
        let _ = exits::record(&rig.pod, &status.unwrap());
        unharmed("an exit");
        assert!(exits::read(&rig.pod, &rig.desired).is_ok());
        volumes::tear_down(&rig.pod).unwrap();
        unharmed("the end of the volumes");
        own::remove(&rig.groups, &rig.pod).unwrap();
        unharmed("the end of the pod");
        for tree in ["state/groups", "run/groups", "logs"] {
            let left = fs::read_dir(rig.top.path().join(tree)).unwrap().count();
            assert_eq!(left, 0, "{tree} with {}", place.display());
        }
    }
}
