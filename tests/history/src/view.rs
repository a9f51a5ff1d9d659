//! What clients are shown: forward only, and without a gap where nothing fails.

use std::collections::BTreeMap;

use horizon_model::{Epoch, PlayerId, Tick};

use crate::event::Event;
use crate::report::{Invariant, Report};

/// Gaps longer than this count as this long, in grid ticks: ten seconds.
const LONGEST: u64 = 600;

/// What a view is held to.
#[derive(Debug, Clone, Copy)]
pub struct ViewRules {
    /// Grid ticks between two frames of a client.
    pub step: u64,
    /// Missing ticks that are a violation where nothing excuses them, in grid ticks. `None` only counts.
    pub most_missing: Option<u64>,
}

impl Default for ViewRules {
    fn default() -> Self {
        Self { step: 2, most_missing: None }
    }
}

#[derive(Debug, Default)]
struct View {
    epoch: Epoch,
    tick: Tick,
    applied: u32,
    /// The next frame has nothing before it to be compared with.
    anew: bool,
    /// The next frame may go back.
    forgiven: bool,
}

#[derive(Debug)]
pub(crate) struct Views {
    rules: ViewRules,
    views: BTreeMap<PlayerId, View>,
}

impl Views {
    pub(crate) const fn new(rules: ViewRules) -> Self {
        Self { rules, views: BTreeMap::new() }
    }

    pub(crate) fn observe(&mut self, at: Tick, event: &Event, report: &mut Report) {
        match event {
            Event::Shown { player, epoch, tick, applied, excused } => {
                let fresh = || View { anew: true, ..View::default() };
                let view = self.views.entry(*player).or_insert_with(fresh);
                let back = *epoch < view.epoch || *tick <= view.tick || *applied < view.applied;
                if back && !view.forgiven {
                    let sentence = format!(
                        "{player} was shown epoch {epoch}, tick {tick}, input {applied} after epoch {}, tick {}, \
                         input {}",
                        view.epoch, view.tick, view.applied
                    );
                    report.violated(at, Invariant::ViewForward, sentence);
                }
                if !view.anew {
                    let missing =
                        tick.saturating_since(view.tick).saturating_sub(self.rules.step).min(LONGEST);
                    let gaps = if *excused { &mut report.excused_gaps } else { &mut report.gaps };
                    *gaps.entry(missing).or_default() += 1;
                    if !*excused && self.rules.most_missing.is_some_and(|most| missing > most) {
                        let sentence = format!("{player} was shown tick {tick} after {}", view.tick);
                        report.violated(at, Invariant::GapBounded, sentence);
                    }
                }
                *view = View { epoch: *epoch, tick: *tick, applied: *applied, anew: false, forgiven: false };
            }
            Event::Resynced { player, crashed } => {
                if let Some(view) = self.views.get_mut(player) {
                    view.anew = true;
                    view.forgiven = true;
                }
                if !crashed {
                    let sentence = format!("{player} was told to go back, and nothing had crashed");
                    report.violated(at, Invariant::ViewForward, sentence);
                }
            }
            Event::Connected { player, resumed } => {
                if let Some(view) = self.views.get_mut(player) {
                    view.anew = true;
                    if !resumed {
                        view.applied = 0;
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::history::testing::broken;

    const ADA: PlayerId = PlayerId(1);

    fn shown(epoch: u64, tick: u64, applied: u32) -> Event {
        let epoch = Epoch::new(1, epoch);
        Event::Shown { player: ADA, epoch, tick: Tick(tick), applied, excused: false }
    }

    #[test]
    fn views_go_forward() {
        use Invariant::ViewForward;
        let resync = |crashed| Event::Resynced { player: ADA, crashed };
        let connected = Event::Connected { player: ADA, resumed: true };
        let rows: [(&str, Vec<Event>, usize); 7] = [
            ("forward", vec![shown(1, 2, 0), shown(1, 4, 1), shown(2, 6, 1)], 0),
            ("a tick twice", vec![shown(1, 4, 0), shown(1, 4, 0)], 1),
            ("an older owner", vec![shown(2, 4, 0), shown(1, 6, 0)], 1),
            ("an input undone", vec![shown(1, 4, 3), shown(1, 6, 2)], 1),
            ("back after a crash", vec![shown(1, 8, 3), resync(true), shown(2, 6, 2), shown(2, 8, 2)], 0),
            ("back without one", vec![shown(1, 4, 3), resync(false), shown(2, 6, 3)], 1),
            ("back by another socket", vec![shown(1, 8, 3), connected, shown(1, 6, 3)], 1),
        ];
        for (name, events, wrong) in rows {
            assert_eq!(broken(&events), vec![ViewForward; wrong], "{name}");
        }
    }

    #[test]
    fn gaps_are_counted_apart_from_those_that_are_excused() {
        let rules = ViewRules { step: 2, most_missing: Some(2) };
        let mut history = History::new(rules);
        let late =
            Event::Shown { player: ADA, epoch: Epoch::new(1, 1), tick: Tick(40), applied: 0, excused: true };
        for event in [shown(1, 2, 0), shown(1, 4, 0), shown(1, 8, 0), late, shown(1, 52, 0)] {
            history.observe(Tick(0), &event);
        }
        let report = history.finish();
        assert_eq!(report.gaps, BTreeMap::from([(0, 1), (2, 1), (10, 1)]));
        assert_eq!(report.excused_gaps, BTreeMap::from([(30, 1)]));
        assert_eq!(report.by_invariant, BTreeMap::from([(Invariant::GapBounded, 1)]));
    }
}
