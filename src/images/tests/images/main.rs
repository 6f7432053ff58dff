//! The whole way from a reference to code, against a registry that can lie.

#![allow(clippy::unwrap_used)]

mod announce;
mod auth;
mod compile;
mod concurrency;
mod containers;
mod liars;
mod mirrors;
mod policies;
mod registry;
mod store;
mod support;
