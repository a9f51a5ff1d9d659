//! The recent past of one body: anchors, and what they say about a claim.

use horizon_plugin_api::{Component, TICKS_PER_SECOND, Tick};
use serde::{Deserialize, Serialize};

/// Least time between two anchors: 100 ms. Between them a claim costs no write.
const ANCHOR_TICKS: u64 = TICKS_PER_SECOND / 10;

/// Anchors kept; with 100 ms between them the oldest is at least half a second old.
const MAX_ANCHORS: usize = 7;

/// Shortest time that speed is averaged over: half a second.
const MIN_AVERAGE_TICKS: u64 = TICKS_PER_SECOND / 2;

/// Longest time that a silent body may have moved unseen: three seconds, the longest hiccup that a
/// crash may cause. Without this bound, standing still would save up for a jump.
const MAX_AVERAGE_TICKS: u64 = 3 * TICKS_PER_SECOND;

/// Furthest a client's clock may be from the region's: one second.
const MAX_SKEW_TICKS: u64 = TICKS_PER_SECOND;

/// An accepted place: tick and metres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Anchor(Tick, [f64; 3]);

/// Anchors, oldest first. Goes with the player, so a border gives nobody a second start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    anchors: Vec<Anchor>,
    /// When the player was last corrected.
    #[serde(default)]
    pub corrected: Option<Tick>,
}

impl Component for Window {
    const NAME: &'static str = "movement.window";
    const VERSION: u32 = 1;
}

/// What the past says about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go there; the window changed if it is anchored.
    Accepted {
        /// The claim became an anchor.
        anchored: bool,
    },
    /// Older than what is known: says nothing.
    Stale,
    /// Nobody moves like that, or the client's clock is far ahead.
    TooFast,
}

/// Whether a client's tick is within a second of the region's.
pub(crate) const fn is_near(now: Tick, tick: Tick) -> bool {
    tick.0.abs_diff(now.0) <= MAX_SKEW_TICKS
}

impl Window {
    /// A body that has just appeared.
    pub fn starting(tick: Tick, metres: [f64; 3]) -> Self {
        Self { anchors: vec![Anchor(tick, metres)], corrected: None }
    }

    /// Whether the newest anchor is older than the time between two.
    pub fn is_stale(&self, now: Tick) -> bool {
        self.anchors.last().is_none_or(|newest| now.saturating_since(newest.0) >= ANCHOR_TICKS)
    }

    /// Judges the claim to have been at `metres` at `tick`, and remembers it if it is accepted.
    pub fn judge(&mut self, now: Tick, tick: Tick, metres: [f64; 3], max_mps: f64) -> Verdict {
        let Some(Anchor(newest, _)) = self.anchors.last() else {
            *self = Self::starting(tick, metres);
            return Verdict::Accepted { anchored: true };
        };
        let since_newest = tick.saturating_since(*newest);
        if tick < *newest {
            return Verdict::Stale;
        }
        if tick.saturating_since(now) > MAX_SKEW_TICKS {
            return Verdict::TooFast;
        }
        let reachable = |anchor: &Anchor| {
            let ticks = tick.saturating_since(anchor.0).clamp(MIN_AVERAGE_TICKS, MAX_AVERAGE_TICKS);
            distance(anchor.1, metres) <= max_mps * ticks as f64 / TICKS_PER_SECOND as f64
        };
        if !self.anchors.iter().all(reachable) {
            return Verdict::TooFast;
        }
        let anchored = since_newest >= ANCHOR_TICKS;
        if anchored {
            if self.anchors.len() == MAX_ANCHORS {
                self.anchors.remove(0);
            }
            self.anchors.push(Anchor(tick, metres));
        }
        Verdict::Accepted { anchored }
    }
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}
