//! Neighbours: what they may see of us, and the ghosts of what they own.

use gorc::{Anchor, Decoder, Enter, LeaveReason, NewObject, ObserverId, ObserverSpec, Update, Visitor};
use horizon_model::{CELL_METRES, Cell, EntityId, Epoch, Pose, Position, RegionId, Tick, WorkerId};
use horizon_protocol::link::{GhostBatch, Hull, Lane, Placement, RegionToEdge, RegionToRegion};
use tracing::{debug, warn};

use super::{Output, Region};
use crate::world::{Ghost, World};

/// How often a region says that it steps, in ticks: ten times a second.
const PULSE_TICKS: u64 = 6;
/// A ghost nobody speaks for is kept this long, in ticks: five seconds.
const ORPHAN_TICKS: u64 = 300;
/// How often a hull that changed is sent, in ticks: five times a second.
const HULL_TICKS: u64 = 12;
/// Neighbours hold every channel this much longer than the clients they serve: as far as a fast body
/// gets beyond the border until the hull that names it has arrived (25 m/s for two refreshes).
const MARGIN_METRES: f64 = 10.0;

/// The observer of a neighbour region; entity ids never reach this high.
pub(super) const fn observer_of(region: RegionId) -> ObserverId {
    ObserverId(u64::MAX - region.0 as u64)
}

/// The region of such an observer.
pub(super) fn region_of(observer: ObserverId) -> Option<RegionId> {
    u16::try_from(u64::MAX - observer.0).ok().map(RegionId)
}

impl Region {
    /// The placements changed.
    pub(super) fn place_neighbours(&mut self, placements: Vec<Placement>) {
        let news: std::collections::BTreeMap<RegionId, Placement> =
            placements.into_iter().map(|placement| (placement.region, placement)).collect();
        let own = self.world.region;
        if news.get(&own).is_some_and(|placement| placement.lease > self.lease.epoch) {
            self.supersede();
            return;
        }
        let lost: Vec<RegionId> = self
            .placements
            .values()
            .filter(|old| news.get(&old.region).is_none_or(|new| new.lease != old.lease))
            .map(|old| old.region)
            .filter(|region| *region != own)
            .collect();
        let gained: Vec<RegionId> = news
            .values()
            .filter(|new| self.placements.get(&new.region).is_none_or(|old| old.lease != new.lease))
            .map(|new| new.region)
            .filter(|region| *region != own)
            .collect();
        self.placements = news;
        for region in lost {
            self.neighbour_lost(region);
        }
        for region in gained {
            self.greet(region);
        }
    }

    /// A link to a worker came up: say what we want to see, and what is still unconfirmed.
    pub(super) fn worker_up(&mut self, worker: WorkerId) {
        self.workers.insert(worker);
        let regions: Vec<RegionId> = self.regions_of(worker);
        for region in regions {
            self.greet(region);
        }
    }

    pub(super) fn worker_down(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        for region in self.regions_of(worker) {
            self.neighbour_lost(region);
        }
    }

    fn regions_of(&self, worker: WorkerId) -> Vec<RegionId> {
        let own = self.world.region;
        self.placements
            .values()
            .filter(|placement| placement.worker == worker && placement.region != own)
            .map(|placement| placement.region)
            .collect()
    }

    fn greet(&mut self, region: RegionId) {
        let Some(worker) = self.worker_of(region) else {
            return;
        };
        if self.in_reach(region) {
            let hull = self.hull();
            self.out.push(Output::Worker(worker, Lane::Control, RegionToRegion::Observe(hull)));
        }
        self.resend_posts(region);
    }

    fn in_reach(&self, region: RegionId) -> bool {
        let reach = self.world.reach_metres() + MARGIN_METRES;
        self.world.map.neighbours_within(self.world.region, reach).contains(&region)
    }

    /// A neighbour says that it steps. One whose region went to somebody else is told so.
    pub(super) fn neighbour_steps(&mut self, worker: WorkerId, region: RegionId, lease: Epoch) {
        let Some(known) = self.placements.get(&region).map(|placement| placement.lease) else {
            return;
        };
        if lease == known {
            self.silence.hear(region);
        } else if lease < known {
            let news = RegionToRegion::Superseded { region, lease: known };
            self.out.push(Output::Worker(worker, Lane::Control, news));
        }
    }

