//! The engines of this process.

use std::sync::OnceLock;

use wasmnode_provider_api::{Engine as ApiEngine, EngineName, Error};
use wasmtime::Engine;

use crate::artifact::Host;
use crate::pool::Plan;
use crate::ticker::Ticker;
use crate::{Settings, SetupError, engine, engine_ids};

/// The engines and their clock. The second one is made when it is first needed.
pub(crate) struct Engines {
    pub(crate) ids: Vec<ApiEngine>,
    base: Host,
    wasip3: OnceLock<Result<Host, String>>,
    plan: Plan,
    /// Whether instances come from pools.
    pub(crate) pooling: bool,
    pub(crate) ticker: Ticker,
}

impl Engines {
    pub(crate) fn new(settings: &Settings, plan: Plan) -> Result<Self, SetupError> {
        let failed = |e: wasmtime::Error| SetupError::Engine(format!("{e:#}"));
        let ticker = Ticker::spawn(settings.epoch_tick)?;
        let (engine, pooling) = if settings.pooling { pooled(EngineName::Base, plan) } else { None }
            .map_or_else(|| engine::compiler(EngineName::Base).map(|e| (e, false)), |e| Ok((e, true)))
            .map_err(failed)?;
        let base = Host::new(EngineName::Base, engine).map_err(failed)?;
        ticker.add(base.engine());
        Ok(Self { ids: engine_ids(settings)?, base, wasip3: OnceLock::new(), plan, pooling, ticker })
    }

    /// The engine of an artifact. Blocks for some milliseconds when it makes one.
    pub(crate) fn host(&self, name: EngineName) -> Result<&Host, Error> {
        if !self.ids.iter().any(|engine| engine.name == name) {
            return Err(Error::Unsupported("WASI 0.3, which is switched off on this node,".to_owned()));
        }
        match name {
            EngineName::Base => Ok(&self.base),
            EngineName::Wasip3 => {
                let host = self.wasip3.get_or_init(|| self.make_wasip3().map_err(|e| format!("{e:#}")));
                host.as_ref().map_err(|e| Error::Failed(format!("the engine for WASI 0.3 cannot be created: {e}")))
            }
        }
    }

    /// Those that were needed so far.
    pub(crate) fn made(&self) -> impl Iterator<Item = &Host> {
        let wasip3 = self.wasip3.get().and_then(|host| host.as_ref().ok());
        std::iter::once(&self.base).chain(wasip3)
    }

    fn make_wasip3(&self) -> Result<Host, wasmtime::Error> {
        let pool = if self.pooling { pooled(EngineName::Wasip3, self.plan) } else { None };
        let engine = pool.map_or_else(|| engine::compiler(EngineName::Wasip3), Ok)?;
        self.ticker.add(&engine);
        Host::new(EngineName::Wasip3, engine)
    }
}

/// An engine with a pool, unless the address space has no room for it.
fn pooled(name: EngineName, plan: Plan) -> Option<Engine> {
    let mut config = engine::config(name);
    config.allocation_strategy(match name {
        EngineName::Base => plan.base(),
        EngineName::Wasip3 => plan.wasip3(),
    });
    let engine = Engine::new(&config);
    engine
        .inspect_err(|error| {
            tracing::warn!(%error, ?name, "Instance pool cannot be reserved, instances are mapped one by one");
        })
        .ok()
}
