//! What the agent reads of the machine it runs on.

mod address;
mod capacity;
mod identity;

pub(crate) use address::node_address;
pub(crate) use capacity::Capacity;
pub(crate) use identity::Identity;
