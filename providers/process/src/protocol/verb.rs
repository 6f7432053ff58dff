//! The verbs by name.

use std::time::Duration;

use http::uri::PathAndQuery;

/// A verb of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Hello,
    Ping,
    Configure,
    List,
    Events,
    Acknowledge,
    Target,
    Prepare,
    CreateSandbox,
    UpdateSandbox,
    RemoveSandbox,
    UpdateServices,
    Start,
    Stop,
    Kill,
    Exec,
    Attach,
    Connect,
    Usage,
}

/// How long a runner that lives may take. It answers most verbs from memory.
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for what reads files.
const LOADING_DEADLINE: Duration = Duration::from_secs(60);

// === impl Verb ===

impl Verb {
    const ALL: [Self; 19] = [
        Self::Hello,
        Self::Ping,
        Self::Configure,
        Self::List,
        Self::Events,
        Self::Acknowledge,
        Self::Target,
        Self::Prepare,
        Self::CreateSandbox,
        Self::UpdateSandbox,
        Self::RemoveSandbox,
        Self::UpdateServices,
        Self::Start,
        Self::Stop,
        Self::Kill,
        Self::Exec,
        Self::Attach,
        Self::Connect,
        Self::Usage,
    ];

    const fn path(self) -> &'static str {
        match self {
            Self::Hello => "/wasmnode.Runner/Hello",
            Self::Ping => "/wasmnode.Runner/Ping",
            Self::Configure => "/wasmnode.Runner/Configure",
            Self::List => "/wasmnode.Runner/List",
            Self::Events => "/wasmnode.Runner/Events",
            Self::Acknowledge => "/wasmnode.Runner/Acknowledge",
            Self::Target => "/wasmnode.Runner/Target",
            Self::Prepare => "/wasmnode.Runner/Prepare",
            Self::CreateSandbox => "/wasmnode.Runner/CreateSandbox",
            Self::UpdateSandbox => "/wasmnode.Runner/UpdateSandbox",
            Self::RemoveSandbox => "/wasmnode.Runner/RemoveSandbox",
            Self::UpdateServices => "/wasmnode.Runner/UpdateServices",
            Self::Start => "/wasmnode.Runner/Start",
            Self::Stop => "/wasmnode.Runner/Stop",
            Self::Kill => "/wasmnode.Runner/Kill",
            Self::Exec => "/wasmnode.Runner/Exec",
            Self::Attach => "/wasmnode.Runner/Attach",
            Self::Connect => "/wasmnode.Runner/Connect",
            Self::Usage => "/wasmnode.Runner/Usage",
        }
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn request_path(self) -> PathAndQuery {
        PathAndQuery::from_static(self.path())
    }

    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.path() == path)
    }

    /// How long the client waits for the reply; for conversations, for their being accepted.
    pub(crate) fn deadline(self) -> Duration {
        match self {
            Self::Prepare | Self::Start => LOADING_DEADLINE,
            _ => DEADLINE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_found_by_its_path() {
        for verb in Verb::ALL {
            assert_eq!(Verb::of_path(verb.path()), Some(verb));
        }
        assert_eq!(Verb::of_path("/wasmnode.Runner/"), None);
        assert_eq!(Verb::CreateSandbox.name(), "CreateSandbox");
    }
}
