//! The Node object as this agent wants it: a value made from facts, and what differs from the one that stands
//! (kubelet contract section 1). Who posts it, and when a request fails, is `cluster`'s.

mod conditions;
mod diff;
mod facts;
mod labels;
mod metadata;
mod schedule;
mod sizes;
mod status;
mod transitions;

pub use conditions::NodeFact;
pub use diff::{status_changed, status_patch};
pub use facts::{Image, NodeFacts, Pressure, Resources, SystemInfo};
pub use labels::{LabelError, check_labels, default_labels, default_taints};
pub use metadata::{metadata_patch, missing_taints, new_node};
pub use schedule::ReportSchedule;
pub use status::status;
pub use transitions::{NodeRecord, schedulable, transitions};
