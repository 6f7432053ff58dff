//! From what the engine returns to how a run ended.

use wasmnode_provider_api::{Error, ExitReason};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limiter::MemoryLimit;

/// Bytes of a message at most, as in a container's termination message.
const MAX_MESSAGE: usize = 4096;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) code: i32,
    pub(crate) reason: ExitReason,
    pub(crate) message: String,
}

/// What entering a guest came to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code where the guest returned or called exit.
    pub(crate) result: Result<i32, wasmtime::Error>,
    /// The host refused memory although the limit allowed it.
    pub(crate) denied: bool,
}

impl Verdict {
    pub(crate) fn exited(code: i32) -> Self {
        Self { code: code & 0xff, reason: ExitReason::Exited, message: String::new() }
    }

    pub(crate) fn stopped() -> Self {
        Self { code: 143, reason: ExitReason::Stopped, message: String::new() }
    }

    /// A server that was told to stop and has answered everybody.
    pub(crate) fn drained() -> Self {
        Self { code: 0, reason: ExitReason::Stopped, message: String::new() }
    }

    pub(crate) fn killed() -> Self {
        Self { code: 137, reason: ExitReason::Killed, message: String::new() }
    }

    pub(crate) fn lost(cause: &str) -> Self {
        Self { code: 255, reason: ExitReason::Lost, message: bounded(cause) }
    }

    fn trap(message: &str) -> Self {
        Self { code: 134, reason: ExitReason::Trap, message: bounded(message) }
    }

    fn out_of_memory(message: &str) -> Self {
        Self { code: 137, reason: ExitReason::OutOfMemory, message: bounded(message) }
    }
}

impl Ended {
    /// The refusal, where the guest was never entered for lack of room.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let error = self.result.as_ref().err()?;
        let full = error.downcast_ref::<PoolConcurrencyLimitError>()?;
        Some(Error::Full(full.to_string()))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match &self.result {
            Ok(code) => Verdict::exited(*code),
            Err(error) => self.of_error(error),
        }
    }

    fn of_error(&self, error: &wasmtime::Error) -> Verdict {
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Verdict::exited(exit.0);
        }
        let message = with_backtrace(error);
        let limited = error.downcast_ref::<MemoryLimit>().is_some();
        if limited || (self.denied && error.downcast_ref::<Trap>().is_some()) {
            return Verdict::out_of_memory(&message);
        }
        Verdict::trap(&message)
    }
}

fn with_backtrace(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let frames = error.downcast_ref::<WasmBacktrace>().filter(|trace| !trace.frames().is_empty());
    let Some(trace) = frames.map(ToString::to_string) else { return cause };
    let frames = trace.split_once('\n').map_or("", |(_heading, frames)| frames);
    format!("{cause}\nwasm backtrace:\n{frames}")
}

/// The text without control characters, which names inside a guest's binary may hold, and not too long.
pub(crate) fn bounded(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_MESSAGE));
    for c in text.trim_end().chars() {
        let c = if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
        if clean.len() + c.len_utf8() > MAX_MESSAGE {
            break;
        }
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(result: Result<i32, wasmtime::Error>, denied: bool) -> (i32, ExitReason) {
        let verdict = Ended { result, denied }.verdict();
        (verdict.code, verdict.reason)
    }

    #[test]
    fn maps_every_end() {
        let limit = MemoryLimit { limit: 1, current: 0, desired: 2 };
        let cases = [
            (Ok(0), false, (0, ExitReason::Exited)),
            (Ok(300), false, (44, ExitReason::Exited)),
            (Err(I32Exit(200).into()), false, (200, ExitReason::Exited)),
            (Err(I32Exit(-1).into()), true, (255, ExitReason::Exited)),
            (Err(Trap::UnreachableCodeReached.into()), false, (134, ExitReason::Trap)),
            (Err(Trap::UnreachableCodeReached.into()), true, (137, ExitReason::OutOfMemory)),
            (Err(wasmtime::Error::from(limit).context("at a backtrace")), false, (137, ExitReason::OutOfMemory)),
            (Err(wasmtime::Error::msg("a host function failed")), true, (134, ExitReason::Trap)),
        ];
        for (result, denied, expected) in cases {
            let shown = format!("{result:?} with denied={denied}");
            assert_eq!(verdict(result, denied), expected, "{shown}");
        }
    }

    #[test]
    fn bounds_messages() {
        assert_eq!(bounded("a\nb\u{1b}[2J\n"), "a\nb\u{fffd}[2J");
        let long = bounded(&"ä".repeat(MAX_MESSAGE));
        assert_eq!(long.len(), MAX_MESSAGE);
    }
}
