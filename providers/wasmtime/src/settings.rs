//! What the operator may choose.

use std::time::Duration;

/// Settings of a provider, fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Runs that fit at the same time. Each one reserves address space and memory mappings, not memory; a host that
    /// cannot give as many gets fewer, and a warning.
    pub capacity: u32,
    /// Whether WASI 0.3 components run. Their engine is made when the first one is prepared.
    pub wasip3: bool,
    /// Threads that guests run on.
    pub threads: usize,
    /// The longest that a guest computes before others get their turn.
    pub epoch_tick: Duration,
    /// Instances from a pool, which is faster and bounded. Without it, and where the address space has no room for
    /// a pool, each instance is mapped when it starts.
    pub pooling: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1000,
            wasip3: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            epoch_tick: Duration::from_millis(1),
            pooling: true,
        }
    }
}

/// Why there is no provider.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting makes no sense.
    #[error("setting {name} is {value}; it must be {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The host allows too few memory mappings for even a small pool.
    #[error(
        "vm.max_map_count is {found}, too low to run anything; set it to {needed} (sysctl -w vm.max_map_count={needed})"
    )]
    MapCount {
        /// What the host allows.
        found: u64,
        /// What the asked capacity needs.
        needed: u64,
    },
    /// The engine could not be made.
    #[error("engine cannot be created: {0}")]
    Engine(String),
    /// A thread could not be started.
    #[error("thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let wrong = |name, value, expected| Err(SetupError::Setting { name, value, expected });
        if self.capacity == 0 {
            return wrong("capacity", "0".to_owned(), "at least 1");
        }
        if self.threads == 0 {
            return wrong("threads", "0".to_owned(), "at least 1");
        }
        if self.epoch_tick < Duration::from_micros(100) || self.epoch_tick > Duration::from_secs(1) {
            return wrong("epoch tick", format!("{:?}", self.epoch_tick), "between 100 µs and 1 s");
        }
        Ok(())
    }
}
