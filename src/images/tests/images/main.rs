//! The whole way from a reference to code, against a registry that can lie.

#![allow(clippy::unwrap_used)]

mod announce;
mod auth;
mod clients;
mod compile;
mod concurrency;
mod containers;
mod front;
mod liars;
mod mirrors;
mod policies;
mod push;
mod registry;
mod store;
mod support;
mod targets;
