//! One object in one observer's eyes: what it was told of it, and what it is owed.

use horizon_model::{EntityId, Tick};

use crate::candidate::Candidate;
use crate::interest::NONE;

/// One object in one observer's eyes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) entity: EntityId,
    /// Innermost channel of interest, or [`NONE`].
    pub(crate) level: u8,
    /// Innermost channel the receiver was told, or [`NONE`].
    pub(crate) told: u8,
    /// Newest source tick that the receiver was told.
    pub(crate) told_tick: Tick,
    /// Told by another region: the next samples are those after `told_tick`, of earlier steps too.
    pub(crate) adopted: bool,
    /// Revision up to which the fields of each channel were told.
    pub(crate) revisions: [u32; 4],
    /// Channels whose due ticks passed without credit while fields had changed.
    pub(crate) owed: u8,
    /// A sample not to be interpolated into was passed over.
    pub(crate) snap: bool,
    /// When the receiver was told first, if it was here.
    pub(crate) entered: Option<Tick>,
    /// Adopted and unknown here: when the receiver shall drop it.
    pub(crate) forget_at: Option<Tick>,
}

impl Row {
    pub(crate) fn new(entity: EntityId) -> Self {
        Self {
            entity,
            level: NONE,
            told: NONE,
            told_tick: Tick(0),
            adopted: false,
            revisions: [0; 4],
            owed: 0,
            snap: false,
            entered: None,
            forget_at: None,
        }
    }
}

impl Row {
    /// A step in which nothing can be told: remembers what is owed.
    pub(crate) fn pass_over(&mut self, seen: &Candidate<'_>) {
        if self.told == NONE {
            return;
        }
        let pending = &seen.object.pending;
        let due = if pending.is_empty() {
            seen.idle_due
        } else {
            pending.iter().fold(0, |mask, sample| mask | sample.due)
        };
        for channel in (0..4).filter(|c| due & 1 << c != 0) {
            if seen.object.changed()[channel] > self.revisions[channel] {
                self.owed |= 1 << channel;
            }
        }
        self.snap |= pending.iter().any(|sample| sample.snap);
    }

    /// The fields of `channels` that changed since they were told, which they now are.
    pub(crate) fn take_changed(&mut self, seen: &Candidate<'_>, channels: u8) -> u32 {
        let mut mask = 0;
        for channel in (0..4).filter(|c| channels & 1 << c != 0) {
            let newest = seen.object.changed()[channel];
            if newest > self.revisions[channel] {
                mask |= seen.object.newer(seen.kind.fields[channel], self.revisions[channel]);
                self.revisions[channel] = newest;
            }
        }
        mask
    }
}
