//! What the director decided: one line of the log each, a count, and the last ones for whoever asks.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::director::{Decision, Input, Output};
use crate::edge::Edge;

/// Decisions in the status.
const SHOWN: usize = 64;

/// The last decisions, and those that a director without power has said it would take.
#[derive(Debug, Default)]
pub struct Decisions {
    last: VecDeque<Value>,
    said: Vec<Output>,
}

impl Decisions {
    /// Logs and counts one. `cause`: the input after which it was taken, where that is a rare one; `spared`: it is
    /// not done.
    pub fn note(&mut self, edge: &Edge, decision: &Decision, cause: Option<&Input>, spared: bool) {
        let Decision { output, because } = decision;
        if matches!(output, Output::Announce(_)) {
            return;
        }
        tracing::info!(decision = ?output, ?because, ?cause, dry_run = spared, "director");
        edge.figures.decided(output.name());
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(json!({
            "uptime_seconds": edge.uptime().as_secs_f64(),
            "decision": output.name(),
            "what": format!("{output:?}"),
            "because": format!("{because:?}"),
            "dry_run": spared,
        }));
    }

    /// Notes what would be decided now, as far as it was not said before: until somebody does it, or it is not
    /// wanted any more, it would be decided at every look.
    pub fn would(&mut self, edge: &Edge, decisions: Vec<Decision>, cause: Option<&Input>) {
        let mut before = std::mem::take(&mut self.said);
        for decision in decisions {
            match before.iter().position(|output| *output == decision.output) {
                Some(place) => {
                    before.swap_remove(place);
                }
                None => self.note(edge, &decision, cause, true),
            }
            self.said.push(decision.output);
        }
    }

    /// The last ones, oldest first.
    pub fn last(&self) -> Value {
        self.last.iter().cloned().collect()
    }
}
