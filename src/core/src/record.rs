//! Events as the core decides them: reason and text of the kubelet contract, section 6.

use std::borrow::Cow;

use crate::PodRef;

/// Normal or Warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Part of ordinary life.
    Normal,
    /// Someone should look.
    Warning,
}

/// An event to record about a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Normal or Warning.
    pub severity: Severity,
    /// One word, e.g. `BackOff`.
    pub reason: Cow<'static, str>,
    /// The sentence.
    pub message: String,
    /// The container it is about; none for the pod as a whole.
    pub container: Option<String>,
}

impl Record {
    /// About the pod.
    pub fn pod(severity: Severity, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { severity, reason: reason.into(), message: message.into(), container: None }
    }

    /// About one container.
    pub fn container(severity: Severity, reason: &'static str, name: &str, message: impl Into<String>) -> Self {
        Self { severity, reason: reason.into(), message: message.into(), container: Some(name.to_owned()) }
    }
}

/// Where events go. Recording never waits: correlation, rate limits and retries are the recorder's.
pub trait Recorder: Send + Sync + 'static {
    /// An event about a pod.
    fn pod(&self, pod: &PodRef, resource_version: &str, record: Record);

    /// An event about this node.
    fn node(&self, severity: Severity, reason: &'static str, message: String);
}
