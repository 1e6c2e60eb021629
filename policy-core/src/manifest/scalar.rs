//! What a plain YAML scalar means: YAML 1.1 as Kubernetes' own reader resolves it.

use std::borrow::Cow;

use super::tree::Value;

/// Resolves an unquoted scalar without a tag.
pub(crate) fn resolve(text: Cow<'_, str>) -> Value<'_> {
    match text.as_bytes().first() {
        None => Value::Null,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(&text).unwrap_or(Value::Str(text)),
        Some(b'~' | b'n' | b'N' | b'y' | b'Y' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            word(&text).unwrap_or(Value::Str(text))
        }
        Some(_) => Value::Str(text),
    }
}

/// The words for null and the booleans.
pub(crate) fn word(text: &str) -> Option<Value<'static>> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        _ => None,
    }
}

/// A number, or `None`.
pub(crate) fn number(text: &str) -> Option<Value<'static>> {
    let plain: Cow<'_, str> = if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
    if let Some(value) = integer(&plain) {
        return Some(Value::Int(value));
    }
    let float = match plain.as_ref() {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY,
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY,
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        other if is_float(other) => other.parse().ok()?,
        _ => return None,
    };
    Some(whole(float).map_or(Value::Float(float), Value::Int))
}

/// A float without a fraction reads as a whole number: `1e3` is written as `1000` in JSON.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_kubernetes_reads_them() {
        let cases = [
            ("", Value::Null),
            ("~", Value::Null),
            ("Null", Value::Null),
            ("yes", Value::Bool(true)),
            ("On", Value::Bool(true)),
            ("y", Value::Bool(true)),
            ("OFF", Value::Bool(false)),
            ("80", Value::Int(80)),
            ("-1", Value::Int(-1)),
            ("+7", Value::Int(7)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("017", Value::Int(15)),
            ("0b11", Value::Int(3)),
            ("1_000", Value::Int(1000)),
            ("08", Value::Int(8)),
            ("1e3", Value::Int(1000)),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("18446744073709551615", Value::Float(18_446_744_073_709_551_615.0)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(Cow::Borrowed(text)), value, "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_string() {
        for text in [
            "2001-01-01",
            "1.2.3",
            "10.0.0.0/8",
            "0x",
            "1e",
            "-",
            "+",
            ".",
            "yEs",
            "nope",
            "::1",
            "12:30",
            "0xg",
            "1.e+",
            "0-1",
            "0+1",
            "e5",
        ] {
            assert_eq!(resolve(Cow::Borrowed(text)), Value::Str(Cow::Borrowed(text)));
        }
    }
}
