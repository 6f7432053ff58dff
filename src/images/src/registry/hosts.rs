//! What an operator says about a registry: mirrors, its own address, and whom to trust.
//!
//! The form is containerd's (`<directory>/<host>/hosts.toml`), which nodes have already. What is not understood is an
//! error and not left out: a mirror without the setting that made it trusted is another mirror.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

/// A file of settings or certificates.
const MAX_FILE: u64 = 1 << 20;
/// Mirrors of one registry. All of them may have to be tried.
const MAX_MIRRORS: usize = 16;
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
    /// Trust for a registry without `hosts.toml`, as Docker has it: the `*.crt` files of its directory.
    pub(super) certificates: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Up to the repository's name, `https://mirror:5000/v2`.
    pub(super) base: String,
    /// Whether it may say what a tag means; with a digest any will do.
    pub(super) resolves: bool,
    pub(super) pulls: bool,
    /// Files with certificates to trust.
    pub(super) certificates: Vec<PathBuf>,
    pub(super) skip_verify: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsToml {
    server: Option<String>,
    #[serde(default)]
    host: toml::Table,
    #[serde(default)]
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    ca: OneOrMany,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostToml {
    #[serde(default)]
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    ca: OneOrMany,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
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
            Ok(Hosts { certificates: certificates_in(&directory).map_err(|err| failed(&err))?, ..Hosts::default() })
        }
        read => {
            let text = String::from_utf8(read.map_err(|err| failed(&err))?).map_err(|err| failed(&err))?;
            parse(&text, &directory).map_err(|what| failed(&what))
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

fn certificates_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crt") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn parse(text: &str, directory: &Path) -> Result<Hosts, String> {
    let file: HostsToml = toml::from_str(text).map_err(|err| err.to_string())?;
    let HostsToml { server, host, capabilities, ca, skip_verify, override_path } = file;
    if host.len() > MAX_MIRRORS {
        return Err(format!("it has {} hosts, more than {MAX_MIRRORS}", host.len()));
    }
    let own = HostToml { capabilities, ca, skip_verify, override_path };
    let mut mirrors = Vec::new();
    for (url, settings) in host {
        let settings: HostToml = settings.try_into().map_err(|err: toml::de::Error| format!("host {url:?}: {err}"))?;
        mirrors.push(settings.at(&url, directory)?);
    }
    let server = server.map(|url| own.at(&url, directory)).transpose()?;
    Ok(Hosts { mirrors, server, certificates: Vec::new() })
}

// === impl HostToml ===

impl HostToml {
    fn at(self, url: &str, directory: &Path) -> Result<Host, String> {
        let full = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let parsed = Url::parse(&full).map_err(|err| format!("{url:?} is no address: {err}"))?;
        if !["http", "https"].contains(&parsed.scheme()) || !parsed.username().is_empty() || parsed.password().is_some()
        {
            return Err(format!(
                "the address of host {:?} is not of the form https://HOST[:PORT][/PATH]",
                parsed.host_str()
            ));
        }
        let path = parsed.path().trim_end_matches('/');
        let version = if self.override_path || path.ends_with("/v2") { "" } else { "/v2" };
        let (mut resolves, mut pulls) = (self.capabilities.is_none(), self.capabilities.is_none());
        for capability in self.capabilities.iter().flatten() {
            match capability.as_str() {
                "resolve" => resolves = true,
                "pull" => pulls = true,
                // What this node never does.
                "push" | "referrers" => {}
                other => return Err(format!("host {url:?}: unknown capability {other:?}")),
            }
        }
        let certificates = match self.ca {
            OneOrMany::One(path) => vec![path],
            OneOrMany::Many(paths) => paths,
        };
        Ok(Host {
            base: format!("{}{path}{version}", parsed.origin().ascii_serialization()),
            resolves,
            pulls,
            certificates: certificates.into_iter().map(|path| directory.join(path)).collect(),
            skip_verify: self.skip_verify,
        })
    }
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn containerds_own_examples() {
        let text = r#"
            server = "https://registry-1.docker.io"
            ca = "/etc/certs/server.pem"

            [host."https://z-mirror.example.com"]
              capabilities = ["pull", "resolve"]
            [host."http://a-mirror.example.com:5000/some/v2/"]
              capabilities = ["pull"]
              ca = ["one.pem", "/two.pem"]
            [host."https://proxy.example.com/v2/docker.io"]
              override_path = true
              skip_verify = true
        "#;
        let hosts = parse(text, Path::new("/d")).unwrap();
        let bases: Vec<_> = hosts.mirrors.iter().map(|host| host.base.as_str()).collect();
        // In the order of the file.
        let expected = [
            "https://z-mirror.example.com/v2",
            "http://a-mirror.example.com:5000/some/v2",
            "https://proxy.example.com/v2/docker.io",
        ];
        assert_eq!(bases, expected);
        let flags: Vec<_> = hosts.mirrors.iter().map(|host| (host.resolves, host.pulls, host.skip_verify)).collect();
        assert_eq!(flags, [(true, true, false), (false, true, false), (true, true, true)]);
        assert_eq!(hosts.mirrors[1].certificates, [Path::new("/d/one.pem"), Path::new("/two.pem")]);
        let server = hosts.server.unwrap();
        assert_eq!(server.base, "https://registry-1.docker.io/v2");
        assert_eq!(server.certificates, [Path::new("/etc/certs/server.pem")]);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let many: String = (0..17).map(|n| format!("[host.\"https://m{n}\"]\n")).collect();
        let cases = [
            ("server = 1", "invalid type"),
            ("[host.\"https://a\"]\nclient = \"x\"", "unknown field `client`"),
            ("skip-verify = true", "unknown field"),
            ("[host.\"ftp://a\"]", "https://HOST"),
            ("[host.\"https://user:geheim@a\"]", "https://HOST"),
            ("[host.\"https://\"]", "is no address"),
            ("[host.\"https://a\"]\ncapabilities = [\"sing\"]", "unknown capability \"sing\""),
            (&many, "17 hosts"),
        ];
        for (text, expected) in cases {
            let err = parse(text, Path::new("/d")).unwrap_err();
            assert!(err.contains(expected) && !err.contains("geheim"), "{text}: {err}");
        }
    }

    #[test]
    fn the_most_special_directory_decides() {
        let top = tempfile::tempdir().unwrap();
        let put = |name: &str, file: &str, text: &str| {
            std::fs::create_dir_all(top.path().join(name)).unwrap();
            std::fs::write(top.path().join(name).join(file), text).unwrap();
        };
        let server = |registry: &str| read(top.path(), registry).unwrap().server.map(|host| host.base);
        assert_eq!(read(top.path(), "a.io").unwrap(), Hosts::default());
        put("_default", FILE, "server = \"https://default\"");
        put("a.io", FILE, "server = \"https://a\"");
        put("b.io:5000", FILE, "server = \"https://b\"");
        put("c.io_5000_", FILE, "server = \"https://c\"");
        put("d.io", "ca.crt", "");
        put("d.io", "client.key", "");
        for (registry, expected) in [
            ("a.io", "https://a/v2"),
            ("b.io:5000", "https://b/v2"),
            ("c.io:5000", "https://c/v2"),
            ("x", "https://default/v2"),
        ] {
            assert_eq!(server(registry).as_deref(), Some(expected), "{registry}");
        }
        let docker = read(top.path(), "d.io").unwrap();
        assert_eq!((docker.server, docker.certificates), (None, vec![top.path().join("d.io/ca.crt")]));
        put("a.io", FILE, "=");
        assert!(read(top.path(), "a.io").unwrap_err().contains("a.io/hosts.toml"));
    }
}
