//! What a pod asks of the node that it runs on.

/// A toleration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// Taint key; none with `exists`: every taint.
    pub key: Option<String>,
    /// `operator: Exists`, else `Equal`.
    pub exists: bool,
    /// Value for `Equal`.
    pub value: String,
    /// Effect; none: every effect.
    pub effect: Option<String>,
}

/// One alternative of the required node affinity: all of its requirements hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTerm {
    /// About labels.
    pub labels: Vec<NodeRequirement>,
    /// About fields; only `metadata.name` exists.
    pub fields: Vec<NodeRequirement>,
}

/// `key operator values`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRequirement {
    /// Label key or field path.
    pub key: String,
    /// How it compares.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// Operators of node selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer greater than the value.
    Gt,
    /// An integer less than the value.
    Lt,
    /// One that this version does not know: never matches.
    Unknown,
}
