//! Who may use a private image that is here already.
//!
//! Otherwise a pod could run (and read) what another one's secret pulled, by naming it. As the kubelet does, the
//! credentials that a registry gave an image to are remembered, as salted hashes: they tell equal from different,
//! and nothing else. A pod with others has to show them to the registry first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ImageRecord, State, Store};
use crate::digest::{Digest, Hasher};
use crate::error::DiskError;
use crate::reference::Reference;
use crate::registry::Credential;

/// Credentials remembered for a repository; those that do not fit are shown to the registry again.
const MAX_CREDENTIALS: usize = 256;
/// Characters of the salt: as many bytes as the hash has.
const SALT: usize = 64;

/// To whom a repository gave an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Access {
    /// To anybody.
    public: bool,
    /// Salted hashes of credentials.
    credentials: BTreeSet<String>,
}

/// A salt that no other node has.
pub(super) fn new_salt() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; SALT / 2];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

// === impl Access ===

impl Access {
    pub(super) fn merge(&mut self, other: Self) {
        self.public |= other.public;
        self.credentials.extend(other.credentials);
    }

    fn allows(&self, hashes: impl IntoIterator<Item = String>) -> bool {
        self.public || hashes.into_iter().any(|hash| self.credentials.contains(&hash))
    }

    /// Whether that was news.
    fn add(&mut self, hash: Option<String>) -> bool {
        match hash {
            None => !std::mem::replace(&mut self.public, true),
            Some(_) if self.credentials.len() >= MAX_CREDENTIALS => false,
            Some(hash) => self.credentials.insert(hash),
        }
    }
}

// === impl Store ===

impl Store {
    /// Whether a stored image may be used under this name without asking its registry.
    pub(crate) fn may_use(&self, record: &ImageRecord, reference: &Reference, credentials: &[Credential]) -> bool {
        let Some(access) = record.access.get(&reference.name()) else { return false };
        let salt = self.state().salt.clone();
        access.allows(credentials.iter().filter_map(|credential| hash(&salt, credential)))
    }

    /// Remembers that the registry gave an image to this credential.
    pub(crate) async fn grant(
        &self,
        image: Digest,
        reference: &Reference,
        credential: &Credential,
    ) -> Result<(), DiskError> {
        if self.state().grant(image, reference, credential) { self.save().await } else { Ok(()) }
    }
}

// === impl State ===

impl State {
    fn grant(&mut self, image: Digest, reference: &Reference, credential: &Credential) -> bool {
        let hash = hash(&self.salt, credential);
        let Some(record) = self.images.get_mut(&image) else { return false };
        record.access.entry(reference.name()).or_default().add(hash)
    }
}

/// None for nobody in particular.
fn hash(salt: &str, credential: &Credential) -> Option<String> {
    if credential.is_anonymous() {
        return None;
    }
    let mut hasher = Hasher::default();
    hasher.update(salt.as_bytes());
    // The length keeps `ab`, `c` apart from `a`, `bc`.
    hasher.update(&(credential.username.len() as u64).to_le_bytes());
    hasher.update(credential.username.as_bytes());
    hasher.update(credential.password.as_bytes());
    Some(hasher.finish().hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_credential(username: &str, password: &str) -> Credential {
        Credential { username: username.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn hashes_tell_credentials_apart() {
        let all = [("a", "b", "c"), ("s", "ab", "c"), ("s", "a", "bc"), ("s", "", "abc"), ("s", "a", "")];
        let hashes: BTreeSet<_> = all.iter().map(|(salt, user, pass)| hash(salt, &mk_credential(user, pass))).collect();
        assert_eq!(hashes.len(), all.len());
        assert!(!format!("{hashes:?}").contains("abc"));
        assert_eq!(hash("s", &Credential::default()), None);
    }

    #[test]
    fn access_is_for_those_who_had_it() {
        let mut access = Access::default();
        let hash = |n: usize| Some(n.to_string());
        assert!(!access.allows(hash(1)) && !access.allows(None));
        assert!(access.add(hash(1)) && !access.add(hash(1)));
        assert!(access.allows(hash(1)) && !access.allows(hash(2)) && !access.allows(None));
        assert!(access.add(None) && !access.add(None));
        assert!(access.allows(hash(2)) && access.allows(None));
        for n in 0..MAX_CREDENTIALS * 2 {
            access.add(hash(n));
        }
        assert_eq!(access.credentials.len(), MAX_CREDENTIALS);
    }
}
