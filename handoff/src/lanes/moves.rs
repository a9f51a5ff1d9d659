//! The movement lane: a jitter buffer of samples by tick.

use horizon_model::Tick;
use horizon_protocol::client::MoveSample;
use rkyv::{Archive, Deserialize, Serialize};

use super::capsule_part;

/// Samples kept: more than a second at 60 per second. The oldest are forgotten first; latest wins.
pub const MAX_MOVE_SAMPLES: usize = 64;

/// Samples that wait for the step of their tick.
///
/// Invariant: sorted by tick, each tick once, all later than the last one taken. [`Self::take`] is
/// called once per simulated step, so a region that catches up after a handoff gives each step the
/// newest sample of its own time, and a backlog is spread over steps instead of applied in one.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct MoveBuffer {
    taken: Option<Tick>,
    samples: Vec<MoveSample>,
}

impl MoveBuffer {
    /// Without any sample.
    pub const fn new() -> Self {
        Self { taken: None, samples: Vec::new() }
    }

    /// Samples that wait.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Keeps one sample. A tick that is there already, or is not after the last one taken, changes
    /// nothing: movement is sent redundantly.
    pub fn insert(&mut self, sample: MoveSample) {
        if self.taken.is_some_and(|taken| sample.tick <= taken) {
            return;
        }
        let Err(at) = self.samples.binary_search_by_key(&sample.tick, |kept| kept.tick) else { return };
        self.samples.insert(at, sample);
        if self.samples.len() > MAX_MOVE_SAMPLES {
            self.samples.remove(0);
        }
    }

    /// The newest sample at or before `now`, if one came since the last call; older ones are passed
    /// over.
    pub fn take(&mut self, now: Tick) -> Option<MoveSample> {
        let upto = self.samples.partition_point(|sample| sample.tick <= now);
        let sample = self.samples.drain(..upto).next_back()?;
        self.taken = Some(sample.tick);
        Some(sample)
    }
}

capsule_part!(MoveBuffer, "horizon.moves");
