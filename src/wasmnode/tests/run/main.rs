//! `wasmnode run` and the image tools as a person meets them: output, exit statuses, signals, and what stays on disk.
#![allow(clippy::unwrap_used)]

mod files;
mod input;
mod programs;
mod stop;
mod support;
mod terminal;
mod tools;
