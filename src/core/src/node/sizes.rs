//! Amounts as canonical quantities, exactly as the API server prints them: a status is compared with the one that
//! stands as text, and another spelling of the same amount would be posted for ever.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths, with a decimal suffix: 8000 is `8`, 7500 is `7500m`.
pub(super) fn millis(amount: u64) -> Quantity {
    if amount.is_multiple_of(1000) { decimal(amount / 1000) } else { Quantity(format!("{amount}m")) }
}

/// A number with a decimal suffix: 110 is `110`, 5000 is `5k`.
pub(super) fn decimal(amount: u64) -> Quantity {
    suffixed(amount, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

/// Bytes with a binary suffix: 2048 is `2Ki`.
pub(super) fn binary(bytes: u64) -> Quantity {
    suffixed(bytes, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
}

fn suffixed(mut amount: u64, step: u64, suffixes: &[&str]) -> Quantity {
    let mut suffix = 0;
    while amount != 0 && amount.is_multiple_of(step) && suffix + 1 < suffixes.len() {
        amount /= step;
        suffix += 1;
    }
    Quantity(format!("{amount}{}", suffixes[suffix]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonical() {
        for (got, text) in [
            (millis(8000), "8"),
            (millis(7500), "7500m"),
            (millis(0), "0"),
            (decimal(110), "110"),
            (decimal(5000), "5k"),
            (decimal(1_500_000), "1500k"),
            (binary(0), "0"),
            (binary(16_384_000 << 10), "16000Mi"),
            (binary(1025), "1025"),
            (binary(u64::MAX), "18446744073709551615"),
            (binary(1 << 63), "8Ei"),
        ] {
            assert_eq!(got.0, text);
        }
    }
}
