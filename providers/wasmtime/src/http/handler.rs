//! A linked component that handles requests.

use wasmnode_provider_api::{Error, HttpSettings, StartFailure};
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};
use wasmtime_wasi_http::{p2, p3};

use super::instances::Sharing;
use crate::guest::ComponentState;

/// Requests of an instance of WASI 0.3 in its life, and at a time, as `wasmtime serve` has them.
const WASIP3: Sharing = Sharing { in_all: 128, at_a_time: 16 };

/// Ready to be instantiated any number of times.
pub(crate) struct Handler {
    pre: ProxyPre<ComponentState>,
    engine: Engine,
}

fn not_a_handler(error: &wasmtime::Error) -> Error {
    Error::Start(StartFailure::World(format!("the component's wasi:http handler cannot be called: {error:#}")))
}

impl Handler {
    pub(crate) fn wasip2(linked: InstancePre<ComponentState>) -> Result<Self, Error> {
        let engine = linked.engine().clone();
        let pre = p2::bindings::ProxyPre::new(linked).map_err(|e| not_a_handler(&e))?;
        Ok(Self { pre: ProxyPre::P2(pre), engine })
    }

    pub(crate) fn wasip3(linked: InstancePre<ComponentState>) -> Result<Self, Error> {
        let engine = linked.engine().clone();
        let pre = p3::bindings::ServicePre::new(linked).map_err(|e| not_a_handler(&e))?;
        Ok(Self { pre: ProxyPre::P3(pre), engine })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) async fn instantiate(&self, store: &mut Store<ComponentState>) -> Result<Proxy, wasmtime::Error> {
        self.pre.instantiate_async(store).await
    }

    /// As the settings want it, as far as the interface can.
    pub(super) fn sharing(&self, settings: &HttpSettings) -> Sharing {
        match self.pre {
            ProxyPre::P2(_) => Sharing { in_all: settings.requests_per_instance.unwrap_or(1), at_a_time: 1 },
            ProxyPre::P3(_) => Sharing {
                in_all: settings.requests_per_instance.unwrap_or(WASIP3.in_all),
                at_a_time: settings.concurrent_per_instance.unwrap_or(WASIP3.at_a_time).max(1),
            },
        }
    }
}
