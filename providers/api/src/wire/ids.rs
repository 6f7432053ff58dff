//! Ids travel as their 64 digits.

use super::wire;
use crate::{Error, InvalidId};

/// Any of the ids.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Id {
    /// 64 lower-case hexadecimal digits.
    #[prost(string, tag = "1")]
    pub value: String,
}

fn malformed(invalid: InvalidId) -> Error {
    Error::Malformed(invalid.to_string())
}

macro_rules! id {
    ($($name:ident),*) => {
        $(impl From<crate::$name> for Id {
            fn from(id: crate::$name) -> Self {
                Self { value: id.as_str().to_owned() }
            }
        }

        impl TryFrom<Id> for crate::$name {
            type Error = Error;

            fn try_from(id: Id) -> Result<Self, Error> {
                Self::new(id.value).map_err(malformed)
            }
        })*
    };
}

id!(SandboxId, RunId, EngineId);
wire!(SandboxId => Id, RunId => Id, EngineId => Id);
