//! What a region tells its edges about itself: bodies near a border, and the whole at a glance.

use horizon_model::{EdgeId, Pose, RegionId, Tick};
use horizon_protocol::link::{
    Band, BandEntry, EntityKey, Lane, Placement, RegionToEdge, Summary, TrackedEntity,
};

use super::{Output, Region};

/// Bodies this near to another region, in metres, are reported every step for prediction.
const BAND_METRES: f64 = 60.0;
/// A summary every fifth of a second, in ticks.
const SUMMARY_TICKS: u64 = 12;
/// An object slower than this is at rest, in metres per second.
const REST_SPEED: f32 = 0.05;

/// Counters of one region.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Work time of recent steps in microseconds, median and 99th percentile; set by the shell.
    pub step_us: [u32; 2],
    /// Steps that began or ended late; set by the shell.
    pub overruns: u64,
    /// State frames made.
    pub frames: u64,
    /// Bytes in them.
    pub frame_bytes: u64,
    /// Entities that arrived by handoff.
    pub arrivals: u64,
    /// Members of groups that acted here without what they are attached to. A group is never split, so none.
    pub groups_split: u64,
    /// Bytes of names and parts in pre-sync.
    pub presync_bytes: u64,
    /// Players who joined here.
    pub joins: u64,
    /// What replication sent, to clients and neighbours.
    pub told: gorc::Stats,
    /// How much less is told because steps take too long, 0 to [`gorc::MAX_LEVEL`].
    pub load_level: u8,
}

impl Region {
    /// A step worked for `share` of its period. Where that is too long less is told, the outer channels
    /// first, until it is not any more.
    pub fn adapt(&mut self, share: f32) {
        let level = self.load.observe(share);
        if level != self.stats.load_level {
            self.stats.load_level = level;
            self.world.gorc.set_load(level);
        }
        self.stats.told = self.world.gorc.take_stats();
    }

    /// Whether the lease is not certain any more: the region plays on, and nothing becomes durable.
    pub fn is_degraded(&self) -> bool {
        !self.keeper.may_acknowledge(self.now)
    }

    /// How far beyond the region's cells the furthest of its own is.
    fn overhang_metres(&self) -> f32 {
        let beyond = self.world.entities.values().map(|entity| self.world.beyond_metres(&entity.pose));
        beyond.fold(0.0, f64::max) as f32
    }

    /// Sends this step's reports.
    pub(super) fn report(&mut self, tick: Tick) {
        self.report_band(tick);
        if tick.0 % SUMMARY_TICKS < self.config.rate.step() {
            self.report_summary(tick);
        }
    }

    fn report_band(&mut self, tick: Tick) {
        let region = self.world.region;
        let neighbours: Vec<RegionId> = self.world.map.neighbours_within(region, 0.0);
        let near: Vec<(Option<EdgeId>, BandEntry)> = self
            .world
            .entities
            .values()
            .filter(|entity| !entity.frozen)
            .filter(|entity| {
                neighbours
                    .iter()
                    .any(|other| self.world.map.distance(*other, &entity.pose.position) <= BAND_METRES)
                    || self.world.beyond_metres(&entity.pose) > 0.0
            })
            .map(|entity| {
                let edge = entity.player.as_ref().map(|player| player.session.edge);
                (edge, BandEntry { key: entity.key, pose: entity.pose })
            })
            .collect();
        for edge in &self.edges {
            let entries: Vec<BandEntry> = near
                .iter()
                .filter(|(of, _)| of.is_none_or(|of| of == *edge))
                .map(|(_, entry)| entry.clone())
                .collect();
            if !entries.is_empty() {
                let band = Band { tick, region, entries };
                self.out.push(Output::Edge(*edge, Lane::Control, RegionToEdge::Band(band)));
            }
        }
    }

    fn report_summary(&mut self, tick: Tick) {
        let entities: Vec<TrackedEntity> = self
            .world
            .entities
            .values()
            .map(|entity| TrackedEntity {
                key: entity.key,
                entity: entity.id,
                at: entity.pose.position.metres().map(|metres| metres as f32),
            })
            .collect();
        let moving = self
            .world
            .entities
            .values()
            .any(|entity| matches!(entity.key, EntityKey::Object(_)) && is_moving(&entity.pose));
        let idle = self.world.players.is_empty()
            && self.joins.is_empty()
            && self.waiting_opens.is_empty()
            && self.target.copies() == 0
            && !self.crossings.values().any(|crossing| crossing.source.is_frozen())
            && !moving;
        let sessions = self
            .world
            .entities
            .values()
            .filter(|entity| entity.player.as_ref().is_some_and(|player| player.connected))
            .count();
        let placement = self.placements.get(&self.world.region).cloned().unwrap_or_else(|| Placement {
            region: self.world.region,
            worker: self.lease.worker,
            lease: self.lease.epoch,
            endpoint: String::new(),
        });
        let summary = Summary {
            tick,
            placement,
            rate_hz: self.config.rate.hz() as u32,
            step_us: self.stats.step_us,
            overruns: self.stats.overruns,
            sessions: sessions as u32,
            entities,
            handoffs: std::mem::take(&mut self.reports),
            idle,
            degraded: self.is_degraded(),
            presync_bytes: self.stats.presync_bytes,
            load_level: self.stats.load_level,
            overhang_m: self.overhang_metres(),
        };
        self.tell_edges(&RegionToEdge::Summary(Box::new(summary)));
    }
}

/// Whether a body is not at rest.
pub(super) fn is_moving(pose: &Pose) -> bool {
    pose.velocity.iter().any(|speed| speed.abs() > REST_SPEED)
}
