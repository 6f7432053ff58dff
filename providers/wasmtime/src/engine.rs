//! The engine configurations and their ids.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmnode_provider_api::{Engine as ApiEngine, EngineId, EngineName};
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::{Settings, SetupError};

/// The version of wasmtime, part of every engine id. A test compares it with the crate that is linked.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Stamped into a program by whoever builds wasmtime with patches of their own, behind [`SALT_MARK`], so that code
/// compiled by two such programs is kept apart although both name the same version.
#[used]
static SALT: [u8; 64] =
    *b"wasmnode engine salt:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What the salt stands behind.
const SALT_MARK: &[u8] = b"wasmnode engine salt:";

/// The salt of the program that runs. Read past the optimiser, which knows the array as it was compiled.
fn salt() -> &'static [u8] {
    &std::hint::black_box(&SALT)[SALT_MARK.len()..]
}

/// Everything that compiled code depends on. Where instances come from is not part of it, so that a compile job
/// makes no pool.
pub(crate) fn config(name: EngineName) -> Config {
    let concurrent = name == EngineName::Wasip3;
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(concurrent);
    config.wasm_component_model_async(concurrent);
    // Explicit, because the default depends on an environment variable, and a compile job has none.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}

/// An engine that can compile but reserves nothing.
pub(crate) fn compiler(name: EngineName) -> Result<Engine, wasmtime::Error> {
    Engine::new(&config(name))
}

/// What code for this engine is keyed by.
pub(crate) fn id(engine: &Engine) -> EngineId {
    let mut hasher = StableHasher(Sha256::new());
    WASMTIME_VERSION.hash(&mut hasher);
    salt().hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let digits = hex::encode(hasher.0.finalize());
    EngineId::new(digits).unwrap_or_else(|invalid| unreachable!("a sha256 in hexadecimal: {invalid}"))
}

/// The engines that a provider with these settings has, without making a pool.
///
/// # Errors
/// [`SetupError::Engine`] where this host's processor is not supported.
pub fn engine_ids(settings: &Settings) -> Result<Vec<ApiEngine>, SetupError> {
    let names = [EngineName::Base, EngineName::Wasip3];
    let used = names.into_iter().filter(|name| settings.wasip3 || *name == EngineName::Base);
    used.map(|name| {
        let engine = compiler(name).map_err(|e| SetupError::Engine(format!("{e:#}")))?;
        Ok(ApiEngine { name, id: id(&engine) })
    })
    .collect()
}

/// A hasher whose result depends on the input alone, unlike those of the standard library, which may change.
struct StableHasher(Sha256);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_be_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::pool;

    #[test]
    fn a_pool_does_not_change_the_id() {
        for name in [EngineName::Base, EngineName::Wasip3] {
            let mut pooled = config(name);
            pooled.allocation_strategy(pool::allocation(8, 8));
            let pooled = Engine::new(&pooled).unwrap();
            assert_eq!(id(&pooled), id(&compiler(name).unwrap()));
        }
    }

    #[test]
    fn engines_have_their_own_ids() {
        let ids = engine_ids(&Settings::default()).unwrap();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0].id, ids[1].id);
        let base = engine_ids(&Settings { wasip3: false, ..Settings::default() }).unwrap();
        assert_eq!(base, ids[..1]);
    }

    #[test]
    fn states_the_version_that_is_linked() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
        assert!(lock.contains(&entry), "WASMTIME_VERSION must be that of Cargo.lock");
    }
}
