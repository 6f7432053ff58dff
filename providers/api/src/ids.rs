//! Names of sandboxes, runs and engines: 64 lower-case hexadecimal digits each.

use std::fmt;

/// An id that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id {value:?} is not 64 lower-case hexadecimal digits")]
pub struct InvalidId {
    /// Which id: `sandbox`, `run` or `engine`.
    pub kind: &'static str,
    /// What was given.
    pub value: String,
}

fn is_hex64(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the form; see [`InvalidId`].
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                if is_hex64(&value) { Ok(Self(value)) } else { Err(InvalidId { kind: $kind, value }) }
            }

            /// The 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0[..12])
            }
        }
    };
}

id!(
    /// What a pod's containers share; one per pod and sandbox attempt.
    SandboxId, "sandbox"
);
id!(
    /// One run of one container: never reused, so that an exit can be told from that of an earlier attempt.
    RunId, "run"
);
id!(
    /// Which compiled code an engine configuration can load: a hash over version, target and every compile-time
    /// setting. Compiled code is keyed by (wasm digest, engine id).
    EngineId, "engine"
);
