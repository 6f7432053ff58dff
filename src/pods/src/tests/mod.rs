//! The supervisor and its workers with a scripted provider, under a paused clock.

#![allow(clippy::unwrap_used)]

mod cluster;
mod failures;
mod lifecycle;
mod node;
mod start;
mod timed;
