//! Whether the tick thread steps, as somebody beside it sees it.
//!
//! A plugin that does not return, a lock or a disk inside a step stops a region without stopping its process: links
//! stay and answer. Neighbours and edges notice by silence after half a second; here it is noticed within three steps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use horizon_model::RegionId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::Shared;
use super::event::Event;

/// Periods without the end of a step after which the thread counts as stalled.
const PATIENCE: u32 = 3;
/// Looks in a period.
const LOOKS: u32 = 4;

/// Steps that the tick thread has finished. It ends with the thread's last step.
#[derive(Debug, Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// A step has ended.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What follows from how many steps have ended. Before the first one nothing does: recovery takes its time.
#[derive(Debug, Default)]
struct Watch {
    steps: u64,
    waited: Duration,
    stalled: bool,
}

impl Watch {
    /// `steps` have ended, `gap` after the last look. Whether it is stalled now, where that has changed.
    ///
    /// Of a longer gap one period counts: whoever did not look himself knows nothing of it.
    fn look(&mut self, steps: u64, gap: Duration, period: Duration) -> Option<bool> {
        if steps == self.steps {
            self.waited += gap.min(period);
        } else {
            (self.steps, self.waited) = (steps, Duration::ZERO);
        }
        let stalled = steps > 0 && self.waited >= period * PATIENCE;
        let changed = stalled != self.stalled;
        self.stalled = stalled;
        changed.then_some(stalled)
    }
}

/// Watches a region's thread to its end.
pub(super) async fn watch(
    shared: Arc<Shared>,
    region: RegionId,
    period: Duration,
    pulse: Weak<Pulse>,
    events: mpsc::Sender<Event>,
) {
    let mut looks = interval(period / LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut watch, mut looked, mut since) = (Watch::default(), Instant::now(), Instant::now());
    loop {
        looks.tick().await;
        let gap = looked.elapsed();
        looked = Instant::now();
        let Some(steps) = pulse.upgrade().map(|pulse| pulse.0.load(Ordering::Relaxed)) else {
            shared.metrics.stalled.set(0);
            return;
        };
        let Some(stalled) = watch.look(steps, gap, period) else { continue };
        shared.metrics.stalled.set(i64::from(stalled));
        if stalled {
            since = Instant::now();
            shared.metrics.stalls.inc();
            let period_ms = period.as_millis();
            warn!(%region, steps, period_ms, "the region stands still: no step has ended for three periods");
        } else {
            let seconds = since.elapsed().as_secs_f64();
            info!(%region, seconds, "the region steps again");
        }
        if events.send(Event::Stalled(stalled)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(32);
    const LOOK: Duration = Duration::from_millis(8);

    /// Looks every quarter of a period while a thread steps at these milliseconds; what was said, and when.
    fn said(until: u64, steps_at: &[u64]) -> Vec<(u64, bool)> {
        let mut watch = Watch::default();
        let looks = (0..=until).step_by(8);
        let told = looks.filter_map(|at| {
            let steps = steps_at.iter().filter(|step| **step <= at).count() as u64;
            Some((at, watch.look(steps, LOOK, PERIOD)?))
        });
        told.collect()
    }

    #[test]
    fn a_thread_that_stands_still_is_noticed_within_three_periods() {
        let even: Vec<u64> = (0..10).map(|n| n * 32).collect();
        assert_eq!(said(320, &even), [], "every step in its time");
        let late: Vec<u64> = (0..10).map(|n| n * 95).collect();
        assert_eq!(said(800, &late), [], "late, and never by three periods");
        assert_eq!(said(400, &[0, 32]), [(128, true)], "three periods after the last step");
        assert_eq!(said(400, &[0, 32, 300, 332, 364]), [(128, true), (304, false)], "it steps again");
        assert_eq!(said(4_000, &[3_990]), [], "a region that recovers has not begun");
    }

    #[test]
    fn who_was_stopped_himself_says_nothing() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(1, LOOK, PERIOD), None);
        assert_eq!(watch.look(1, Duration::from_secs(9), PERIOD), None, "one period of it counts");
        assert_eq!(watch.look(1, PERIOD, PERIOD), None);
        assert_eq!(watch.look(1, PERIOD, PERIOD), Some(true));
    }
}
