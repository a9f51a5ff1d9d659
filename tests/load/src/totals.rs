//! The sum over all players: live counters for a status line, and the object of the last line.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use horizon_model::EntityId;
use serde::Serialize;
use tokio::sync::watch;

use crate::checker::{EventNumbers, Faults, Gap};
use crate::hiccup::{Fault, Hiccup, HiccupSummary, summarise};
use crate::ledger::Audit;
use crate::references::{Comparisons, References};
use crate::runner::Run;
use crate::steps::{Account, Steps, sum_up};

/// Gaps shown in a status line.
const LAST_GAPS: usize = 10;

/// What all bots have seen so far. Shared; every method takes a moment only.
#[derive(Debug)]
pub struct Totals {
    inner: Mutex<Inner>,
    references: References,
    faults: watch::Sender<Option<Fault>>,
    /// Nobody talks and pictures are not compared: for hundreds of players beside their servers.
    quiet: bool,
}

#[derive(Debug)]
struct Inner {
    present: u64,
    sum: Sums,
    crossing_gaps: Histogram<u64>,
    control_gaps: Histogram<u64>,
    last_gaps: VecDeque<u64>,
    hiccups: Vec<Hiccup>,
    runs: BTreeMap<EntityId, Run>,
    steps: Vec<Account>,
}

/// Everything that is simply added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Rises of the authority epoch seen by players.
    pub crossings: u64,
    /// Players that joined.
    pub players: u64,
    /// Attempts to join that came to nothing.
    pub refused: u64,
    /// Sockets lost against the player's will.
    pub disconnects: u64,
    /// Sessions that went on over a new socket.
    pub resumes: u64,
    /// Reliable inputs numbered.
    pub inputs_sent: u64,
    /// Sent and never applied.
    pub inputs_lost: u64,
    /// Applied more than once.
    pub inputs_duplicated: u64,
    /// Applied out of order or changed.
    pub inputs_reordered: u64,
    /// Sessions whose chain was compared at their end.
    pub audits: u64,
    /// Sessions that ended without the server's report.
    pub audits_missing: u64,
    /// Event numbers that never came.
    pub events_lost: u64,
    /// Event numbers that came again.
    pub events_duplicated: u64,
    /// Events delivered.
    pub events: u64,
    /// Objects that went and came.
    pub flickers: u64,
    /// Updates about objects that are not held.
    pub strays: u64,
    /// Respawns asked for.
    pub teleports: u64,
    /// Claims of movement that the server corrected.
    pub corrections: u64,
    /// Crashes announced to players.
    pub resyncs: u64,
    /// State frames.
    pub frames: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// The object of the last line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Everything that is added up.
    #[serde(flatten)]
    pub sums: Sums,
    /// Objects drawn elsewhere than their channels allow, counted ten times a second.
    pub astray: u64,
    /// Comparisons of which those are a part.
    pub compared: u64,
    /// 99th percentile of the distance in metres between what an observer draws of an avatar and what its
    /// owner draws, by channel of the observer.
    pub error_p99_m: [f64; 4],
    /// Median of the ticks without a frame at crossings.
    pub gap_ticks_p50: u64,
    /// 99th percentile of them.
    pub gap_ticks_p99: u64,
    /// The largest of them.
    pub gap_ticks_max: u64,
    /// 99th percentile of the same measure where nothing was crossed.
    pub gap_ticks_control_p99: u64,
    /// The largest of those.
    pub gap_ticks_control_max: u64,
    /// Ticks of runners that were missed or doubled.
    pub steps: Steps,
    /// What the faults that the bots were told of cost, one after the other.
    pub hiccups: Vec<HiccupSummary>,
    /// The same over all of them.
    pub all_hiccups: HiccupSummary,
}

/// One status line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Seconds since the start.
    pub seconds: u64,
    /// Players in the world now.
    pub players: u64,
    /// State frames in the last second, all players together.
    pub frames_per_s: u64,
    /// Crossings so far.
    pub crossings: u64,
    /// Sockets lost so far.
    pub disconnects: u64,
    /// Ticks without a frame at the latest crossings.
    pub last_gaps: Vec<u64>,
    /// Faults that the bots were told of.
    pub faults: u32,
    /// What the latest of them has cost so far.
    pub hiccup: Option<HiccupSummary>,
}

impl Default for Totals {
    fn default() -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        let inner = Inner {
            present: 0,
            sum: Sums::default(),
            crossing_gaps: histogram(),
            control_gaps: histogram(),
            last_gaps: VecDeque::new(),
            hiccups: Vec::new(),
            runs: BTreeMap::new(),
            steps: Vec::new(),
        };
        let (inner, references) = (Mutex::new(inner), References::default());
        Self { inner, references, faults: watch::Sender::new(None), quiet: false }
    }
}

impl Totals {
    /// What everybody draws, side by side.
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// The same for a fleet in which nobody talks and pictures are not compared.
    pub fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// Whether nobody talks and pictures are not compared.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Tells every bot of a fault.
    pub fn fault(&self, fault: Fault) {
        self.faults.send_replace(Some(fault));
    }

    /// Faults that are yet to come.
    pub fn faults(&self) -> watch::Receiver<Option<Fault>> {
        self.faults.subscribe()
    }

    /// What a fault cost one player, if it is over.
    pub fn hiccup(&self, hiccup: Option<Hiccup>) {
        if let Some(hiccup) = hiccup {
            self.lock().hiccups.push(hiccup);
        }
    }

