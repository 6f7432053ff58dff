//! The OCI distribution protocol, as far as pulling needs it.
//!
//! Written on reqwest rather than on the oci-client library: that one reads manifests, error pages
//! and tokens without a bound, drops the reason why a token was refused, follows the `urls` of a
//! layer, and keeps the first credentials it saw for a registry, so that one pod's secret would
//! pull another pod's image. Here a [`Session`] lives for one pull with one credential.

mod answer;
mod auth;
mod client;
mod error;
mod hosts;
mod session;
mod tls;

pub use auth::Credential;
pub(crate) use client::{Endpoint, Registry};
pub(crate) use error::RegistryError;
pub(crate) use session::{Fetched, Resolved, Session};
