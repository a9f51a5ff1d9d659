//! Events in, a verdict out.

use horizon_model::Tick;

use crate::authority::Authority;
use crate::event::Event;
use crate::inputs::Inputs;
use crate::living::Living;
use crate::report::Report;
use crate::tokens::Tokens;
use crate::view::{ViewRules, Views};

/// One history while it is being read.
#[derive(Debug)]
pub struct History {
    authority: Authority,
    inputs: Inputs,
    tokens: Tokens,
    views: Views,
    living: Living,
    report: Report,
    now: Tick,
}

impl History {
    /// An empty history.
    pub fn new(rules: ViewRules) -> Self {
        Self {
            authority: Authority::default(),
            inputs: Inputs::default(),
            tokens: Tokens::default(),
            views: Views::new(rules),
            living: Living::default(),
            report: Report::default(),
            now: Tick(0),
        }
    }

    /// Reads one event, observed at grid tick `at`.
    pub fn observe(&mut self, at: Tick, event: &Event) {
        self.now = self.now.max(at);
        let report = &mut self.report;
        report.count(name(event));
        self.authority.observe(at, event, report);
        self.inputs.observe(at, event, report);
        self.tokens.observe(at, event, report);
        self.views.observe(at, event, report);
        self.living.observe(event);
    }

    /// Violations so far.
    pub fn violations(&self) -> u64 {
        self.report.total()
    }

    /// What was found so far.
    pub const fn so_far(&self) -> &Report {
        &self.report
    }

    /// The verdict. What must be true at the end is judged now: tokens, owners, ledgers that never reported.
    pub fn finish(mut self) -> Report {
        self.inputs.finish(self.now, &mut self.report);
        self.tokens.finish(self.now, &mut self.report);
        self.living.finish(self.now, &mut self.report);
        self.report
    }
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::Leased { .. } => "leased",
        Event::Recorded { .. } => "recorded",
        Event::Acted { .. } => "acted",
        Event::Ended { .. } => "ended",
        Event::Sent { .. } => "sent",
        Event::Durable { .. } => "durable",
        Event::Began { .. } => "began",
        Event::Reported { .. } => "reported",
        Event::Minted { .. } => "minted",
        Event::Found { .. } => "found",
        Event::Shown { .. } => "shown",
        Event::Resynced { .. } => "resynced",
        Event::Connected { .. } => "connected",
        Event::Joined { .. } => "joined",
        Event::Left { .. } => "left",
        Event::Owns { .. } => "owns",
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::report::Invariant;

    /// What a short history breaks, each invariant as often as it is broken.
    pub(crate) fn broken(events: &[Event]) -> Vec<Invariant> {
        let mut history = History::new(ViewRules::default());
        for (at, event) in events.iter().enumerate() {
            history.observe(Tick(at as u64), event);
        }
        history.finish().violations.into_iter().map(|violation| violation.invariant).collect()
    }
}
