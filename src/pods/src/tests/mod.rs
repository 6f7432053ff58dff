//! The supervisor and its workers with a scripted provider, under a paused clock.

#![allow(clippy::unwrap_used)]

mod adopt;
mod cluster;
mod failures;
mod isolation;
mod lifecycle;
mod node;
mod shutdown;
mod start;
mod timed;
