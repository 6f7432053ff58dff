//! The agent's own log: on standard error, where systemd and people look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::sections::{LogFormat, Logging};

/// Once, before anything is logged. `RUST_LOG` overrides the verbosity, for debugging one module.
pub(crate) fn init(settings: &Logging) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(settings.verbosity)));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber can only mean that a test installed one first; its output is as good.
    let _ = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
    };
}

/// klog's levels in terms of ours. A target is a prefix, so `wasmnode` is all of our crates.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        // What libraries warn of, our own code reports with its context.
        0..=1 => "error,wasmnode=info,wasmnode_pods=warn,wasmnode_images=warn,wasmnode_server=warn",
        2..=3 => "warn,wasmnode=info",
        4..=5 => "info,wasmnode=debug",
        6..=7 => "info,wasmnode=trace",
        _ => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_valid_filter() {
        for verbosity in 0..=10 {
            assert!(EnvFilter::try_new(directives(verbosity)).is_ok(), "{verbosity}");
        }
    }
}
