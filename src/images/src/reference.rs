//! Image references with Docker's normalisation.
//!
//! The grammar and the refusals are those of `github.com/distribution/reference`, which the
//! kubelet uses, so that a name means here what it means on every other node.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
/// Docker's older name of the same registry, still found in manifests.
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A normalised reference: `a` is `docker.io/library/a:latest`. Without tag and digest the tag is
/// `latest`; with both, the digest decides and the tag is only shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is no reference. Reads like the kubelet's message, to be put after
/// `Failed to apply default image tag "X": `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name \"{image}\": {reason}")]
pub struct InvalidReference {
    image: String,
    reason: String,
}

// === impl Reference ===

impl Reference {
    /// Parses and normalises.
    ///
    /// # Errors
    /// Says what is wrong with `text`, in the words of the kubelet.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        parse(text).map_err(|reason| InvalidReference {
            // A reference from the API server may be long; a message in a status should not be.
            image: text.chars().take(MAX_NAME + MAX_TAG).collect(),
            reason,
        })
    }

    /// Host and port as in the reference, `docker.io` where it has none.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path below the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none only where there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that the content must have.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// argv\[0\] of an image whose layer has no title: `<last repository segment>.wasm`.
    #[must_use]
    pub fn title_fallback(&self) -> String {
        let last = self.repository.rsplit('/').next().unwrap_or_default();
        format!("{last}.wasm")
    }

    /// `registry/repository`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `registry/repository@digest`, the name that never moves.
    pub(crate) fn pinned(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.name())
    }

    /// The name that the store keeps: by digest where there is one, else by tag.
    pub(crate) fn stored_name(&self) -> String {
        match self.digest {
            Some(digest) => self.pinned(digest),
            None => self.to_string(),
        }
    }

    /// What the registry is asked for.
    pub(crate) fn wanted(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

// === the grammar ===

fn parse(text: &str) -> Result<Reference, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(invalid_format());
    }
    if is_identifier(name) {
        return Err(format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"));
    }
    let (registry, repository) = split_registry(name);
    check_name(&registry, &repository)?;
    let tag = tag.map(str::to_owned);
    Ok(Reference {
        registry,
        repository,
        tag: tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned())),
        digest,
    })
}

fn invalid_format() -> String {
    "invalid reference format".to_owned()
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|err| format!("{}: {err}", invalid_format()))
}

/// The tag follows the last colon, unless that one belongs to a host's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// A bare image id, which Docker refuses as a name because it is ambiguous.
fn is_identifier(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let prefix = if official { OFFICIAL_PREFIX } else { "" };
    (registry.to_owned(), format!("{prefix}{repository}"))
}

fn looks_like_host(segment: &str) -> bool {
    segment.contains(['.', ':']) || segment == "localhost" || segment.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_name(registry: &str, repository: &str) -> Result<(), String> {
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        let format = invalid_format();
        return Err(format!("{format}: repository name ({repository}) must be lowercase"));
    }
    if !is_host(registry) || !repository.split('/').all(is_component) {
        return Err(invalid_format());
    }
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(format!("repository name must not be more than {MAX_NAME} characters"));
    }
    Ok(())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separator = |s: &str| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    let edges = component.bytes().next().is_some_and(alnum) && component.bytes().last().is_some_and(alnum);
    edges && component.split(|c: char| c.is_ascii() && alnum(c as u8)).all(separator)
}

fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((v6, "")) => return v6.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((v6, port)) => {
            return v6.parse::<std::net::Ipv6Addr>().is_ok() && port.strip_prefix(':').is_some_and(is_port);
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn normalisation() {
        let pinned = format!("a@{DIGEST}");
        let both = format!("ghcr.io/x/y:v1@{DIGEST}");
        let cases = [
            ("a", "docker.io/library/a:latest"),
            ("a:1", "docker.io/library/a:1"),
            ("b/a", "docker.io/b/a:latest"),
            ("docker.io/a", "docker.io/library/a:latest"),
            ("index.docker.io/b/a", "docker.io/b/a:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a:b", "localhost:5000/a:b"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/x/y__z.v-1:Tag_1.0", "ghcr.io/x/y__z.v-1:Tag_1.0"),
            ("Host/a", "Host/a:latest"),
        ];
        for (text, expected) in cases {
            assert_eq!(Reference::parse(text).unwrap().to_string(), expected, "{text}");
        }
        let parsed = Reference::parse(&pinned).unwrap();
        assert_eq!(parsed.to_string(), format!("docker.io/library/a@{DIGEST}"));
        assert_eq!(parsed.tag(), None);
        let parsed = Reference::parse(&both).unwrap();
        assert_eq!(parsed.to_string(), both);
        assert_eq!(parsed.stored_name(), format!("ghcr.io/x/y@{DIGEST}"));
        assert_eq!(parsed.wanted(), DIGEST);
    }

    #[test]
    fn refusals_read_like_the_kubelets() {
        let long = "a/".repeat(130) + "a";
        let id = "0".repeat(64);
        let cases = [
            ("", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("a:b c", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("../a", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("é", "invalid reference format"),
            ("host.:80/a", "invalid reference format"),
            ("host:99999/a", "invalid reference format"),
            ("[::g]:1/a", "invalid reference format"),
            ("a@sha256:12", "invalid reference format: invalid checksum digest format"),
            ("a@md5:12", "invalid reference format: unsupported digest algorithm (only sha256 is)"),
            ("a/B", "invalid reference format: repository name (a/B) must be lowercase"),
            ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
            (&long, "repository name must not be more than 255 characters"),
        ];
        for (text, reason) in cases {
            let err = Reference::parse(text).unwrap_err().to_string();
            assert_eq!(err, format!("couldn't parse image name \"{text}\": {reason}"));
        }
        let err = Reference::parse(&id).unwrap_err().to_string();
        assert!(err.ends_with("cannot specify 64-byte hexadecimal strings"), "{err}");
    }

    #[test]
    fn title_comes_from_the_last_segment() {
        let title = |text| Reference::parse(text).unwrap().title_fallback();
        assert_eq!(title("localhost:5000/demo/hello:v1"), "hello.wasm");
        assert_eq!(title("a"), "a.wasm");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_it_prints_parses_the_same(text in "[a-zA-Z0-9./:@_\\[\\]é-]{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
