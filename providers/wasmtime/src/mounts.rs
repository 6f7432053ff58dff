//! Directories that a guest sees.

use wasmnode_provider_api::{Error, Mount, StartFailure};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// Directories of one run at most; a guest's library looks through all of them for every path.
const MAX_MOUNTS: usize = 256;

/// Opens the mounts as preopened directories. Blocks for as long as the host's file systems do.
///
/// # Errors
/// [`StartFailure::Invalid`] for the first mount that cannot be used.
pub(crate) fn preopen(wasi: &mut WasiCtxBuilder, mounts: &[Mount]) -> Result<(), Error> {
    if mounts.len() > MAX_MOUNTS {
        return Err(invalid(format!("{} mounts are more than the {MAX_MOUNTS} that are possible", mounts.len())));
    }
    for (i, mount) in mounts.iter().enumerate() {
        check(mount, &mounts[..i])?;
        let permissions = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        wasi.preopened_dir(&mount.host, &mount.guest, permissions)
            .map_err(|e| invalid(format!("mount {} of {}: {e:#}", mount.guest, mount.host.display())))?;
    }
    Ok(())
}

fn check(mount: &Mount, before: &[Mount]) -> Result<(), Error> {
    if !mount.guest.starts_with('/') || mount.guest.contains('\0') {
        return Err(invalid(format!("mount {:?} is not an absolute path", mount.guest)));
    }
    if !mount.host.is_absolute() {
        return Err(invalid(format!("mount {} of {} is not an absolute path", mount.guest, mount.host.display())));
    }
    if before.iter().any(|other| other.guest == mount.guest) {
        return Err(invalid(format!("mount {} is given twice", mount.guest)));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::Start(StartFailure::Invalid(message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mount(host: &str, guest: &str) -> Mount {
        Mount { host: host.into(), guest: guest.to_owned(), read_only: false }
    }

    #[test]
    fn refuses_what_cannot_be_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap();
        let cases = [
            (vec![mount(here, "data")], "mount \"data\" is not an absolute path"),
            (vec![mount("data", "/data")], "mount /data of data is not an absolute path"),
            (vec![mount(here, "/"), mount(here, "/")], "mount / is given twice"),
            (vec![mount(&format!("{here}/none"), "/x")], "No such file or directory"),
        ];
        for (mounts, expected) in cases {
            let text = preopen(&mut WasiCtxBuilder::new(), &mounts).unwrap_err().to_string();
            assert!(text.contains(expected), "{text:?} should say {expected:?}");
        }
        assert_eq!(preopen(&mut WasiCtxBuilder::new(), &[mount(here, "/"), mount(here, "/data")]), Ok(()));
    }
}