    /// Says that this region steps, and who says nothing any more.
    pub(super) fn keep_watch(&mut self, tick: Tick) {
        let silent = self.silence.look(self.now);
        if tick.0 % PULSE_TICKS >= self.config.rate.step() {
            return;
        }
        let (region, lease) = (self.world.region, self.lease.epoch);
        self.tell_edges(&RegionToEdge::Alive { region, lease });
        for neighbour in self.world.map.neighbours_within(region, 0.0) {
            if let Some(worker) = self.worker_of(neighbour) {
                let alive = RegionToRegion::Alive { region, lease };
                self.out.push(Output::Worker(worker, Lane::Control, alive));
            }
        }
        for (region, _) in silent {
            if let Some(lease) = self.placements.get(&region).map(|placement| placement.lease) {
                self.tell_edges(&RegionToEdge::Silent { region, lease });
            }
        }
    }

    fn neighbour_lost(&mut self, region: RegionId) {
        self.silence.retain(|other| other != region);
        self.world.gorc.remove_observer(observer_of(region));
        self.observers.remove(&region);
        for ghost in self.world.ghosts.values_mut().filter(|ghost| ghost.origin == Some(region)) {
            // Its next holder will speak for it; until then it stands still.
            ghost.heard = ghost.heard.max(self.world.tick);
            ghost.confirmed = false;
        }
        self.handoff_peer_lost(region);
    }

    /// What this region must see: its cells, and whatever it owns beyond them.
    fn hull(&self) -> Hull {
        let (low, high) = self.world.map.bounds(self.world.region).expect("a served region is on the map");
        let cell = |metres: [f64; 2], past: i32| Cell {
            x: (metres[0] / CELL_METRES).round() as i32 - past,
            y: (metres[1] / CELL_METRES).round() as i32 - past,
            z: 0,
        };
        let beyond: Vec<Position> = self
            .world
            .entities
            .values()
            .filter(|entity| self.world.beyond_metres(&entity.pose) > 0.0)
            .map(|entity| entity.pose.position)
            .collect();
        Hull {
            region: self.world.region,
            lease: self.lease.epoch,
            low: cell(low, 0),
            high: cell(high, 1),
            beyond,
        }
    }

    /// Tells neighbours where the hull is while something stands beyond the border.
    pub(super) fn refresh_hull(&mut self) {
        if !self.world.tick.0.is_multiple_of(HULL_TICKS) {
            return;
        }
        let hull = self.hull();
        if hull.beyond.is_empty() && !self.hull_was_wide {
            return;
        }
        self.hull_was_wide = !hull.beyond.is_empty();
        let regions: Vec<RegionId> = self.placements.keys().copied().collect();
        for region in regions {
            if region != self.world.region
                && self.in_reach(region)
                && let Some(worker) = self.worker_of(region)
            {
                self.out.push(Output::Worker(worker, Lane::Control, RegionToRegion::Observe(hull.clone())));
            }
        }
    }

    /// A neighbour says what it wants to see.
    pub(super) fn observe(&mut self, worker: WorkerId, hull: Hull) {
        let anchor = Anchor::Hull { low: hull.low, high: hull.high, beyond: hull.beyond };
        let observer = observer_of(hull.region);
        let known = self.observers.get(&hull.region);
        if known == Some(&(worker, hull.lease)) {
            self.world.gorc.move_observer(observer, anchor);
            return;
        }
        if known.is_some_and(|(_, lease)| *lease > hull.lease) {
            return;
        }
        self.world.gorc.remove_observer(observer);
        self.world.gorc.add_observer(observer, ObserverSpec::region(anchor, MARGIN_METRES));
        self.world.gorc.reset_view(observer);
        self.observers.insert(hull.region, (worker, hull.lease));
    }

    /// Ghost frames were lost on the way: begin anew.
    pub(super) fn ghost_frames_lost(&mut self, worker: WorkerId) {
        for (region, (of, _)) in &self.observers {
            if *of == worker {
                self.world.gorc.reset_view(observer_of(*region));
            }
        }
    }

