//! What the tests above the crates share: a real control plane and registry in a namespace of their own,
//! the agent under test with a node's rights, the guests, and the runner that ties them together.
//!
//! A test binary (`e2e/main.rs`) hands its cases to [`suite::main`]. Everything else is used through the
//! [`suite::Scene`] that each case gets.

pub mod agent;
pub mod cluster;
pub mod eventually;
pub mod guests;
pub mod kubectl;
pub mod netns;
pub mod paths;
pub mod prepare;
pub mod process;
pub mod program;
pub mod registry;
pub mod suite;
