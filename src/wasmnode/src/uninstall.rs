//! The verb `uninstall`: nothing of the node is left but its configuration and its program.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};

use crate::args::UninstallArgs;
use crate::config::Config;
use crate::config::units::GoDuration;
use crate::drain::{end_all, place, runtime, show};
use crate::exit::Failure;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::tmpfs;

/// Files of every root directory, removed last, so that what was interrupted can be repeated.
const MARKS: [&str; 2] = ["lock", "version"];

/// Shows what it removed.
pub(crate) fn run(args: UninstallArgs) -> Result<(), Failure> {
    let config = place(args.place)?;
    if !args.yes {
        return Err(Failure::Usage(format!(
            "this ends all pods of this node and removes {} and {}: say --yes",
            config.root_dir.display(),
            config.file.run_directory.display()
        )));
    }
    if !is_ours(&config)? {
        show("there is nothing of wasmnode here");
        return Ok(());
    }
    // The lock is in it, should somebody have removed it before.
    Layout::create_root(&config.root_dir)?;
    let lock = Lock::take(&config.root_dir)?;
    runtime()?.block_on(end(&config, args.timeout))?;
    remove(&config)?;
    drop(lock);
    Ok(())
}

async fn end(config: &Config, timeout: Option<GoDuration>) -> anyhow::Result<()> {
    let layout = Layout::create(config)?;
    end_all(config, &layout, timeout).await
}

/// Whether the directories are an agent's, so that all that is in them is. Says which one is not.
fn is_ours(config: &Config) -> anyhow::Result<bool> {
    let (root, run) = (&config.root_dir, &config.file.run_directory);
    // Both: other programs have directories with one of these names, too.
    let root_is = holds(root, &MARKS)?;
    let run_is = holds(run, &["groups"])?;
    if root_is == Some(false) || run_is == Some(false) {
        let other = if root_is == Some(false) { root } else { run };
        bail!("{} holds other things than an agent's: nothing was removed", other.display());
    }
    Ok(root_is.is_some() || run_is.is_some())
}

/// None: there is no such directory, or nothing in it. Else whether all of these are in it.
fn holds(directory: &Path, names: &[&str]) -> anyhow::Result<Option<bool>> {
    let mut entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.with_context(|| format!("cannot read {}", directory.display()))?,
    };
    if entries.next().is_none() {
        return Ok(None);
    }
    Ok(Some(names.iter().all(|name| directory.join(name).exists())))
}

/// The root directory last: it says that the others are ours.
fn remove(config: &Config) -> anyhow::Result<()> {
    let file = &config.file;
    let layout = wasmnode_pods::Layout {
        state_root: config.root_dir.clone(),
        memory_root: file.run_directory.clone(),
        logs_root: file.pod_logs_dir.clone(),
        links_dir: Some(file.container_links_dir.clone()),
    };
    for pod in wasmnode_pods::remove_all(layout).context("cannot remove what pods left")? {
        show(&format!("removed the logs and volumes of pod {pod}"));
    }
    if tmpfs::remove(&file.run_directory)? {
        show(&format!("unmounted {}", file.run_directory.display()));
    }
    empty(&config.root_dir)?;
    for directory in [&file.run_directory, &config.root_dir] {
        match std::fs::remove_dir_all(directory) {
            Ok(()) => show(&format!("removed {}", directory.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                show(&format!("emptied {}, on which somebody else has mounted something", directory.display()));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", directory.display())),
        }
    }
    Ok(())
}

/// Removes all but the marks.
fn empty(root: &Path) -> anyhow::Result<()> {
    let unread = || format!("cannot read {}", root.display());
    for entry in std::fs::read_dir(root).with_context(unread)? {
        let entry = entry.with_context(unread)?;
        if MARKS.iter().any(|mark| entry.file_name() == *mark) {
            continue;
        }
        let path = entry.path();
        let is_directory = entry.file_type().with_context(unread)?.is_dir();
        let removed = if is_directory { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(top: &Path) -> Config {
        let overrides = crate::config::Overrides {
            root_dir: top.join("root"),
            hostname: Some("n".to_owned()),
            ..Default::default()
        };
        let mut config = Config::load(overrides).unwrap();
        config.file.run_directory = top.join("run");
        config.file.pod_logs_dir = top.join("logs");
        config.file.container_links_dir = top.join("links");
        config
    }

    #[test]
    fn only_an_agents_directories_are_removed() {
        let top = tempfile::tempdir().unwrap();
        let config = config(top.path());
        assert!(!is_ours(&config).unwrap());
        let make = |path: &str| std::fs::create_dir_all(top.path().join(path)).unwrap();
        make("root");
        make("run");
        assert!(!is_ours(&config).unwrap(), "there is nothing in them");
        std::fs::write(top.path().join("root/mail"), "").unwrap();
        let error = is_ours(&config).unwrap_err().to_string();
        assert!(error.contains("root holds other things"), "{error}");
        make("root/groups");
        std::fs::write(top.path().join("root/version"), "1\n").unwrap();
        assert!(is_ours(&config).is_err(), "an agent's directory has a lock");
        std::fs::write(top.path().join("root/lock"), "").unwrap();
        assert!(is_ours(&config).unwrap());
        make("run/other");
        let error = is_ours(&config).unwrap_err().to_string();
        assert!(error.contains("run holds other things"), "{error}");
        make("run/groups");
        assert!(is_ours(&config).unwrap());
        make("logs");
        remove(&config).unwrap();
        assert!(!top.path().join("root").exists() && !top.path().join("run").exists());
        assert!(top.path().join("logs").exists(), "others may log there");
    }
}
