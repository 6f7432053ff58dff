//! What is to be done after something was learned.

use wasmnode_provider_api::{Event, RunId, SandboxId};

use crate::runners::names::RunnerId;

/// What is to be done, in any order but that of the events.
#[derive(Debug, Default, PartialEq)]
#[must_use]
pub(crate) struct Effects {
    /// To be reported, in this order.
    pub(crate) events: Vec<Event>,
    /// Runs whose record is not needed any more.
    pub(crate) forgotten: Vec<RunId>,
    /// Exits that the runner may forget.
    pub(crate) acknowledge: Vec<RunId>,
    /// Runs that should not be.
    pub(crate) kill: Vec<RunId>,
    /// Sandboxes that should not be.
    pub(crate) remove: Vec<SandboxId>,
    /// A runner that is gone and of which nothing is left to be told.
    pub(crate) cleared: Option<RunnerId>,
}
