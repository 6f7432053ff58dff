//! The standard streams of a guest: bounded, never blocking a thread that guests run on.

mod input;
mod lines;
mod output;
mod pipe;
mod printing;
mod tee;
mod wakers;

pub(crate) use input::GuestInput;
pub(crate) use output::Output;
pub(crate) use pipe::Pipe;
pub(crate) use printing::GuestOutput;
pub(crate) use tee::Tee;
pub(crate) use wasmnode_logs::Stream;
