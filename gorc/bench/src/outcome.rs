//! What was found out about a scene, as JSON and as a table.

use serde_json::{Map, Value, json};

/// Bytes around a body on the wire.
pub mod wire {
    /// A state frame's own header without epoch and progress: kind, flags, and sixteen bits of the tick.
    pub const FRAME: u64 = 4;
    /// A TLS 1.3 record: header, content type, tag.
    pub const TLS: u64 = 22;
    /// IPv4, and TCP with timestamps, as operating systems send it today.
    pub const IP_TCP: u64 = 52;

    /// All bytes of a frame with this body, which travels by itself.
    pub const fn bytes(body: u64) -> u64 {
        let message = FRAME + body;
        let websocket = if message < 126 { 2 } else { 4 };
        IP_TCP + TLS + websocket + message
    }
}

/// One row of the result.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Its scene.
    pub scene: String,
    /// Instructions of the index.
    pub isa: &'static str,
    /// Observers.
    pub players: usize,
    /// Objects.
    pub objects: usize,
    /// Steps per second.
    pub hz: u64,
    /// Processor time of a step in milliseconds.
    pub cpu_ms_per_tick_p50: Option<f64>,
    /// The same, of the hundredth slowest.
    pub cpu_ms_per_tick_p99: Option<f64>,
    /// Mean processor time of a step by observers, in microseconds.
    pub us_per_player_tick: Option<f64>,
    /// Bytes of bodies.
    pub payload_bytes_per_client_s: Option<f64>,
    /// Bytes with all headers.
    pub wire_bytes_per_client_s: Option<f64>,
    /// Bytes of bodies by updates.
    pub bytes_per_update: Option<f64>,
    /// What telling costs beyond knowing who is interested, by updates.
    pub encode_ns_per_update: Option<f64>,
    /// One question to the index, of everything within the outermost radius.
    pub query_ns: Option<f64>,
    /// Drawn position against the source, of what is near.
    pub error_near_p99_m: Option<f64>,
    /// The same, of what is far.
    pub error_far_p99_m: Option<f64>,
    /// The longest that a picture was beyond its bound, or something in reach not held.
    pub oldest_update_s_max: Option<f64>,
    /// In a step.
    pub allocations_per_tick: Option<f64>,
    /// What only this scene has to tell.
    pub more: Map<String, Value>,
}

impl Outcome {
    /// With one more figure.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// As an object; what does not apply is null.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "scene": self.scene,
            "isa": self.isa,
            "players": self.players,
            "objects": self.objects,
            "hz": self.hz,
            "cpu_ms_per_tick_p50": rounded(self.cpu_ms_per_tick_p50, 4),
            "cpu_ms_per_tick_p99": rounded(self.cpu_ms_per_tick_p99, 4),
            "us_per_player_tick": rounded(self.us_per_player_tick, 4),
            "payload_bytes_per_client_s": rounded(self.payload_bytes_per_client_s, 1),
            "wire_bytes_per_client_s": rounded(self.wire_bytes_per_client_s, 1),
            "bytes_per_update": rounded(self.bytes_per_update, 2),
            "encode_ns_per_update": rounded(self.encode_ns_per_update, 2),
            "query_ns": rounded(self.query_ns, 1),
            "error_near_p99_m": rounded(self.error_near_p99_m, 3),
            "error_far_p99_m": rounded(self.error_far_p99_m, 3),
            "oldest_update_s_max": rounded(self.oldest_update_s_max, 3),
            "allocations_per_tick": rounded(self.allocations_per_tick, 3),
        });
        for (key, more) in &self.more {
            value[key] = more.clone();
        }
        value
    }
}

/// `value` with so many digits behind the point.
pub fn rounded(value: Option<f64>, digits: i32) -> Option<f64> {
    let scale = 10_f64.powi(digits);
    value.filter(|value| value.is_finite()).map(|value| (value * scale).round() / scale)
}

const COLUMNS: [(&str, &str); 16] = [
    ("scene", "scene"),
    ("isa", "isa"),
    ("players", "players"),
    ("objects", "objects"),
    ("cpu_ms_per_tick_p50", "ms/tick"),
    ("cpu_ms_per_tick_p99", "p99"),
    ("us_per_player_tick", "us/pl"),
    ("payload_bytes_per_client_s", "B/s body"),
    ("wire_bytes_per_client_s", "B/s wire"),
    ("bytes_per_update", "B/upd"),
    ("encode_ns_per_update", "enc ns"),
    ("query_ns", "query ns"),
    ("error_near_p99_m", "near m"),
    ("error_far_p99_m", "far m"),
    ("oldest_update_s_max", "untold s"),
    ("allocations_per_tick", "allocs"),
];

/// A table for people, with what single scenes have to tell below it.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![COLUMNS.map(|(_, title)| title.to_owned())];
    let rest: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
    rows.extend(rest.iter().map(|row| COLUMNS.map(|(key, _)| cell(&row[key]))));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let cell = if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&format!("{gap}{cell}"));
        }
        text.push('\n');
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.more.is_empty()) {
        let more: Vec<String> =
            outcome.more.iter().map(|(key, value)| format!("{key} {}", cell(value))).collect();
        text.push_str(&format!("{} ({}): {}\n", outcome.scene, outcome.isa, more.join(", ")));
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_and_what_does_not_apply_is_null() {
        let outcome =
            Outcome { scene: "x".into(), query_ns: Some(12.34), ..Outcome::default() }.with("more", 1);
        let value = outcome.json();
        assert_eq!((&value["query_ns"], &value["more"]), (&json!(12.3), &json!(1)));
        assert_eq!(value["error_far_p99_m"], Value::Null);
        assert_eq!(value.as_object().map(Map::len), Some(18));
        assert!(COLUMNS.iter().all(|(key, _)| value.get(key).is_some()));
        assert!(table(&[outcome]).contains("x (): more 1"));
    }

    #[test]
    fn headers_on_the_wire() {
        assert_eq!(wire::bytes(0), 80);
        assert_eq!(wire::bytes(121), 201);
        assert_eq!(wire::bytes(122), 204);
    }
}
