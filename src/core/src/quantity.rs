//! Kubernetes quantities (`resource.Quantity`), exact in thousandths.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A quantity in thousandths of its unit: `1` is 1000, `100m` is 100, `1Ki` is 1024000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(pub i128);

impl Milli {
    /// Whole units, rounded up as the kubelet's `Value()` does.
    pub fn value(self) -> i64 {
        clamp(self.0.div_euclid(1000) + i128::from(self.0.rem_euclid(1000) != 0))
    }

    /// Thousandths, as `MilliValue()`.
    pub fn millis(self) -> i64 {
        clamp(self.0)
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Reads a quantity; `None` for what the API server would have refused.
pub fn parse(quantity: &Quantity) -> Option<Milli> {
    parse_str(&quantity.0)
}

/// As [`parse`].
pub fn parse_str(text: &str) -> Option<Milli> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    // An exponent such as `1e3` starts with a letter, and so ends up in the suffix.
    let (numerator, denominator) = scale(suffix)?;
    let thousandths = decimal(number)?.checked_mul(numerator)?;
    // Beyond a thousandth, quantities round up.
    Some(Milli(thousandths.div_euclid(denominator) + i128::from(thousandths.rem_euclid(denominator) != 0)))
}

/// Digits of precision kept below one thousandth.
const FRACTION_DIGITS: u32 = 9;
const FRACTION: i128 = 10_i128.pow(FRACTION_DIGITS);

/// A decimal number times 10^9.
fn decimal(number: &str) -> Option<i128> {
    let (negative, digits) = match number.as_bytes().first()? {
        b'-' => (true, &number[1..]),
        b'+' => (false, &number[1..]),
        _ => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || digits.contains(['+', '-']) {
        return None;
    }
    let mut value = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(FRACTION)? };
    for (place, digit) in fraction.chars().take(FRACTION_DIGITS as usize).enumerate() {
        value += i128::from(digit.to_digit(10)?) * 10_i128.pow(FRACTION_DIGITS - 1 - u32::try_from(place).ok()?);
    }
    Some(if negative { -value } else { value })
}

/// What to multiply and divide a number times 10^9 with to get thousandths.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let thousand = |power: u32| Some((1000_i128.pow(power + 1), FRACTION));
    let binary = |power: u32| Some((1000 * 1024_i128.pow(power), FRACTION));
    match suffix {
        "n" => Some((1, FRACTION * 1_000_000)),
        "u" => Some((1, FRACTION * 1000)),
        "m" => Some((1, FRACTION)),
        "" => thousand(0),
        "k" => thousand(1),
        "M" => thousand(2),
        "G" => thousand(3),
        "T" => thousand(4),
        "P" => thousand(5),
        "E" => thousand(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => exponent(suffix),
    }
}

fn exponent(suffix: &str) -> Option<(i128, i128)> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10_i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
    Some(if power >= 0 { (1000 * factor, FRACTION) } else { (1000, FRACTION * factor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        let cases = [
            ("0", 0),
            ("1", 1000),
            ("100m", 100),
            ("1.5", 1500),
            ("0.1", 100),
            (".5", 500),
            ("1Ki", 1_024_000),
            ("64Mi", 67_108_864_000),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("2k", 2_000_000),
            ("1500u", 2),
            ("1n", 1),
            ("-1", -1000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("12e-1", 1200),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_str(text), Some(Milli(millis)), "{text}");
        }
        for text in ["", "m", "1x", "1.2.3", "--1", "1e99", "a", "1-2", "."] {
            assert_eq!(parse_str(text), None, "{text}");
        }
    }

    #[test]
    fn values_round_up() {
        assert_eq!(Milli(1).value(), 1);
        assert_eq!(Milli(1000).value(), 1);
        assert_eq!(Milli(-1500).value(), -1);
    }
}
