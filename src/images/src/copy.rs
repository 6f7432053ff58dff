//! A private, writable copy of an image's root.
//!
//! Files share their blocks with the image where the file system can (reflinks), else they are copied. Hard links
//! would be cheaper everywhere and were rejected: a guest that writes would write to the image.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::path::Path;

use crate::tree::through;

/// Copies the tree `image`, an [`Image::root`](crate::Image::root), into the empty directory `target`. As large, as
/// deep and as many files as unpacking allows. Hard links become files of their own. Blocking.
///
/// # Errors
/// When the disk refuses; what was written stays.
pub fn copy_root(image: &Path, target: BorrowedFd<'_>) -> io::Result<()> {
    copy_root_for(image, target, None)
}

/// As [`copy_root`], with everything in `target` for that user and the group of the same number. `target` itself stays
/// whose it is, and must let nobody else in before the copy is complete.
///
/// # Errors
/// As [`copy_root`], and when the caller may not change owners.
pub fn copy_root_for(image: &Path, target: BorrowedFd<'_>, user: Option<u32>) -> io::Result<()> {
    copy_dir(image, &through(target, "".as_ref()), user)
}

/// Nothing but this copies into `to`, which does not exist for anybody else yet.
fn copy_dir(from: &Path, to: &Path, user: Option<u32>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&to)?;
            copy_dir(&from, &to, user)?;
            give(&to, user)?;
            fs::set_permissions(&to, entry.metadata()?.permissions())?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
            give(&to, user)?;
        } else if kind.is_file() {
            copy_file(&from, &to, user)?;
        }
    }
    Ok(())
}

fn give(path: &Path, user: Option<u32>) -> io::Result<()> {
    user.map_or(Ok(()), |user| lchown(path, Some(user), Some(user)))
}

fn copy_file(from: &Path, to: &Path, user: Option<u32>) -> io::Result<()> {
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    let mode = metadata.permissions().mode();
    let mut copy = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    if rustix::fs::ioctl_ficlone(copy.as_fd(), source.as_fd()).is_err() {
        // Done in the kernel where both ends are files.
        io::copy(&mut source, &mut copy)?;
    }
    if let Some(user) = user {
        // Before the mode: a new owner takes bits away.
        fchown(&copy, Some(user), Some(user))?;
    }
    copy.set_permissions(metadata.permissions())?;
    copy.set_times(FileTimes::new().set_modified(metadata.modified()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_copy_is_private() {
        let (image, container) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::create_dir_all(image.path().join("a/b")).unwrap();
        fs::write(image.path().join("a/b/file"), "image").unwrap();
        fs::hard_link(image.path().join("a/b/file"), image.path().join("hard")).unwrap();
        symlink("/a/b/file", image.path().join("a/link")).unwrap();
        File::open(image.path().join("hard")).unwrap().set_modified(old).unwrap();
        fs::set_permissions(image.path().join("a/b/file"), fs::Permissions::from_mode(0o751)).unwrap();
        copy_root(image.path(), File::open(container.path()).unwrap().as_fd()).unwrap();
        let copy = container.path().join("a/b/file");
        assert_eq!(fs::read(&copy).unwrap(), b"image");
        let metadata = fs::metadata(&copy).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.modified().unwrap()), (0o751, old));
        assert_eq!(fs::read_link(container.path().join("a/link")).unwrap(), Path::new("/a/b/file"));
        fs::write(container.path().join("hard"), "container").unwrap();
        assert_eq!(
            (fs::read(image.path().join("hard")).unwrap(), fs::read(&copy).unwrap()),
            (b"image".into(), b"image".into())
        );
    }

    #[test]
    fn a_copy_may_be_someone_elses() {
        let (image, container) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(image.path().join("a")).unwrap();
        fs::write(image.path().join("a/tool"), "tool").unwrap();
        fs::set_permissions(image.path().join("a/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("a/tool", image.path().join("link")).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        let me = owner(container.path());
        let user = 1_900_000_000;
        // Without privileges a copy can only be the caller's.
        let theirs = if lchown(image.path().join("link"), Some(user), Some(user)).is_ok() { (user, user) } else { me };
        copy_root_for(image.path(), File::open(container.path()).unwrap().as_fd(), (theirs != me).then_some(user))
            .unwrap();
        for path in ["a", "a/tool", "link"] {
            assert_eq!(owner(&container.path().join(path)), theirs, "{path}");
        }
        assert_eq!(owner(container.path()), me);
        let mode = fs::metadata(container.path().join("a/tool")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o4755);
    }
}
