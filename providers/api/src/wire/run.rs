//! Runs.

use super::{
    Artifact, HttpSettings, Id, Stdio, all, into_all, malformed, path_bytes, path_of, required, small, variant, wire,
};
use crate::Error;

/// One variable of the environment.
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct EnvVar {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

impl From<(String, String)> for EnvVar {
    fn from((name, value): (String, String)) -> Self {
        Self { name, value }
    }
}

/// As [`crate::Mount`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Mount {
    #[prost(bytes = "vec", tag = "1")]
    pub host: Vec<u8>,
    #[prost(string, tag = "2")]
    pub guest: String,
    #[prost(bool, tag = "3")]
    pub read_only: bool,
}

impl From<crate::Mount> for Mount {
    fn from(mount: crate::Mount) -> Self {
        Self { host: path_bytes(mount.host), guest: mount.guest, read_only: mount.read_only }
    }
}

impl TryFrom<Mount> for crate::Mount {
    type Error = Error;

    fn try_from(mount: Mount) -> Result<Self, Error> {
        Ok(Self { host: path_of(mount.host), guest: mount.guest, read_only: mount.read_only })
    }
}

/// As [`crate::Limits`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Limits {
    #[prost(uint64, optional, tag = "1")]
    pub memory_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub cpu_millis: Option<u64>,
}

impl From<crate::Limits> for Limits {
    fn from(limits: crate::Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, cpu_millis: limits.cpu_millis }
    }
}

impl TryFrom<Limits> for crate::Limits {
    type Error = Error;

    fn try_from(limits: Limits) -> Result<Self, Error> {
        Ok(Self { memory_bytes: limits.memory_bytes, cpu_millis: limits.cpu_millis })
    }
}

/// As [`crate::StopMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum StopMode {
    Unspecified = 0,
    Cancel = 1,
    Stdin = 2,
}

impl From<crate::StopMode> for StopMode {
    fn from(mode: crate::StopMode) -> Self {
        match mode {
            crate::StopMode::Cancel => Self::Cancel,
            crate::StopMode::Stdin => Self::Stdin,
        }
    }
}

impl TryFrom<StopMode> for crate::StopMode {
    type Error = ();

    fn try_from(mode: StopMode) -> Result<Self, ()> {
        match mode {
            StopMode::Unspecified => Err(()),
            StopMode::Cancel => Ok(Self::Cancel),
            StopMode::Stdin => Ok(Self::Stdin),
        }
    }
}

/// As [`crate::Workload::Command`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Command {
    #[prost(enumeration = "StopMode", tag = "1")]
    pub stop: i32,
}

/// As [`crate::Workload::HttpServer`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct HttpServer {
    #[prost(uint32, repeated, tag = "1")]
    pub ports: Vec<u32>,
    /// Absent from peers that know no settings: the defaults.
    #[prost(message, optional, tag = "2")]
    pub settings: Option<HttpSettings>,
}

/// As [`crate::Workload`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Workload {
    /// Which.
    #[prost(oneof = "WorkloadKind", tags = "1, 2")]
    pub kind: Option<WorkloadKind>,
}

/// The variants of [`crate::Workload`].
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum WorkloadKind {
    #[prost(message, tag = "1")]
    Command(Command),
    #[prost(message, tag = "2")]
    HttpServer(HttpServer),
}

impl From<crate::Workload> for Workload {
    fn from(workload: crate::Workload) -> Self {
        let kind = match workload {
            crate::Workload::Command { stop } => WorkloadKind::Command(Command { stop: StopMode::from(stop).into() }),
            crate::Workload::HttpServer { ports, settings } => {
                WorkloadKind::HttpServer(HttpServer { ports: into_all(ports), settings: Some(settings.into()) })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<Workload> for crate::Workload {
    type Error = Error;

    fn try_from(workload: Workload) -> Result<Self, Error> {
        match workload.kind.ok_or_else(|| malformed("workload has no known kind"))? {
            WorkloadKind::Command(command) => {
                Ok(Self::Command { stop: variant::<StopMode, _>(command.stop, "command.stop")? })
            }
            WorkloadKind::HttpServer(server) => {
                let ports = server.ports.into_iter().map(|port| small(port, "http_server.ports"));
                let settings = server.settings.map_or_else(|| Ok(crate::HttpSettings::default()), TryFrom::try_from)?;
                Ok(Self::HttpServer { ports: ports.collect::<Result<_, _>>()?, settings })
            }
        }
    }
}

/// As [`crate::RunSpec`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct RunSpec {
    #[prost(message, optional, tag = "1")]
    pub id: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub sandbox: Option<Id>,
    #[prost(string, tag = "3")]
    pub container: String,
    #[prost(message, optional, tag = "4")]
    pub artifact: Option<Artifact>,
    #[prost(string, repeated, tag = "5")]
    pub argv: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub env: Vec<EnvVar>,
    #[prost(string, optional, tag = "7")]
    pub cwd: Option<String>,
    #[prost(message, repeated, tag = "8")]
    pub mounts: Vec<Mount>,
    #[prost(message, optional, tag = "9")]
    pub stdio: Option<Stdio>,
    #[prost(message, optional, tag = "10")]
    pub limits: Option<Limits>,
    #[prost(message, optional, tag = "11")]
    pub workload: Option<Workload>,
}

impl From<crate::RunSpec> for RunSpec {
    fn from(run: crate::RunSpec) -> Self {
        Self {
            id: Some(run.id.into()),
            sandbox: Some(run.sandbox.into()),
            container: run.container,
            artifact: Some(run.artifact.into()),
            argv: run.argv,
            env: into_all(run.env),
            cwd: run.cwd,
            mounts: into_all(run.mounts),
            stdio: Some(run.stdio.into()),
            limits: Some(run.limits.into()),
            workload: Some(run.workload.into()),
        }
    }
}

impl TryFrom<RunSpec> for crate::RunSpec {
    type Error = Error;

    fn try_from(run: RunSpec) -> Result<Self, Error> {
        Ok(Self {
            id: required(run.id, "run.id")?,
            sandbox: required(run.sandbox, "run.sandbox")?,
            container: run.container,
            artifact: required(run.artifact, "run.artifact")?,
            argv: run.argv,
            env: run.env.into_iter().map(|var| (var.name, var.value)).collect(),
            cwd: run.cwd,
            mounts: all(run.mounts)?,
            stdio: required(run.stdio, "run.stdio")?,
            limits: required(run.limits, "run.limits")?,
            workload: required(run.workload, "run.workload")?,
        })
    }
}

wire!(
    Mount => Mount,
    Limits => Limits,
    Workload => Workload,
    RunSpec => RunSpec,
);
