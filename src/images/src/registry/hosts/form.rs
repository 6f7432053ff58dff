//! The text of a `hosts.toml`. Nothing of it is quoted in an error but names: addresses and headers hold secrets.

use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use toml::Value;

use super::{Abilities, Host, Hosts, Identity, Trust};

/// Mirrors of one registry. All of them may have to be tried.
const MAX_MIRRORS: usize = 16;
/// Client certificates of one host, and headers.
const MAX_IDENTITIES: usize = 16;
const MAX_HEADERS: usize = 32;
/// Headers that say what a request is; with others it would be another one.
const OURS: [HeaderName; 6] = [
    header::ACCEPT,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

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
    client: Client,
    #[serde(default)]
    header: Option<Value>,
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
    client: Client,
    /// Taken apart by hand: serde's errors would show it.
    #[serde(default)]
    header: Option<Value>,
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

/// Files with certificate and key, or pairs of files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Client {
    One(PathBuf),
    Many(Vec<FileOrPair>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileOrPair {
    File(PathBuf),
    Pair([PathBuf; 2]),
}

pub(super) fn parse(text: &str, directory: &Path) -> Result<Hosts, String> {
    let file: HostsToml = toml::from_str(text).map_err(|err| told(&err, text))?;
    let HostsToml { server, host, capabilities, ca, client, header, skip_verify, override_path } = file;
    if host.len() > MAX_MIRRORS {
        return Err(format!("it has {} hosts, more than {MAX_MIRRORS}", host.len()));
    }
    let own = HostToml { capabilities, ca, client, header, skip_verify, override_path };
    let mut mirrors = Vec::new();
    for (url, settings) in host {
        let shown = shown(&url);
        let settings: Result<HostToml, _> = settings.try_into();
        let settings = settings.map_err(|err: toml::de::Error| format!("host {shown:?}: {}", err.message()))?;
        mirrors.push(settings.at(&url, directory).map_err(|what| format!("host {shown:?}: {what}"))?);
    }
    let server = server.map(|url| own.at(&url, directory).map_err(|what| format!("server {:?}: {what}", shown(&url))));
    Ok(Hosts { mirrors, server: server.transpose()?, trust: Trust::default() })
}

/// Where and what, without the line itself.
fn told(err: &toml::de::Error, text: &str) -> String {
    let before = err.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, err.message())
}

/// An address without user and password.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

// === impl HostToml ===

impl HostToml {
    fn at(self, url: &str, directory: &Path) -> Result<Host, String> {
        Ok(Host {
            base: base(url, self.override_path)?,
            abilities: abilities(self.capabilities.as_deref())?,
            headers: self.header.map_or_else(|| Ok(HeaderMap::new()), headers)?,
            trust: Trust {
                certificates: self.ca.into_files().into_iter().map(|path| directory.join(path)).collect(),
                skip_verify: self.skip_verify,
                identities: self.client.into_identities(directory)?,
            },
        })
    }
}

fn base(url: &str, override_path: bool) -> Result<String, String> {
    let full = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let parsed = Url::parse(&full).map_err(|err| format!("it is no address: {err}"))?;
    let is_plain = parsed.username().is_empty() && parsed.password().is_none();
    if !["http", "https"].contains(&parsed.scheme()) || !is_plain {
        return Err("its address is not of the form https://HOST[:PORT][/PATH]".to_owned());
    }
    let path = parsed.path().trim_end_matches('/');
    let version = if override_path || path.ends_with("/v2") { "" } else { "/v2" };
    Ok(format!("{}{path}{version}", parsed.origin().ascii_serialization()))
}

/// All of them where none is named.
fn abilities(capabilities: Option<&[String]>) -> Result<Abilities, String> {
    let Some(capabilities) = capabilities else { return Ok(Abilities::ALL) };
    let mut abilities = Abilities { resolve: false, pull: false, push: false };
    for capability in capabilities {
        match capability.as_str() {
            "resolve" => abilities.resolve = true,
            "pull" => abilities.pull = true,
            "push" => abilities.push = true,
            // What this node never asks for.
            "referrers" => {}
            other => return Err(format!("unknown capability {other:?}")),
        }
    }
    Ok(abilities)
}

/// `NAME = "VALUE"` and `NAME = ["VALUE", "VALUE"]`.
fn headers(table: Value) -> Result<HeaderMap, String> {
    let Value::Table(table) = table else { return Err("header is not a table".to_owned()) };
    let mut headers = HeaderMap::new();
    for (name, values) in table {
        let wrong = || format!("header {name:?} is not a header with a text or a list of texts");
        let key: HeaderName = name.parse().map_err(|_| wrong())?;
        if OURS.contains(&key) {
            return Err(format!("header {name:?} cannot be set"));
        }
        let values = if let Value::Array(values) = values { values } else { vec![values] };
        for value in values {
            let mut value: HeaderValue = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            value.set_sensitive(true);
            headers.append(key.clone(), value);
        }
    }
    if headers.len() > MAX_HEADERS {
        return Err(format!("it has {} headers, more than {MAX_HEADERS}", headers.len()));
    }
    Ok(headers)
}

// === impl Client ===

impl Client {
    fn into_identities(self, directory: &Path) -> Result<Vec<Identity>, String> {
        let files = match self {
            Self::One(path) => vec![FileOrPair::File(path)],
            Self::Many(files) => files,
        };
        if files.len() > MAX_IDENTITIES {
            return Err(format!("it has {} client certificates, more than {MAX_IDENTITIES}", files.len()));
        }
        Ok(files.into_iter().map(|file| file.into_identity(directory)).collect())
    }
}

impl FileOrPair {
    fn into_identity(self, directory: &Path) -> Identity {
        let (certificate, key) = match self {
            Self::File(file) => (file, None),
            // containerd's form of the same.
            Self::Pair([file, key]) if key.as_os_str().is_empty() => (file, None),
            Self::Pair([certificate, key]) => (certificate, Some(key)),
        };
        Identity { certificate: directory.join(certificate), key: key.map(|key| directory.join(key)) }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

// === impl OneOrMany ===

impl OneOrMany {
    fn into_files(self) -> Vec<PathBuf> {
        match self {
            Self::One(path) => vec![path],
            Self::Many(paths) => paths,
        }
    }
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}
