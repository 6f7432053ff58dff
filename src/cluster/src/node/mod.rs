//! The Node object: created, kept up to date, created again when someone deletes it.

mod registration;
mod status;
mod view;

pub use registration::Registration;
pub use status::{StatusIntervals, StatusReporter};
pub use view::NodeView;
