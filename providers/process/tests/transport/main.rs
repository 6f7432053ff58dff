//! The socket between an agent and a runner: what goes through it, and what must not matter to it.

#![allow(clippy::unwrap_used)]

mod bad_peers;
mod conversations;
mod rig;
mod talker;
mod verbs;
