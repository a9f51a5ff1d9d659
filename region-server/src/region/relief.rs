//! A region that is given to a successor with everybody in it.
//!
//! ```text
//!   asked ── nobody is on the way in or out ──▶ saving: the last tick is written whole, and time stands still
//!     ▲                                           │ durable: told, and silent. A successor recovers it
//!     └────── not durable in time ────────────────┘
//! ```
//!
//! What the successor finds is what it would find after a crash, but for nothing being lost: no tick was shown
//! that is not in the journal.

use horizon_model::Tick;
use tracing::info;

use super::{Output, Region};
use crate::plugin::{CoreEvent, RegionStoppingEvent};

/// Ticks for which crossings that are under way are waited for: a second.
const WAIT_TICKS: u64 = 60;
/// Ticks after which play goes on where the last one does not become durable.
const STAND_STILL_TICKS: u64 = 60;

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relief {
    /// From this tick on nobody new is let in or out.
    Asked(Tick),
    /// This tick is the last one, once it is durable.
    Saving(Tick),
}

impl Region {
    /// Write everything down as it is, for a successor, and give the region back.
    pub(super) fn relieve(&mut self) {
        if self.retiring.is_none() && self.relief.is_none() {
            let region = self.world.region;
            info!(%region, players = self.world.players.len(), "a successor is to go on");
            self.relief = Some(Relief::Asked(self.world.tick));
            self.host.core(&mut self.world, &CoreEvent::RegionStopping(RegionStoppingEvent { region }));
        }
    }

    /// Whether the region is about to be given back: nobody comes in or goes out any more.
    pub(super) const fn is_leaving(&self) -> bool {
        self.retiring.is_some() || self.relief.is_some()
    }

    /// Whether `tick` is not to happen here.
    pub(super) fn stands_still(&mut self, tick: Tick) -> bool {
        let Some(Relief::Saving(last)) = self.relief else { return false };
        if tick.saturating_since(last) <= STAND_STILL_TICKS {
            return true;
        }
        self.relief = Some(Relief::Asked(last));
        false
    }

    /// Makes this tick the last one, if it can be.
    pub(super) fn prepare_relief(&mut self, tick: Tick) {
        let Some(Relief::Asked(since)) = self.relief else { return };
        let busy = self.crossings.values().any(|crossing| crossing.source.is_frozen())
            || self.shadows.keys().any(|key| self.target.is_staged(*key))
            || !self.joins.is_empty()
            || !self.parking.is_empty();
        if (busy && tick.saturating_since(since) < WAIT_TICKS) || self.is_degraded() {
            return;
        }
        self.relief = Some(Relief::Saving(tick));
        self.flush = true;
        self.want_snapshot = true;
    }

    /// The last word, once the last tick is durable.
    pub(super) fn relieve_if_durable(&mut self) {
        if let Some(Relief::Saving(last)) = self.relief
            && self.durable >= last
            && !self.silent
        {
            self.silent = true;
            self.out.push(Output::Retired(self.world.region));
        }
    }
}
