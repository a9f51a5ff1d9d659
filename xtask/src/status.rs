//! What a running world is told about, in one line and as it happens.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use serde_json::Value;

/// Without a terminal, one line in so many seconds: a log should stay readable.
const PLAIN_EVERY: u64 = 5;

/// Shows lines; on a terminal the status line is written over.
#[derive(Debug)]
pub(crate) struct Display {
    terminal: bool,
    shown: u64,
    /// Who serves each region, as it was last told.
    regions: BTreeMap<String, Option<String>>,
}

impl Default for Display {
    fn default() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), shown: 0, regions: BTreeMap::new() }
    }
}

impl Display {
    /// Something that happened, on a line of its own.
    pub(crate) fn event(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        // A terminal that is gone is no reason to leave a world running without its keeper.
        let _ = writeln!(out, "{clear}{text}").and_then(|()| out.flush());
    }

    /// One second later: the world as atlas and the bots see it.
    pub(crate) fn status(&mut self, world: &Value, bots: &Value) {
        for text in self.changes(world) {
            self.event(&text);
        }
        self.shown += 1;
        let line = line(world, bots);
        if self.terminal {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        } else if self.shown.is_multiple_of(PLAIN_EVERY) {
            self.event(&line);
        }
    }

    /// Regions that came, went or have another region server since the last time.
    fn changes(&mut self, world: &Value) -> Vec<String> {
        let mut told = Vec::new();
        for region in world["regions"].as_array().into_iter().flatten() {
            let (Some(id), Some(state)) = (region["region"].as_str(), region["state"].as_str()) else {
                continue;
            };
            let serving = region["worker"].as_str().filter(|_| state == "serving").map(str::to_owned);
            let before = self.regions.insert(id.to_owned(), serving.clone()).flatten();
            match (before, serving) {
                (before, Some(now)) if before.as_ref() != Some(&now) => {
                    told.push(format!("  region {id} is served by {now}"));
                }
                (Some(_), None) => told.push(format!("  region {id} is {state}")),
                _ => {}
            }
        }
        told
    }
}

/// `8 players · 4 of 4 regions · 1.8 crossings/s · last gaps 0 0 1 ticks`.
fn line(world: &Value, bots: &Value) -> String {
    if world.is_null() {
        return "atlas does not answer".to_owned();
    }
    let regions = world["regions"].as_array().map_or(&[][..], Vec::as_slice);
    let serving = regions.iter().filter(|region| region["state"] == "serving").count();
    let mut text = format!(
        "{} players · {serving} of {} regions · {:.1} crossings/s, {} in all",
        world["sessions"],
        regions.len(),
        world["crossings_per_second"].as_f64().unwrap_or(0.0),
        world["crossings_total"],
    );
    let gaps = bots["last_gaps"].as_array().map_or(&[][..], Vec::as_slice);
    if !gaps.is_empty() {
        let gaps: Vec<_> = gaps.iter().map(ToString::to_string).collect();
        text += &format!(" · last gaps {} ticks", gaps.join(" "));
    }
    if bots["disconnects"].as_u64().is_some_and(|lost| lost > 0) {
        text += &format!(" · {} disconnects", bots["disconnects"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_and_changes() {
        let served = |state: &str, worker: &str| {
            json!({
                "sessions": 8, "crossings_per_second": 1.75, "crossings_total": 40,
                "regions": [{ "region": "0000", "state": state, "worker": worker }, { "region": "0001", "state": "unplaced" }],
            })
        };
        let world = |state: &str| served(state, "ab");
        let bots = json!({ "last_gaps": [0, 1], "disconnects": 0 });
        assert_eq!(
            line(&world("serving"), &bots),
            "8 players · 1 of 2 regions · 1.8 crossings/s, 40 in all · last gaps 0 1 ticks"
        );
        assert_eq!(line(&Value::Null, &bots), "atlas does not answer");
        let mut display = Display::default();
        assert_eq!(display.changes(&world("placing")), Vec::<String>::new());
        assert_eq!(display.changes(&world("serving")), ["  region 0000 is served by ab"]);
        assert_eq!(display.changes(&world("serving")), Vec::<String>::new());
        assert_eq!(display.changes(&served("serving", "cd")), ["  region 0000 is served by cd"]);
        assert_eq!(display.changes(&world("retiring")), ["  region 0000 is retiring"]);
    }
}