    /// One tick of a neighbour's ghosts.
    pub(super) fn take_ghosts(&mut self, batch: &GhostBatch) {
        let current = self.placements.get(&batch.region).is_some_and(|held| held.lease == batch.lease);
        if !current {
            debug!(region = %batch.region, lease = %batch.lease, "ghosts of another lease");
            return;
        }
        let now = self.world.tick;
        let mut visitor = GhostVisitor { world: &mut self.world, origin: batch.region, now, reset: false };
        let (lease, decoder) = self.readers.entry(batch.region).or_default();
        if *lease != batch.lease {
            (*lease, *decoder) = (batch.lease, Decoder::at_rate(self.config.world_rate));
        }
        if let Err(error) = decoder.decode(&batch.body, batch.tick, &mut visitor) {
            warn!(region = %batch.region, %error, "ghosts that cannot be read");
            return;
        }
        if visitor.reset {
            let gone: Vec<EntityId> = self
                .world
                .ghosts
                .iter()
                .filter(|(_, ghost)| ghost.origin == Some(batch.region) && !ghost.confirmed)
                .map(|(id, _)| *id)
                .collect();
            for id in gone {
                self.world.remove_ghost(id, LeaveReason::Gone);
            }
        }
    }

    /// Drops ghosts nobody has spoken for in a while.
    pub(super) fn expire_ghosts(&mut self) {
        let now = self.world.tick;
        let gone: Vec<EntityId> = self
            .world
            .ghosts
            .iter()
            .filter(|(_, ghost)| {
                let silent = now.saturating_since(ghost.heard) > ORPHAN_TICKS;
                let spoken_for = ghost
                    .origin
                    .is_some_and(|origin| ghost.confirmed && self.placements.contains_key(&origin));
                silent && !spoken_for
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.world.remove_ghost(id, LeaveReason::Gone);
        }
    }
}

/// Applies one neighbour's account to our ghosts. What we own ourselves is not touched.
struct GhostVisitor<'a> {
    world: &'a mut World,
    origin: RegionId,
    now: Tick,
    reset: bool,
}

impl Visitor for GhostVisitor<'_> {
    fn reset(&mut self) {
        self.reset = true;
        for ghost in self.world.ghosts.values_mut().filter(|ghost| ghost.origin == Some(self.origin)) {
            ghost.confirmed = false;
        }
    }

    fn enter(&mut self, enter: Enter<'_>) {
        if self.world.entities.contains_key(&enter.entity) {
            return;
        }
        let count = self.world.field_names(enter.type_id).len();
        let object = NewObject::ghost(&enter, count);
        if let Some(player) = enter.player {
            self.world.ghost_players.insert(player, enter.entity);
        }
        let ghost = Ghost {
            player: enter.player,
            origin: Some(self.origin),
            heard: self.now,
            pose: enter.pose,
            type_id: enter.type_id,
            fields: object.fields.clone(),
            confirmed: true,
        };
        self.world.gorc.spawn(object);
        self.world.ghosts.insert(enter.entity, ghost);
    }

    fn update(&mut self, update: Update<'_>) {
        let Some(ghost) = self.world.ghosts.get_mut(&update.entity) else {
            return;
        };
        ghost.heard = self.now;
        if ghost.origin.is_none() {
            ghost.origin = Some(self.origin);
        }
        let mut pose: Pose = ghost.pose;
        if let Some(position) = update.position {
            pose.position = position;
        }
        if let Some(velocity) = update.velocity {
            pose.velocity = velocity;
        }
        if let Some(yaw) = update.yaw {
            pose.yaw = yaw;
        }
        ghost.pose = pose;
        for (index, bytes) in update.fields {
            if let Some(field) = ghost.fields.get_mut(usize::from(*index)) {
                *field = Some(bytes.to_vec());
                self.world.gorc.set_field(update.entity, *index, bytes);
            }
        }
        if update.position.is_some() {
            self.world.gorc.sample(update.entity, update.tick, &pose, update.snap);
        }
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        let Some(ghost) = self.world.ghosts.get_mut(&entity) else {
            return;
        };
        if ghost.origin != Some(self.origin) {
            return;
        }
        match reason {
            // Its new region will speak for it.
            LeaveReason::Moved => {
                ghost.origin = None;
                ghost.heard = self.now;
            }
            LeaveReason::OutOfRange | LeaveReason::Gone | LeaveReason::Teleported => {
                self.world.remove_ghost(entity, reason);
            }
        }
    }
}
