//! A provider that runs scripts instead of guests, for tests of everything that stands before a provider.
//!
//! A script comes from the run's arguments or is set for an artifact, see [`Script`]. Time is tokio's, so that a test
//! with a paused clock waits for nothing. It keeps the contract: conformance runs over it as over the real one.

mod guest;
mod provider;
mod registry;
mod script;
#[cfg(test)]
mod tests;

pub use provider::FakeProvider;
pub use script::{Script, ScriptError, Step};
