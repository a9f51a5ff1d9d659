//! Links between regions, which may lose plugins' messages or bring them twice.

use horizon_model::{RegionId, WorkerId};
use horizon_protocol::link::{Placement, RegionToRegion};
use horizon_region_server::region::Input;

use super::{Happening, Harness, Running};

impl Harness {
    /// All regions do without a guard from here on.
    #[cfg(feature = "faults")]
    pub(crate) fn break_guard(&mut self, guard: horizon_handoff::mutant::Mutant) {
        self.running.values_mut().for_each(|held| held.region.break_guard(guard));
    }

    /// Messages that are on their way or wait, in words.
    pub(crate) fn undelivered(&self) -> Vec<String> {
        let of = |(id, held): (&RegionId, &Running)| {
            let told: Vec<_> =
                held.region.undelivered().into_iter().map(|words| format!("{id}: {words}")).collect();
            told
        };
        self.running.iter().flat_map(of).collect()
    }

    pub(super) fn send_worker(
        &mut self,
        from: RegionId,
        worker: WorkerId,
        kind: u8,
        message: &RegionToRegion,
    ) {
        let to = self.running.values().find(|held| held.placement.worker == worker);
        let Some(Placement { region, lease, .. }) = to.map(|held| held.placement.clone()) else { return };
        let sender = self.running[&from].placement.worker;
        let posts = matches!(message, RegionToRegion::Post(_) | RegionToRegion::PostAck { .. });
        let times =
            if posts && self.rough_posts { [0, 1, 1, 1, 2, 2][self.dice.below(6) as usize] } else { 1 };
        for _ in 0..times {
            let at = self.lane(kind, from.0, region.0, self.delays.link);
            let input = Input::Worker(sender, Box::new(message.clone()));
            self.plan(at, Happening::ToRegion(region, lease, input));
        }
    }
}
