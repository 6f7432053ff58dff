//! Registry credentials from a pod's `imagePullSecrets` (contract section 4.15).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use wasmnode_images::Credential;

/// Host under which Docker Hub's credentials are stored, besides the one in references.
const DOCKER_HUB: (&str, &str) = ("docker.io", "index.docker.io");

/// Credentials by the registries that they are for.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    /// `host[:port]`, each label of which may hold `*`.
    host: String,
    /// Without the leading slash; empty: every repository.
    path: String,
    credential: Credential,
}

// === impl Keyring ===

impl Keyring {
    /// Adds what a Secret of type `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg` holds; false when
    /// it holds neither, or nothing that can be read.
    pub fn add_secret(&mut self, secret: &Secret) -> bool {
        let file = |key: &str| {
            let bytes = secret.data.as_ref()?.get(key)?;
            serde_json::from_slice::<Value>(&bytes.0).ok()
        };
        let auths = match (file(".dockerconfigjson"), file(".dockercfg")) {
            (Some(mut config), _) => config.get_mut("auths").map(Value::take),
            (None, legacy) => legacy,
        };
        let Some(Value::Object(auths)) = auths else { return false };
        self.0.extend(auths.iter().filter_map(|(registry, auth)| Entry::parse(registry, auth)));
        // The most specific one is tried first.
        self.0.sort_by_key(|entry| std::cmp::Reverse(entry.path.len()));
        true
    }

    /// What to try for an image, in order; empty: anonymously.
    pub fn for_image(&self, registry: &str, repository: &str) -> Vec<Credential> {
        let matching = self.0.iter().filter(|entry| entry.matches(registry, repository));
        matching.map(|entry| entry.credential.clone()).collect()
    }
}

// === impl Entry ===

impl Entry {
    fn parse(registry: &str, auth: &Value) -> Option<Self> {
        let rest = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        // Docker writes the address of the API that it logged in to.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Some(Self { host: host.to_owned(), path: path.to_owned(), credential: credential(auth)? })
    }

    fn matches(&self, registry: &str, repository: &str) -> bool {
        let host = glob_host(&self.host, registry) || registry == DOCKER_HUB.0 && glob_host(&self.host, DOCKER_HUB.1);
        host && repository.starts_with(&self.path)
    }
}

fn credential(auth: &Value) -> Option<Credential> {
    let text = |key: &str| auth.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(encoded) = text("auth") {
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        return Some(Credential { username: username.to_owned(), password: password.to_owned() });
    }
    Some(Credential { username: text("username")?.to_owned(), password: text("password")?.to_owned() })
}

/// Label by label, so that `*.example.com` is not for `a.b.example.com`; ports have to be the same.
fn glob_host(pattern: &str, host: &str) -> bool {
    let (pattern_name, pattern_port) = pattern.split_once(':').unwrap_or((pattern, ""));
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let (mut patterns, mut labels) = (pattern_name.split('.'), name.split('.'));
    loop {
        match (patterns.next(), labels.next()) {
            (None, None) => return pattern_port == port,
            (Some(pattern), Some(label)) if glob(pattern, label) => {}
            _ => return false,
        }
    }
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let pieces: Vec<&str> = tail.split('*').collect();
    let Some((last, middle)) = pieces.split_last() else { return true };
    for piece in middle {
        let Some(found) = rest.find(piece) else { return false };
        rest = &rest[found + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn secret(key: &str, value: &Value) -> Secret {
        let data = [(key.to_owned(), ByteString(value.to_string().into_bytes()))].into();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn users(keyring: &Keyring, registry: &str, repository: &str) -> Vec<String> {
        keyring.for_image(registry, repository).into_iter().map(|credential| credential.username).collect()
    }

    #[test]
    fn hosts_and_paths_decide() {
        let user = |name: &str| json!({ "username": name, "password": "p" });
        let config = json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": STANDARD.encode("hub:a:b") },
            "ghcr.io": user("all"),
            "ghcr.io/team": user("team"),
            "*.example.com:5000": user("star"),
            "broken.io": { "auth": "%" },
        }});
        let mut keyring = Keyring::default();
        assert!(keyring.add_secret(&secret(".dockerconfigjson", &config)));
        let cases: [(&str, &str, &[&str]); 8] = [
            ("docker.io", "library/a", &["hub"]),
            ("ghcr.io", "team/a", &["team", "all"]),
            ("ghcr.io", "other/a", &["all"]),
            ("a.example.com:5000", "x", &["star"]),
            ("a.example.com", "x", &[]),
            ("a.b.example.com:5000", "x", &[]),
            ("broken.io", "x", &[]),
            ("quay.io", "x", &[]),
        ];
        for (registry, repository, expected) in cases {
            assert_eq!(users(&keyring, registry, repository), expected, "{registry}/{repository}");
        }
        assert_eq!(keyring.for_image("docker.io", "library/a")[0].password, "a:b");
    }

    #[test]
    fn old_form_and_rubbish() {
        let mut keyring = Keyring::default();
        let legacy = json!({ "ghcr.io": { "username": "u", "password": "p" } });
        assert!(keyring.add_secret(&secret(".dockercfg", &legacy)));
        assert_eq!(users(&keyring, "ghcr.io", "a"), ["u"]);
        for (key, value) in [(".dockerconfigjson", json!([])), (".dockerconfigjson", json!({})), ("x", legacy)] {
            assert!(!Keyring::default().add_secret(&secret(key, &value)), "{key} {value}");
        }
        assert!(!Keyring::default().add_secret(&Secret::default()));
    }

    #[test]
    fn globs() {
        let cases = [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*b*", "abc", true),
            ("a", "a", true),
            ("a*b*c", "axbyc", true),
            ("a*b*c", "axc", false),
            ("a", "b", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
