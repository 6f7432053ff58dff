//! HTTP servers, from the socket to the guest and back.

#![allow(clippy::unwrap_used)]

mod client;
mod instances;
mod outgoing;
mod refusals;
mod rig;
mod serving;
mod stopping;
mod wasip3;
mod worlds;
