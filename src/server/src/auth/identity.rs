//! Users from client certificates and bearer tokens from headers.

use std::sync::Arc;

use http::{HeaderMap, header};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

use crate::User;

/// Group of everyone who was authenticated; roles may be bound to it.
const AUTHENTICATED: &str = "system:authenticated";

/// Longest token that is reviewed, bytes. Service account tokens have about one KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// The user of a connection's client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    user: Arc<User>,
    /// When the certificate expires.
    until: Timestamp,
}

// === impl Peer ===

impl Peer {
    /// From a chain that the TLS handshake has verified: common name and organisations of its first certificate. Of
    /// several common names the last counts, as in Go. `None` without a name.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        let subject = certificate.subject();
        let name = texts(subject.iter_common_name()).pop().filter(|name| !name.is_empty())?;
        let user = authenticated(User { name, groups: texts(subject.iter_organization()), ..User::default() });
        let until = Timestamp::from_second(certificate.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        Some(Self { user: Arc::new(user), until })
    }

    /// The user, as long as the certificate is valid: a connection may outlive it.
    pub(crate) fn user(&self, now: Timestamp) -> Option<Arc<User>> {
        (now <= self.until).then(|| Arc::clone(&self.user))
    }
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut words = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_ascii_whitespace();
    let scheme = words.next()?;
    words.next().filter(|token| scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN)
}

pub(super) fn authenticated(mut user: User) -> User {
    if !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Vec<String> {
    attributes.filter_map(|attribute| attribute.as_str().ok()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(attributes: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn certificates_name_user_and_groups() {
        let chain = [certificate(&[(DnType::CommonName, "jane"), (DnType::OrganizationName, "admins")])];
        let peer = Peer::of(&chain).unwrap();
        let user = peer.user(Timestamp::now()).unwrap();
        assert_eq!(
            (user.name.as_str(), &user.groups[..]),
            ("jane", &["admins".to_owned(), AUTHENTICATED.to_owned()][..])
        );
        // The certificate of this test is valid until 4096.
        assert_eq!(peer.user("4095-12-31T00:00:00Z".parse().unwrap()), Some(user));
        assert_eq!(peer.user("4096-01-02T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn certificates_without_a_name_name_nobody() {
        assert_eq!(Peer::of(&[certificate(&[(DnType::OrganizationName, "admins")])]), None);
        assert_eq!(Peer::of(&[certificate(&[(DnType::CommonName, "")])]), None);
        assert_eq!(Peer::of(&[]), None);
        assert_eq!(Peer::of(&[CertificateDer::from(vec![1, 2, 3])]), None);
    }

    #[test]
    fn tokens_are_read_from_the_header() {
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN + 1));
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc def", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
            (&long, None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers), expected, "{value:.20}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
