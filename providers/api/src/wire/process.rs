//! Hello, settings and listings.

use super::{EngineName, Exit, Id, Time, all, into_all, malformed, path_bytes, path_of, required, variant, wire};
use crate::Error;

/// As [`crate::Hello`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Hello {
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    #[prost(string, tag = "2")]
    pub build: String,
}

impl From<crate::Hello> for Hello {
    fn from(hello: crate::Hello) -> Self {
        Self { protocol: hello.protocol, build: hello.build }
    }
}

impl TryFrom<Hello> for crate::Hello {
    type Error = Error;

    fn try_from(hello: Hello) -> Result<Self, Error> {
        Ok(Self { protocol: hello.protocol, build: hello.build })
    }
}

/// As [`crate::Engine`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Engine {
    #[prost(enumeration = "EngineName", tag = "1")]
    pub name: i32,
    #[prost(message, optional, tag = "2")]
    pub id: Option<Id>,
}

impl From<crate::Engine> for Engine {
    fn from(engine: crate::Engine) -> Self {
        Self { name: EngineName::from(engine.name).into(), id: Some(engine.id.into()) }
    }
}

impl TryFrom<Engine> for crate::Engine {
    type Error = Error;

    fn try_from(engine: Engine) -> Result<Self, Error> {
        Ok(Self { name: variant::<EngineName, _>(engine.name, "engine.name")?, id: required(engine.id, "engine.id")? })
    }
}

/// As [`crate::Welcome`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Welcome {
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    #[prost(string, tag = "2")]
    pub build: String,
    #[prost(string, tag = "3")]
    pub runtime: String,
    #[prost(message, repeated, tag = "4")]
    pub engines: Vec<Engine>,
    #[prost(uint32, tag = "5")]
    pub capacity: u32,
    #[prost(string, repeated, tag = "6")]
    pub features: Vec<String>,
}

impl From<crate::Welcome> for Welcome {
    fn from(welcome: crate::Welcome) -> Self {
        Self {
            protocol: welcome.protocol,
            build: welcome.build,
            runtime: welcome.runtime,
            engines: into_all(welcome.engines),
            capacity: welcome.capacity,
            features: welcome.features,
        }
    }
}

impl TryFrom<Welcome> for crate::Welcome {
    type Error = Error;

    fn try_from(welcome: Welcome) -> Result<Self, Error> {
        Ok(Self {
            protocol: welcome.protocol,
            build: welcome.build,
            runtime: welcome.runtime,
            engines: all(welcome.engines)?,
            capacity: welcome.capacity,
            features: welcome.features,
        })
    }
}

/// As [`crate::Target`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Target {
    #[prost(message, repeated, tag = "1")]
    pub engines: Vec<Engine>,
    #[prost(bytes = "vec", tag = "2")]
    pub compiler: Vec<u8>,
}

impl From<crate::Target> for Target {
    fn from(target: crate::Target) -> Self {
        Self { engines: into_all(target.engines), compiler: path_bytes(target.compiler) }
    }
}

impl TryFrom<Target> for crate::Target {
    type Error = Error;

    fn try_from(target: Target) -> Result<Self, Error> {
        Ok(Self { engines: all(target.engines)?, compiler: path_of(target.compiler) })
    }
}

/// As [`crate::Configure`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Configure {
    #[prost(bytes = "vec", tag = "1")]
    pub ca_bundle: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    pub cluster_cidrs: Vec<String>,
    /// As text, `10.0.0.1:10250`.
    #[prost(string, repeated, tag = "3")]
    pub node_api: Vec<String>,
}

impl From<crate::Configure> for Configure {
    fn from(settings: crate::Configure) -> Self {
        let node_api = settings.node_api.iter().map(ToString::to_string).collect();
        Self { ca_bundle: settings.ca_bundle, cluster_cidrs: settings.cluster_cidrs, node_api }
    }
}

impl TryFrom<Configure> for crate::Configure {
    type Error = Error;

    fn try_from(settings: Configure) -> Result<Self, Error> {
        let parsed = settings.node_api.iter().map(|address| {
            address.parse().map_err(|_| malformed(&format!("configure.node_api has {address:?}, which is no address")))
        });
        let node_api = parsed.collect::<Result<_, _>>()?;
        Ok(Self { ca_bundle: settings.ca_bundle, cluster_cidrs: settings.cluster_cidrs, node_api })
    }
}

/// As [`crate::ListedRun`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct ListedRun {
    #[prost(message, optional, tag = "1")]
    pub run: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub sandbox: Option<Id>,
    #[prost(string, tag = "3")]
    pub container: String,
    #[prost(message, optional, tag = "4")]
    pub started_at: Option<Time>,
}

impl From<crate::ListedRun> for ListedRun {
    fn from(listed: crate::ListedRun) -> Self {
        Self {
            run: Some(listed.run.into()),
            sandbox: Some(listed.sandbox.into()),
            container: listed.container,
            started_at: Some(listed.started_at.into()),
        }
    }
}

impl TryFrom<ListedRun> for crate::ListedRun {
    type Error = Error;

    fn try_from(listed: ListedRun) -> Result<Self, Error> {
        Ok(Self {
            run: required(listed.run, "listed_run.run")?,
            sandbox: required(listed.sandbox, "listed_run.sandbox")?,
            container: listed.container,
            started_at: required(listed.started_at, "listed_run.started_at")?,
        })
    }
}

/// As [`crate::Listing`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Listing {
    #[prost(message, repeated, tag = "1")]
    pub sandboxes: Vec<Id>,
    #[prost(message, repeated, tag = "2")]
    pub runs: Vec<ListedRun>,
    #[prost(message, repeated, tag = "3")]
    pub exits: Vec<Exit>,
}

impl From<crate::Listing> for Listing {
    fn from(listing: crate::Listing) -> Self {
        Self { sandboxes: into_all(listing.sandboxes), runs: into_all(listing.runs), exits: into_all(listing.exits) }
    }
}

impl TryFrom<Listing> for crate::Listing {
    type Error = Error;

    fn try_from(listing: Listing) -> Result<Self, Error> {
        Ok(Self { sandboxes: all(listing.sandboxes)?, runs: all(listing.runs)?, exits: all(listing.exits)? })
    }
}

wire!(
    Hello => Hello,
    Engine => Engine,
    Welcome => Welcome,
    Target => Target,
    Configure => Configure,
    ListedRun => ListedRun,
    Listing => Listing,
);
