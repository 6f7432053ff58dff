//! What a provider reports.

use std::time::SystemTime;

use crate::RunId;

/// Something happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guest's code was entered.
    Started {
        /// Which run.
        run: RunId,
        /// When.
        at: SystemTime,
    },
    /// The run ended. Sent once per connection, listed until acknowledged.
    Exited(Exit),
    /// An HTTP server answered its first request.
    FirstRequest {
        /// Which run.
        run: RunId,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Which run.
    pub run: RunId,
    /// 0..=255; 128+n for signals and what stands for them (134 trap, 137 kill or memory, 143 stop).
    pub code: i32,
    /// Why.
    pub reason: ExitReason,
    /// Details for people: the trap with its wasm backtrace, the limit that was hit. Bounded to 4096 bytes.
    pub message: String,
    /// When it started.
    pub started_at: SystemTime,
    /// When it ended.
    pub finished_at: SystemTime,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// The guest returned or called exit with this code.
    Exited,
    /// The guest trapped: 134.
    Trap,
    /// The guest asked for more memory than its limit and ended because of it: 137.
    OutOfMemory,
    /// `stop` ended it: 143, or 0 for servers.
    Stopped,
    /// `kill` ended it: 137.
    Killed,
    /// The process that held it is gone: 255.
    Lost,
}
