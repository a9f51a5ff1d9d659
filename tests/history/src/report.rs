//! What a history amounts to.

use std::collections::BTreeMap;
use std::fmt;

use horizon_model::Tick;
use serde::{Serialize, Serializer};

/// Violations that are told with a sentence; the rest is counted.
const MAX_SENTENCES: usize = 200;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: effects under one epoch come from the one process that won it.
    OneAuthority,
    /// I2: epochs rise.
    EpochsRise,
    /// I3: what was acknowledged as durable is in every later owner's state.
    DurableStays,
    /// I4: inputs are applied once and in order.
    OnceInOrder,
    /// I5: tokens are conserved, each is in one place.
    Conserved,
    /// I6: what a client sees goes forward, except after a crash that it was told of.
    ViewForward,
    /// I7: gaps between frames are bounded where nothing fails.
    GapBounded,
    /// I8: at the end everybody has one living owner.
    OneLivingOwner,
    /// I13: every handoff has one ending.
    OneEnding,
}

impl Invariant {
    /// Its number, as pages and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneAuthority => "I1",
            Self::EpochsRise => "I2",
            Self::DurableStays => "I3",
            Self::OnceInOrder => "I4",
            Self::Conserved => "I5",
            Self::ViewForward => "I6",
            Self::GapBounded => "I7",
            Self::OneLivingOwner => "I8",
            Self::OneEnding => "I13",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that must never happen, and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise.
    pub invariant: Invariant,
    /// What happened.
    pub sentence: String,
    /// Grid tick at which it was observed.
    #[serde(serialize_with = "tick_number")]
    pub at: Tick,
}

fn tick_number<S: Serializer>(tick: &Tick, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(tick.0)
}

/// The verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first of them, in words.
    pub violations: Vec<Violation>,
    /// How many there were, by invariant.
    pub by_invariant: BTreeMap<Invariant, u64>,
    /// Events by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// Missing ticks before a frame while nothing failed: how often, by number of ticks.
    pub gaps: BTreeMap<u64, u64>,
    /// The same while a fault was under way.
    pub excused_gaps: BTreeMap<u64, u64>,
}

impl Report {
    /// How many violations there were in all.
    pub fn total(&self) -> u64 {
        self.by_invariant.values().sum()
    }

    /// Missing ticks that `percent` of all frames stay at or below while nothing failed.
    pub fn gap_percentile(&self, percent: f64) -> u64 {
        percentile(&self.gaps, percent)
    }

    /// The same over frames with a fault under way too.
    pub fn stall_percentile(&self, percent: f64) -> u64 {
        let mut all = self.gaps.clone();
        for (gap, count) in &self.excused_gaps {
            *all.entry(*gap).or_default() += count;
        }
        percentile(&all, percent)
    }

    pub(crate) fn violated(&mut self, at: Tick, invariant: Invariant, sentence: String) {
        *self.by_invariant.entry(invariant).or_default() += 1;
        if self.violations.len() < MAX_SENTENCES {
            self.violations.push(Violation { invariant, sentence, at });
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

fn percentile(histogram: &BTreeMap<u64, u64>, percent: f64) -> u64 {
    let total: u64 = histogram.values().sum();
    let wanted = (total as f64 * percent / 100.0).ceil() as u64;
    let mut seen = 0;
    for (value, count) in histogram {
        seen += count;
        if seen >= wanted {
            return *value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_frames() {
        let report = Report {
            gaps: BTreeMap::from([(0, 98), (2, 1)]),
            excused_gaps: BTreeMap::from([(60, 1)]),
            ..Report::default()
        };
        assert_eq!((report.gap_percentile(98.0), report.gap_percentile(100.0)), (0, 2));
        assert_eq!((report.stall_percentile(99.0), report.stall_percentile(100.0)), (2, 60));
    }

    #[test]
    fn sentences_are_bounded_and_numbers_are_not() {
        let mut report = Report::default();
        for n in 0..1000 {
            report.violated(Tick(n), Invariant::Conserved, format!("{n}"));
        }
        assert_eq!((report.violations.len(), report.total()), (MAX_SENTENCES, 1000));
        let json = serde_json::to_value(&report).expect("plain data");
        assert_eq!(json["by_invariant"]["I5"], 1000);
    }
}
