//! sha256 digests, the only names that content has.
//!
//! OCI also registers sha512; no registry in use hands it out for wasm, and a second algorithm
//! would double every directory and comparison, so it is refused when a reference is parsed.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";

/// A sha256 digest; displayed as `sha256:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Text that is no sha256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Another algorithm, or none at all.
    #[error("unsupported digest algorithm (only sha256 is)")]
    Algorithm,
    /// Not 64 lower-case hex digits.
    #[error("invalid checksum digest format")]
    Format,
}

/// A digest in the making, and the number of bytes it covers.
#[derive(Default)]
pub(crate) struct Hasher {
    sha: Sha256,
    bytes: u64,
}

// === impl Digest ===

impl Digest {
    /// The digest of bytes at hand.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hex digits without the algorithm: the name of a blob's file.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidDigest::Algorithm)?;
        let lower = digits.bytes().all(|b| !b.is_ascii_uppercase());
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidDigest::Format)?;
        lower.then_some(Self(bytes)).ok_or(InvalidDigest::Format)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

// === impl Hasher ===

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// Bytes seen so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }

    /// Digest of everything that `reader` still holds. Blocking.
    pub(crate) fn read_all(mut reader: impl Read) -> io::Result<Digest> {
        let mut hasher = Self::default();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&buffer[..n]),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_round_trip() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let json = serde_json::to_string(&Digest::of(b"")).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), Digest::of(b""));
    }

    #[test]
    fn refused_texts() {
        let upper = EMPTY.replace("e3b0", "E3B0");
        let cases = [
            ("", InvalidDigest::Algorithm),
            ("sha512:00", InvalidDigest::Algorithm),
            ("sha256:", InvalidDigest::Format),
            ("sha256:../../etc/passwd", InvalidDigest::Format),
            (&upper, InvalidDigest::Format),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Digest>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_stream_hashes_like_bytes() {
        let bytes = vec![7; 700_000];
        assert_eq!(Hasher::read_all(bytes.as_slice()).unwrap(), Digest::of(&bytes));
    }
}
