//! References to the pod's own fields and resources.

use crate::quantity::Milli;

/// A value of the downward API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownwardValue {
    /// `fieldRef.fieldPath`, e.g. `metadata.name` or `metadata.labels['app']`.
    Field(String),
    /// `resourceFieldRef`.
    Resource(Resource),
}

/// A container's request or limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which container; none: the one whose environment it is.
    pub container: Option<String>,
    /// Request or limit.
    pub kind: ResourceKind,
    /// Resource name: `cpu`, `memory`, `ephemeral-storage`, `hugepages-2Mi`.
    pub name: String,
    /// The value is divided by this and rounded up.
    pub divisor: Milli,
}

/// Request or limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// `limits.*`; unset limits are the node's allocatable.
    Limit,
    /// `requests.*`; unset requests are 0.
    Request,
}
