//! Who crosses at the end of a step: entities by themselves, and groups as one.
//!
//! ```text
//!   place of its root ──▶ every member's machine: would you freeze now?
//!                           ├─ all would ──▶ frozen together, finals that name each other, one commit
//!                           └─ one would not ──▶ nobody is; all play on beyond the border
//! ```
//!
//! Whoever is on the way to a parent that another region owns counts as being in that region's cells.

use std::collections::BTreeSet;

use horizon_handoff::mutant::Mutant;
use horizon_handoff::source::{self, Near, StepEnd};
use horizon_model::{EntityId, HandoffId, RegionId, Tick};
use tracing::{error, trace};

use super::Region;
use super::report::is_moving;

/// What is the same for all entities of the region at the end of a step.
struct Stepped {
    tick: Tick,
    healthy: bool,
    /// The journal is up to date.
    current: bool,
    crowded: bool,
    neighbours: Vec<RegionId>,
    /// Entities that are frozen so far.
    frozen: usize,
}

/// Where an entity is, for a handoff.
#[derive(Clone, Copy)]
struct Place {
    owner: Option<RegionId>,
    beyond_metres: f64,
    near: Near,
}

impl Region {
    /// Takes what moves with something else there, and counts groups that were split: none.
    pub(super) fn place_children(&mut self) {
        let split = self.world.place_children();
        if split > 0 {
            error!(split, "members of a group act without what they are attached to; they are taken off");
            self.stats.groups_split += split;
        }
    }

    /// Tells every owner's machine that the step is complete.
    pub(super) fn step_handoffs(&mut self, tick: Tick) {
        let crossing = source::freeze_timeout(self.config.rate.step()) * 3;
        let certain = self.keeper.may_hand_over(self.now, crossing) || self.lacks(Mutant::CrossesDegraded);
        self.own_spawned_objects();
        let mut stepped = Stepped {
            tick,
            healthy: !self.is_leaving() && certain,
            current: self.durable >= self.last_recorded,
            crowded: self.waiting_to_cross() > source::CROWD,
            neighbours: self.linked_neighbours(),
            frozen: self.crossings.values().filter(|crossing| crossing.source.is_frozen()).count(),
        };
        let groups = self.world.groups();
        for members in &groups {
            self.step_group(members, &mut stepped);
        }
        let grouped: BTreeSet<EntityId> = groups.into_iter().flatten().collect();
        let alone: Vec<EntityId> =
            self.crossings.keys().copied().filter(|id| !grouped.contains(id)).collect();
        for id in alone {
            self.step_alone(id, &mut stepped);
        }
        self.run_timeouts();
    }

    fn step_alone(&mut self, id: EntityId, stepped: &mut Stepped) {
        let Some(place) = self.place(id, stepped) else { return };
        let Some(step) = self.step_end(id, place, stepped, 1) else { return };
        let stood = self.is_frozen(id);
        if let Some(crossing) = self.crossings.get_mut(&id).filter(|_| !stood) {
            crossing.group.clear();
        }
        self.feed_source(id, source::Input::StepEnd(step));
        stepped.frozen += usize::from(self.is_frozen(id) && !stood);
        let Some(crossing) = self.crossings.get(&id) else { return };
        if place.beyond_metres >= source::CROSSING_METRES && crossing.source.is_owner() {
            trace!(%id, place.beyond_metres, step.healthy, source = ?crossing.source, "waits beyond the border");
        }
    }

    /// All of a group are where its root is, and are frozen at one step or not at all.
    fn step_group(&mut self, members: &[EntityId], stepped: &mut Stepped) {
        let Some(place) = self.place(members[0], stepped) else { return };
        let steps: Vec<(EntityId, Option<StepEnd>)> =
            members.iter().map(|id| (*id, self.step_end(*id, place, stepped, members.len()))).collect();
        let would_freeze = |id: &EntityId, step: &StepEnd| {
            self.crossings.get(id).is_some_and(|crossing| crossing.source.would_freeze(self.now, step))
        };
        let all = steps.iter().all(|(id, step)| step.as_ref().is_some_and(|step| would_freeze(id, step)));
        let mut frozen: Vec<(EntityId, HandoffId)> = Vec::new();
        for (id, step) in steps {
            let Some(step) = step else { continue };
            let stood = self.is_frozen(id);
            self.feed_source(id, source::Input::StepEnd(StepEnd { held: !all, ..step }));
            if self.is_frozen(id)
                && !stood
                && let Some(crossing) = self.crossings.get(&id)
            {
                frozen.extend(crossing.source.attempts().map(|(_, handoff)| (id, handoff)));
            }
        }
        stepped.frozen += frozen.len();
        debug_assert!(frozen.len() == members.len() || !all, "what was foretold");
        // Without the guard some go and some stay: then each goes by itself.
        let together = frozen.len() == members.len();
        let attempts: Vec<HandoffId> = frozen.iter().map(|(_, handoff)| *handoff).collect();
        for (id, _) in frozen {
            if let Some(crossing) = self.crossings.get_mut(&id) {
                crossing.group = if together { attempts.clone() } else { Vec::new() };
            }
        }
    }

    fn is_frozen(&self, id: EntityId) -> bool {
        self.crossings.get(&id).is_some_and(|crossing| crossing.source.is_frozen())
    }

    /// Where an entity is to be handed over to, and where it could be soon. `None` for one that leaves the world.
    fn place(&self, id: EntityId, stepped: &Stepped) -> Option<Place> {
        let entity = self.world.entities.get(&id).filter(|entity| !entity.parked)?;
        if let Some(region) = self.world.way_to_parent(id) {
            let near = Near::NOBODY.with(region, 0.0);
            return Some(Place { owner: Some(region), beyond_metres: source::CROSSING_METRES, near });
        }
        let pose = entity.pose;
        // A player may start at any moment; an object at rest is moved by somebody, and then it moves.
        let near = if entity.player.is_some() || is_moving(&pose) {
            let neighbours = stepped.neighbours.iter().copied();
            Near::around(&self.world.map, self.world.region, neighbours, &pose.position)
        } else {
            Near::NOBODY
        };
        let owner = self.world.map.owner_of(&pose.position);
        Some(Place { owner, beyond_metres: self.world.beyond_metres(&pose), near })
    }

    /// What the machine of one of `count` that move together is told. `None` for one that leaves the world, or has
    /// to wait for its first record.
    fn step_end(&mut self, id: EntityId, place: Place, stepped: &Stepped, count: usize) -> Option<StepEnd> {
        let Place { owner, beyond_metres, near } = place;
        self.world.entities.get(&id).filter(|entity| !entity.parked)?;
        if (beyond_metres > 0.0 || !near.is_empty()) && !self.ensure_recorded(id) {
            return None;
        }
        Some(StepEnd {
            tick: stepped.tick,
            step_ticks: self.config.rate.step(),
            owner,
            beyond_metres,
            near,
            healthy: stepped.healthy && self.crossings.get(&id).is_some_and(|crossing| crossing.fits),
            swift: stepped.current && stepped.frozen + count <= source::MAX_FROZEN,
            crowded: stepped.crowded,
            held: false,
            fresh_handoff: self.nonces.fresh(),
        })
    }

    /// Entities that act here and stand where another region is to have them.
    fn waiting_to_cross(&self) -> usize {
        let entities = self.world.entities.values();
        let acting = entities.filter(|entity| !entity.frozen && !entity.parked);
        acting.filter(|entity| self.world.beyond_metres(&entity.pose) >= source::CROSSING_METRES).count()
    }
}
