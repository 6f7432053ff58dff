//! How figures are printed.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

/// Prints one figure, with its peer's value and the ratio ours / peer where there is one.
pub(crate) fn print(name: &str, unit: &str, value: f64, peer: Option<(&str, f64)>) {
    let mut line = json!({ "figure": name, "unit": unit, "value": rounded(value) });
    if let Some((peer, peer_value)) = peer {
        line["peer"] = json!(peer);
        line["peer_value"] = rounded(peer_value);
        line["ratio"] = rounded(value / peer_value);
    }
    // A reader that went away is not interested in the rest.
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

/// The value below which a share of the samples lies, in microseconds.
pub(crate) fn percentile(samples: &mut [Duration], share: f64) -> f64 {
    samples.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = ((samples.len().saturating_sub(1)) as f64 * share).round() as usize;
    samples.get(index).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e6)
}
