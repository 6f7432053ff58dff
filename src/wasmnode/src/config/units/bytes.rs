//! Sizes as quantities.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use wasmnode_core::quantity;

use super::InvalidUnit;

/// A number of bytes as a Kubernetes quantity: `10Mi`, `1G`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Bytes(pub(crate) u64);

// === impl Bytes ===

impl Bytes {
    pub(crate) const fn mebi(count: u64) -> Self {
        Self(count << 20)
    }

    pub(crate) const fn gibi(count: u64) -> Self {
        Self(count << 30)
    }
}

impl FromStr for Bytes {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let value = quantity::parse_str(text).and_then(|quantity| u64::try_from(quantity.value()).ok());
        value.map(Self).ok_or_else(|| InvalidUnit::Bytes(text.to_owned()))
    }
}

/// With the largest binary suffix that loses nothing.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)]
            .into_iter()
            .find(|(_, shift)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        match fitting {
            Some((suffix, shift)) => write!(f, "{}{suffix}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Bytes {
    type Error = InvalidUnit;

    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        text.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.to_string()
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "size" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip_in_the_largest_exact_suffix() {
        let cases = [("4096", 4096, "4Ki"), ("64Mi", 64 << 20, "64Mi"), ("1k", 1000, "1000"), ("0", 0, "0")];
        for (text, value, printed) in cases {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(value)), "{text}");
            assert_eq!(Bytes(value).to_string(), printed, "{text}");
        }
        for text in ["", "-1", "many", "1GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
