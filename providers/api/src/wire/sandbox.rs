//! Sandboxes and their usage.

use std::net::IpAddr;

use super::{Id, all, into_all, path_bytes, path_of, required, wire};
use crate::Error;

/// As [`crate::SandboxSpec`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct SandboxSpec {
    #[prost(message, optional, tag = "1")]
    pub id: Option<Id>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub hostname: String,
    /// 4 or 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub addresses: Vec<Vec<u8>>,
    #[prost(uint64, optional, tag = "5")]
    pub memory_limit: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub cpu_millis: Option<u64>,
    #[prost(message, optional, tag = "7")]
    pub isolation: Option<Isolation>,
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address_of(bytes: Vec<u8>) -> Result<IpAddr, Error> {
    let wrong = |b: Vec<u8>| Error::Malformed(format!("sandbox.addresses has an address of {} bytes", b.len()));
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => Ok(IpAddr::from(v4)),
        Err(longer) => <[u8; 16]>::try_from(longer).map(IpAddr::from).map_err(wrong),
    }
}

impl From<crate::SandboxSpec> for SandboxSpec {
    fn from(sandbox: crate::SandboxSpec) -> Self {
        Self {
            id: Some(sandbox.id.into()),
            name: sandbox.name,
            hostname: sandbox.hostname,
            addresses: sandbox.addresses.into_iter().map(address_bytes).collect(),
            memory_limit: sandbox.memory_limit,
            cpu_millis: sandbox.cpu_millis,
            isolation: Some(sandbox.isolation.into()),
        }
    }
}

impl TryFrom<SandboxSpec> for crate::SandboxSpec {
    type Error = Error;

    fn try_from(sandbox: SandboxSpec) -> Result<Self, Error> {
        Ok(Self {
            id: required(sandbox.id, "sandbox.id")?,
            name: sandbox.name,
            hostname: sandbox.hostname,
            addresses: sandbox.addresses.into_iter().map(address_of).collect::<Result<_, _>>()?,
            memory_limit: sandbox.memory_limit,
            cpu_millis: sandbox.cpu_millis,
            isolation: required(sandbox.isolation, "sandbox.isolation")?,
        })
    }
}

/// As [`crate::Isolation`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Isolation {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(uint32, optional, tag = "2")]
    pub user: Option<u32>,
    #[prost(message, repeated, tag = "3")]
    pub paths: Vec<HostPath>,
}

impl From<crate::Isolation> for Isolation {
    fn from(isolation: crate::Isolation) -> Self {
        Self { group: isolation.group, user: isolation.user, paths: into_all(isolation.paths) }
    }
}

impl TryFrom<Isolation> for crate::Isolation {
    type Error = Error;

    fn try_from(isolation: Isolation) -> Result<Self, Error> {
        Ok(Self { group: isolation.group, user: isolation.user, paths: all(isolation.paths)? })
    }
}

/// As [`crate::HostPath`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct HostPath {
    #[prost(bytes = "vec", tag = "1")]
    pub path: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub read_only: bool,
}

impl From<crate::HostPath> for HostPath {
    fn from(host: crate::HostPath) -> Self {
        Self { path: path_bytes(host.path), read_only: host.read_only }
    }
}

impl TryFrom<HostPath> for crate::HostPath {
    type Error = Error;

    fn try_from(host: HostPath) -> Result<Self, Error> {
        Ok(Self { path: path_of(host.path), read_only: host.read_only })
    }
}

/// As [`crate::SandboxUpdate`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct SandboxUpdate {
    #[prost(message, optional, tag = "1")]
    pub id: Option<Id>,
    #[prost(uint64, optional, tag = "2")]
    pub memory_limit: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub cpu_millis: Option<u64>,
}

impl From<crate::SandboxUpdate> for SandboxUpdate {
    fn from(update: crate::SandboxUpdate) -> Self {
        Self { id: Some(update.id.into()), memory_limit: update.memory_limit, cpu_millis: update.cpu_millis }
    }
}

impl TryFrom<SandboxUpdate> for crate::SandboxUpdate {
    type Error = Error;

    fn try_from(update: SandboxUpdate) -> Result<Self, Error> {
        let id = required(update.id, "sandbox_update.id")?;
        Ok(Self { id, memory_limit: update.memory_limit, cpu_millis: update.cpu_millis })
    }
}

/// As [`crate::ServicesDelta`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct ServicesDelta {
    #[prost(uint64, tag = "1")]
    pub version: u64,
}

impl From<crate::ServicesDelta> for ServicesDelta {
    fn from(delta: crate::ServicesDelta) -> Self {
        Self { version: delta.version }
    }
}

impl TryFrom<ServicesDelta> for crate::ServicesDelta {
    type Error = Error;

    fn try_from(delta: ServicesDelta) -> Result<Self, Error> {
        Ok(Self { version: delta.version })
    }
}

/// As [`crate::ContainerUsage`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct ContainerUsage {
    #[prost(string, tag = "1")]
    pub container: String,
    #[prost(uint64, tag = "2")]
    pub cpu_nanoseconds: u64,
    #[prost(uint64, tag = "3")]
    pub memory_bytes: u64,
    #[prost(uint64, tag = "4")]
    pub instances: u64,
    #[prost(uint64, tag = "5")]
    pub requests: u64,
}

impl From<crate::ContainerUsage> for ContainerUsage {
    fn from(usage: crate::ContainerUsage) -> Self {
        Self {
            container: usage.container,
            cpu_nanoseconds: usage.cpu_nanoseconds,
            memory_bytes: usage.memory_bytes,
            instances: usage.instances,
            requests: usage.requests,
        }
    }
}

impl TryFrom<ContainerUsage> for crate::ContainerUsage {
    type Error = Error;

    fn try_from(usage: ContainerUsage) -> Result<Self, Error> {
        Ok(Self {
            container: usage.container,
            cpu_nanoseconds: usage.cpu_nanoseconds,
            memory_bytes: usage.memory_bytes,
            instances: usage.instances,
            requests: usage.requests,
        })
    }
}

/// As [`crate::Usage`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Usage {
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<ContainerUsage>,
    #[prost(uint64, tag = "2")]
    pub network_received: u64,
    #[prost(uint64, tag = "3")]
    pub network_sent: u64,
}

impl From<crate::Usage> for Usage {
    fn from(usage: crate::Usage) -> Self {
        Self {
            containers: into_all(usage.containers),
            network_received: usage.network_received,
            network_sent: usage.network_sent,
        }
    }
}

impl TryFrom<Usage> for crate::Usage {
    type Error = Error;

    fn try_from(usage: Usage) -> Result<Self, Error> {
        Ok(Self {
            containers: all(usage.containers)?,
            network_received: usage.network_received,
            network_sent: usage.network_sent,
        })
    }
}

wire!(
    SandboxSpec => SandboxSpec,
    Isolation => Isolation,
    SandboxUpdate => SandboxUpdate,
    ServicesDelta => ServicesDelta,
    ContainerUsage => ContainerUsage,
    Usage => Usage,
);
