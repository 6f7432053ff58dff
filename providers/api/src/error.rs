//! Why a verb was refused.

/// Why a verb was refused. Messages name the object and what to do, start in lower case, end without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such sandbox, run or artifact.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// `sandbox`, `run` or `artifact`.
        what: String,
        /// Its id.
        id: String,
    },
    /// The same id was used with other data.
    #[error("{what} {id} exists already")]
    Exists {
        /// `sandbox` or `run`.
        what: String,
        /// Its id.
        id: String,
    },
    /// The provider is full; not the pod's fault, and worth trying again.
    #[error("no room for another run: {0}")]
    Full(String),
    /// The artifact or the run's data cannot work, whatever the time.
    #[error("{0}")]
    Start(StartFailure),
    /// This provider does not have the verb or the option.
    #[error("{0} is not supported by this provider")]
    Unsupported(String),
    /// Data that could not be read: an unknown variant, a missing field.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Everything else: I/O errors, a connection that ended.
    #[error("{0}")]
    Failed(String),
}

/// Why an artifact cannot be run as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// The compiled file is not for this engine, damaged or gone: compile again.
    #[error("compiled code cannot be loaded: {0}")]
    Stale(String),
    /// It imports what this provider does not offer.
    #[error("imports that this node does not provide: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It exports nothing that can be run; what was expected and what there is.
    #[error("{0}")]
    World(String),
    /// A mount, an address or a value that cannot be used.
    #[error("{0}")]
    Invalid(String),
}
