//! Credentials, and the challenge of a registry that wants some.

use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

/// A user of a registry; both fields empty means anonymous.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credential {
    /// User name.
    pub username: String,
    /// Password or access token; never printed.
    pub password: String,
}

/// What a 401 asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Get a token there first (the Docker token protocol).
    Bearer { realm: String, service: Option<String> },
    /// Send name and password with each request.
    Basic,
}

/// Answer of a token server; two names of the same thing are in use.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

// === impl Credential ===

impl Credential {
    /// Whether this stands for no credential.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.password.is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

// === impl Challenge ===

impl Challenge {
    /// The best challenge of an answer; a registry may offer several.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let offered: Vec<_> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| Self::parse(value.to_str().ok()?)).collect();
        let bearer = |c: &Self| matches!(c, Self::Bearer { .. });
        let best = offered.iter().position(bearer).unwrap_or(0);
        offered.into_iter().nth(best)
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or_else(|| (header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                // `scope` is ours to say: what this pull needs, never what a registry suggests.
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// `a="b, \"c\"",d=e` as pairs.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, rest) = rest.split_once(',').unwrap_or((rest, ""));
                (value.trim().to_owned(), rest)
            }
        };
        found.push((name.trim_matches([' ', ',']).to_owned(), value));
        text = rest;
    }
    found
}

/// Up to the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Where a token comes from that allows `actions` (`pull`, or `pull,push`) on `repository`.
pub(super) fn token_url(realm: &str, service: Option<&str>, repository: &str, actions: &str) -> Option<Url> {
    let mut url = Url::parse(realm).ok()?;
    let scope = format!("repository:{repository}:{actions}");
    url.query_pairs_mut().append_pair("scope", &scope);
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    Some(url)
}

// === impl TokenAnswer ===

impl TokenAnswer {
    pub(super) fn into_token(self) -> Option<String> {
        self.token.or(self.access_token).filter(|token| !token.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        let service = service.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service })
    }

    #[test]
    fn challenges() {
        let cases = [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Negotiate", None),
            ("Bearer service=\"s\"", None),
            (
                "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:push\"",
                bearer("https://a/t", Some("s")),
            ),
            ("bearer Realm=https://a/t, Service=s", bearer("https://a/t", Some("s"))),
            ("Bearer realm=\"https://a/\\\"t,b=c\", error=\"x\"", bearer("https://a/\"t,b=c", None)),
        ];
        for (header, expected) in cases {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn bearer_is_preferred() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic realm=\"x\"".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=\"https://a\"".parse().unwrap());
        assert_eq!(Challenge::from_headers(&headers), bearer("https://a", None));
    }

    #[test]
    fn tokens_are_asked_for_pulling_only() {
        let url = token_url("https://a/t?x=1", Some("s"), "b/c", "pull").unwrap();
        assert_eq!(url.as_str(), "https://a/t?x=1&scope=repository%3Ab%2Fc%3Apull&service=s");
    }

    #[test]
    fn passwords_are_not_printed() {
        let credential = Credential { username: "u".to_owned(), password: "geheim".to_owned() };
        assert!(!format!("{credential:?}").contains("geheim"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "(Bearer )?[a-z=\",\\\\ é]{0,40}") {
            let _ = Challenge::parse(&header);
        }
    }
}
