//! The links in `/var/log/containers` that log collectors watch. Their directory belongs to the node, so plain
//! paths are safe here; where they point to is only text to this module.

use std::io;
use std::path::Path;

/// Points the link `name` in `dir` to `log_file`, whether or not that exists yet. An older link gives way.
pub fn create(dir: &Path, name: &str, log_file: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let link = dir.join(name);
    if std::fs::read_link(&link).is_ok_and(|target| target == log_file) {
        return Ok(());
    }
    remove(dir, name)?;
    std::os::unix::fs::symlink(log_file, link)
}

/// Removes the link `name`. One that does not exist is no error; anything but a link is left alone.
pub fn remove(dir: &Path, name: &str) -> io::Result<()> {
    let link = dir.join(name);
    match std::fs::symlink_metadata(&link) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(metadata) if metadata.is_symlink() => std::fs::remove_file(link),
        Ok(_) => Ok(()),
    }
}

/// Removes links below `dir` that point to files below `root` which are gone; at start and after a pod's logs were
/// removed. Links of other agents, with other roots, stay.
pub fn remove_dangling(dir: &Path, root: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let link = entry?.path();
        let ours = std::fs::read_link(&link).is_ok_and(|target| target.starts_with(root));
        if ours && !link.try_exists()? {
            std::fs::remove_file(link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn links_are_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let links = dir.path().join("containers");
        create(&links, "a.log", Path::new("/x/0.log")).unwrap();
        create(&links, "a.log", Path::new("/x/0.log")).unwrap();
        create(&links, "a.log", Path::new("/x/1.log")).unwrap();
        assert_eq!(std::fs::read_link(links.join("a.log")).unwrap(), Path::new("/x/1.log"));
        remove(&links, "a.log").unwrap();
        remove(&links, "a.log").unwrap();
        assert_eq!(std::fs::read_dir(&links).unwrap().count(), 0);
    }

    #[test]
    fn only_dangling_links_of_this_root_go() {
        let dir = tempfile::tempdir().unwrap();
        let (links, root) = (dir.path().join("containers"), dir.path().join("pods"));
        remove_dangling(&links, &root).unwrap();
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("live"), "").unwrap();
        create(&links, "live.log", &root.join("live")).unwrap();
        create(&links, "dead.log", &root.join("dead")).unwrap();
        create(&links, "other.log", Path::new("/elsewhere/dead")).unwrap();
        std::fs::write(links.join("file.log"), "").unwrap();
        remove_dangling(&links, &root).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&links).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["file.log", "live.log", "other.log"]);
    }
}
