//! What every verb is answered with: a value, or the contract's own error.
//!
//! Errors do not travel as a status of gRPC, which lies in a header of a few kilobytes: the list of a module's unknown
//! imports can be longer.

use bytes::Bytes;
use prost::Message;
use wasmnode_provider_api::{Error, wire};

/// The answer to a verb, and one element of the event stream.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reply {
    #[prost(oneof = "Outcome", tags = "1, 2")]
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Outcome {
    /// The verb's message. As bytes it has the same form as a nested message.
    #[prost(bytes = "bytes", tag = "1")]
    Value(Bytes),
    #[prost(message, tag = "2")]
    Failure(wire::Failure),
}

// === impl Reply ===

impl Reply {
    pub(crate) fn value(message: &impl Message) -> Self {
        Self { outcome: Some(Outcome::Value(message.encode_to_vec().into())) }
    }

    pub(crate) fn failure(error: Error) -> Self {
        Self { outcome: Some(Outcome::Failure(error.into())) }
    }

    /// What the server meant.
    pub(crate) fn read<M: Message + Default>(self) -> Result<M, Error> {
        match self.outcome {
            Some(Outcome::Value(bytes)) => M::decode(bytes).map_err(|e| Error::Malformed(e.to_string())),
            Some(Outcome::Failure(failure)) => Err(error_of(failure)),
            None => Err(Error::Malformed("reply has no known outcome".to_owned())),
        }
    }
}

/// The error of a failure; one that cannot be read is an error, too.
pub(crate) fn error_of(failure: wire::Failure) -> Error {
    Error::try_from(failure).unwrap_or_else(|unreadable| unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_looks_like_a_nested_message() {
        #[derive(Clone, PartialEq, Message)]
        struct Nested {
            #[prost(message, optional, tag = "1")]
            value: Option<wire::Hello>,
        }
        let hello = wire::Hello { protocol: 7, build: "b".to_owned() };
        let nested = Nested { value: Some(hello.clone()) };
        assert_eq!(Reply::value(&hello).encode_to_vec(), nested.encode_to_vec());
        assert_eq!(Reply::value(&hello).read::<wire::Hello>(), Ok(hello));
    }

    #[test]
    fn failures_keep_their_type() {
        let error = Error::Full("8 of 8".to_owned());
        assert_eq!(Reply::failure(error.clone()).read::<()>(), Err(error));
        assert!(matches!(Reply::default().read::<()>(), Err(Error::Malformed(_))));
    }
}
