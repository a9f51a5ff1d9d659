//! Small pieces of JSON text.

use std::fmt::{Display, Write};

/// Appends a JSON string.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

/// Appends a number in its shortest form; what JSON cannot say becomes 0.
pub(super) fn number<T: Display + Copy + Into<f64>>(value: T, out: &mut String) {
    if value.into().is_finite() {
        write!(out, "{value}").expect("writing to a string cannot fail");
    } else {
        out.push('0');
    }
}

/// Appends a list of numbers.
pub(super) fn numbers<T: Display + Copy + Into<f64>>(values: &[T], out: &mut String) {
    list(values, out, |value, out| number(*value, out));
}

/// Appends a list, each item written by `put`.
pub(super) fn list<T>(items: &[T], out: &mut String, mut put: impl FnMut(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(item, out);
    }
    out.push(']');
}

/// Appends bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
    }
}

/// Reads what [`hex`] wrote; `None` for anything else.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
