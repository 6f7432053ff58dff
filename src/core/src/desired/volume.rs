//! Volumes as they are asked for.

use super::DownwardValue;
use crate::ObjectRef;

/// A volume of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Unique in the pod.
    pub name: String,
    /// What it holds.
    pub source: VolumeSource,
}

/// What a volume holds. A new kind is an arm here, its parse, and a file in the pods crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// An empty directory that lives as long as the pod.
    EmptyDir {
        /// `medium: Memory`.
        memory: bool,
        /// `sizeLimit`, bytes.
        size_limit: Option<u64>,
    },
    /// A ConfigMap's keys as files.
    ConfigMap(FileSource, i32),
    /// A Secret's keys as files, in memory.
    Secret(FileSource, i32),
    /// Fields of the pod as files; the second value is the default mode.
    Downward(Vec<DownwardItem>, i32),
    /// Several sources in one directory; the second value is the default mode.
    Projected(Vec<Projection>, i32),
    /// A kind that this node does not mount: the pod waits with `FailedMount`.
    Unsupported(String),
}

/// A source of a projected volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projection {
    /// A ConfigMap's keys.
    ConfigMap(FileSource),
    /// A Secret's keys.
    Secret(FileSource),
    /// Fields of the pod.
    Downward(Vec<DownwardItem>),
    /// A token of the pod's service account.
    Token {
        /// Audience; none: the API server's default.
        audience: Option<String>,
        /// Wanted lifetime, seconds.
        expiration_seconds: i64,
        /// Relative path.
        path: String,
    },
    /// A kind that this node does not project.
    Unsupported(String),
}

/// Keys of an object as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Object name.
    pub name: String,
    /// A missing object is an empty volume; missing keys are left out.
    pub optional: bool,
    /// Only these keys, under these paths; none: all keys under their own names.
    pub items: Option<Vec<Item>>,
}

/// A key as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Key in the object.
    pub key: String,
    /// Relative path in the volume.
    pub path: String,
    /// Permission bits; none: the volume's default.
    pub mode: Option<i32>,
}

/// A field of the pod as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownwardItem {
    /// Relative path in the volume.
    pub path: String,
    /// What it holds.
    pub value: DownwardValue,
    /// Permission bits; none: the volume's default.
    pub mode: Option<i32>,
}

impl VolumeSource {
    pub(super) fn object_refs(&self) -> Vec<ObjectRef> {
        match self {
            Self::ConfigMap(source, _) => vec![ObjectRef::ConfigMap(source.name.clone())],
            Self::Secret(source, _) => vec![ObjectRef::Secret(source.name.clone())],
            Self::Projected(sources, _) => sources.iter().filter_map(Projection::object_ref).collect(),
            Self::EmptyDir { .. } | Self::Downward(..) | Self::Unsupported(_) => Vec::new(),
        }
    }
}

impl Projection {
    fn object_ref(&self) -> Option<ObjectRef> {
        match self {
            Self::ConfigMap(source) => Some(ObjectRef::ConfigMap(source.name.clone())),
            Self::Secret(source) => Some(ObjectRef::Secret(source.name.clone())),
            Self::Downward(_) | Self::Token { .. } | Self::Unsupported(_) => None,
        }
    }
}
