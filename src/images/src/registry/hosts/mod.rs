//! What an operator says about a registry: mirrors, its own address, whom to trust, and who this node is.
//!
//! The form is containerd's (`<directory>/<host>/hosts.toml`), which nodes have already. What is not understood is an
//! error and not left out: a mirror without the setting that made it trusted is another mirror.

mod form;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use reqwest::header::HeaderMap;

/// A file of settings or certificates.
const MAX_FILE: u64 = 1 << 20;
const FILE: &str = "hosts.toml";
/// For registries without a directory of their own.
const DEFAULT: &str = "_default";

/// Where to ask for the images of a registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    /// In order of preference.
    pub(super) mirrors: Vec<Host>,
    /// The registry itself, if it is elsewhere than its name says or needs settings.
    pub(super) server: Option<Host>,
    /// For a registry without `hosts.toml`, as Docker has it: the files of its directory.
    pub(super) trust: Trust,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Up to the repository's name, `https://mirror:5000/v2`.
    pub(super) base: String,
    pub(super) abilities: Abilities,
    pub(super) trust: Trust,
    /// Sent with each request to this host and to no other. Their values are marked as secrets.
    pub(super) headers: HeaderMap,
}

/// What a host may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// What a tag means; with a digest any will do.
    pub(super) resolve: bool,
    pub(super) pull: bool,
    pub(super) push: bool,
}

/// How both sides of a connection know each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// Files with certificates to trust, besides those that everything trusts.
    pub(super) certificates: Vec<PathBuf>,
    /// Trust everybody.
    pub(super) skip_verify: bool,
    /// What this node shows of itself; the server takes its pick.
    pub(super) identities: Vec<Identity>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    /// In the same file where there is none.
    pub(super) key: Option<PathBuf>,
}

/// Reads what `directory` has about a registry (`host[:port]`). Blocking.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(super) fn read(directory: &Path, registry: &str) -> Result<Hosts, String> {
    let Some(directory) = find(directory, registry) else { return Ok(Hosts::default()) };
    let path = directory.join(FILE);
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    match read_file(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            Ok(Hosts { trust: Trust::of_files(&directory).map_err(|err| failed(&err))?, ..Hosts::default() })
        }
        read => {
            let text = String::from_utf8(read.map_err(|err| failed(&err))?).map_err(|err| failed(&err))?;
            form::parse(&text, &directory).map_err(|what| failed(&what))
        }
    }
}

/// A file of at most [`MAX_FILE`] bytes. Blocking.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// containerd writes `host:port` as `host_port_`, too, for file systems without colons.
fn find(directory: &Path, registry: &str) -> Option<PathBuf> {
    let underscored = registry.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_"));
    let names = underscored.into_iter().chain([registry.to_owned(), DEFAULT.to_owned()]);
    names.map(|name| directory.join(name)).find(|path| path.is_dir())
}

// === impl Abilities ===

impl Abilities {
    pub(super) const ALL: Self = Self { resolve: true, pull: true, push: true };

    /// Whether an image may come from here. Who says what a tag means has its content, too.
    pub(super) fn can_deliver(self, by_digest: bool) -> bool {
        self.resolve || (self.pull && by_digest)
    }
}

// === impl Trust ===

impl Trust {
    /// `*.crt` are to be trusted, `NAME.cert` and `NAME.key` are this node's.
    fn of_files(directory: &Path) -> io::Result<Self> {
        let mut trust = Self::default();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            match path.extension().and_then(std::ffi::OsStr::to_str) {
                Some("crt") => trust.certificates.push(path),
                Some("cert") => {
                    trust.identities.push(Identity { key: Some(path.with_extension("key")), certificate: path });
                }
                _ => {}
            }
        }
        trust.certificates.sort();
        trust.identities.sort_by(|a, b| a.certificate.cmp(&b.certificate));
        Ok(trust)
    }

    /// Whether it is that of the rest of the world.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