    /// A runner's way is known from now on.
    pub fn runs(&self, runner: EntityId, run: Run) {
        self.lock().runs.insert(runner, run);
    }

    /// The ways of all runners.
    pub fn ways(&self) -> BTreeMap<EntityId, Run> {
        self.lock().runs.clone()
    }

    /// What one client saw of runners.
    pub fn stepped(&self, account: Account) {
        self.lock().steps.push(account);
    }

    /// A player is in the world.
    pub fn joined(&self) {
        let mut inner = self.lock();
        inner.present += 1;
        inner.sum.players += 1;
    }

    /// A player that had joined is gone.
    pub fn left(&self) {
        self.lock().present -= 1;
    }

    /// Changes plain counters.
    pub fn count(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.lock().sum);
    }

    /// One state frame, with the gap before it.
    pub fn frame(&self, bytes: usize, gap: Option<Gap>) {
        let mut inner = self.lock();
        inner.sum.frames += 1;
        inner.sum.bytes += bytes as u64;
        match gap {
            None => {}
            Some(Gap { ticks, crossing: false }) => inner.control_gaps.saturating_record(ticks),
            Some(Gap { ticks, crossing: true }) => {
                inner.sum.crossings += 1;
                inner.crossing_gaps.saturating_record(ticks);
                inner.last_gaps.push_back(ticks);
                if inner.last_gaps.len() > LAST_GAPS {
                    inner.last_gaps.pop_front();
                }
            }
        }
    }

    /// What a checker found in a whole session.
    pub fn session_ended(&self, faults: Faults, events: EventNumbers) {
        self.count(|sum| {
            sum.flickers += faults.flickers;
            sum.strays += faults.strays;
            sum.events_lost += events.lost;
            sum.events_duplicated += events.duplicated;
        });
    }

    /// The outcome of comparing chains; `None` where the report never came.
    pub fn audited(&self, audit: Option<Audit>) {
        self.count(|sum| match audit {
            Some(audit) => {
                sum.audits += 1;
                sum.inputs_lost += audit.lost;
                sum.inputs_duplicated += audit.duplicated;
                sum.inputs_reordered += audit.reordered;
            }
            None => sum.audits_missing += 1,
        });
    }

    /// A status line; `frames_before` are the frames of the one before and become those of this one.
    pub fn status(&self, seconds: u64, frames_before: &mut u64) -> Status {
        let inner = self.lock();
        let frames_per_s = inner.sum.frames - std::mem::replace(frames_before, inner.sum.frames);
        let fault = *self.faults.borrow();
        Status {
            seconds,
            players: inner.present,
            frames_per_s,
            crossings: inner.sum.crossings,
            disconnects: inner.sum.disconnects,
            last_gaps: inner.last_gaps.iter().copied().collect(),
            faults: fault.map_or(0, |fault| fault.number),
            hiccup: fault.map(|fault| of_fault(&inner.hiccups, fault.number)),
        }
    }

    /// The object of the last line.
    pub fn summary(&self) -> Summary {
        let Comparisons { compared, astray, error_p99_metres } = self.references.comparisons();
        let inner = self.lock();
        let (crossing, control) = (&inner.crossing_gaps, &inner.control_gaps);
        let faults = (*self.faults.borrow()).map_or(0, |fault| fault.number);
        Summary {
            sums: inner.sum,
            astray,
            compared,
            error_p99_m: error_p99_metres,
            gap_ticks_p50: crossing.value_at_quantile(0.5),
            gap_ticks_p99: crossing.value_at_quantile(0.99),
            gap_ticks_max: crossing.max(),
            gap_ticks_control_p99: control.value_at_quantile(0.99),
            gap_ticks_control_max: control.max(),
            steps: sum_up(&inner.steps),
            hiccups: (1..=faults).map(|number| of_fault(&inner.hiccups, number)).collect(),
            all_hiccups: summarise(inner.hiccups.iter()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_fault(hiccups: &[Hiccup], number: u32) -> HiccupSummary {
    summarise(hiccups.iter().filter(|hiccup| hiccup.fault == number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_every_key_and_adds_up() {
        let totals = Totals::default();
        totals.joined();
        totals.frame(100, None);
        totals.frame(50, Some(Gap { ticks: 0, crossing: false }));
        totals.frame(50, Some(Gap { ticks: 3, crossing: true }));
        totals.audited(Some(Audit { lost: 1, duplicated: 2, reordered: 3 }));
        totals.audited(None);
        let mut before = 0;
        assert_eq!(totals.status(1, &mut before).last_gaps, [3]);
        assert_eq!(before, 3);
        let text = serde_json::to_string(&totals.summary()).expect("plain numbers");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for (key, expected) in [
            ("crossings", 1),
            ("players", 1),
            ("disconnects", 0),
            ("inputs_sent", 0),
            ("inputs_lost", 1),
            ("inputs_duplicated", 2),
            ("inputs_reordered", 3),
            ("events_lost", 0),
            ("events_duplicated", 0),
            ("gap_ticks_p50", 3),
            ("gap_ticks_p99", 3),
            ("gap_ticks_max", 3),
            ("gap_ticks_control_p99", 0),
            ("astray", 0),
            ("compared", 0),
            ("flickers", 0),
            ("teleports", 0),
            ("resyncs", 0),
            ("frames", 3),
            ("bytes", 200),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
        assert_eq!(value["error_p99_m"], serde_json::json!([0.0, 0.0, 0.0, 0.0]));
    }
}
