//! The server as its clients see it: a real listener, real TLS, real log files, and a fake agent behind it.

#![allow(clippy::unwrap_used)]

mod agent;
mod api;
mod client;
mod logs;
mod transport;
