//! The objects and observers of one region, and the step that tells the one of the other.

use horizon_model::{EntityId, ObjectSchema, ObjectTypeId, PlayerId, Pose, Tick, TickRate};

use crate::attention::Cone;
use crate::glance::{Scene, Tools};
use crate::grid::{Grid, Isa, Limits};
use crate::ids::Ids;
use crate::interest::{Anchor, LEVELS, NONE, band};
use crate::load::{MAX_LEVEL, RELIEF, body_every};
use crate::object::NewObject;
use crate::objects::Objects;
use crate::observer::{Observer, ObserverId, ObserverSpec, Ours};
use crate::registry::{Profile, Registry};
use crate::stats::Stats;
use crate::track::Clock;
use crate::view::View;
use crate::wire::LeaveReason;

/// Edge of a cell of the index in metres: half the radius of the inner channel.
const CELL_METRES: f32 = 25.0;
/// Steps after which observers are ordered anew.
const ROUND_STEPS: i64 = 64;

/// Objects, observers, and what each observer has been told.
#[derive(Debug)]
pub struct Gorc {
    registry: Registry,
    objects: Objects,
    grids: Vec<Grid>,
    limits: Vec<Limits>,
    observers: Vec<Option<Observer>>,
    /// Memory for the next order of them.
    spare: Vec<Option<Observer>>,
    places: Ids,
    /// Places of observers, in order of their ids.
    order: Vec<(ObserverId, u32)>,
    /// The same, neighbours after each other: what one looked at is warm for the next.
    rounds: Vec<(u64, ObserverId, u32)>,
    /// Step at which `rounds` was ordered; `None` where observers came or went.
    ordered: Option<i64>,
    clock: Clock,
    /// Steps from one body of a client to the next.
    body_every: u64,
    isa: Isa,
    tools: Tools,
}

impl Gorc {
    /// An empty world that steps at `rate`. `players` is object type 0.
    pub fn new(rate: TickRate, players: ObjectSchema) -> Self {
        Self::within(rate, rate, players)
    }

    /// An empty region that steps at `rate` in a world of `world` steps a second, of which `rate` is a
    /// multiple: clients and neighbours read it as any other region of that world.
    pub fn within(world: TickRate, rate: TickRate, players: ObjectSchema) -> Self {
        let mut gorc = Self {
            registry: Registry::new(world, rate, players),
            objects: Objects::new(),
            grids: Vec::new(),
            limits: Vec::new(),
            observers: Vec::new(),
            spare: Vec::new(),
            places: Ids::default(),
            order: Vec::new(),
            rounds: Vec::new(),
            ordered: None,
            clock: Clock { now: 0, rate, world, relief: RELIEF[0], suppress: true, origin: [0.0; 3] },
            body_every: 1,
            isa: Isa::detect(),
            tools: Tools::default(),
        };
        gorc.prepare_profiles();
        gorc
    }

    /// Describes an object type, before the first object of it. A schema that fails
    /// [`horizon_model::ChannelSpec::check_all`] gets the default channels.
    pub fn register(&mut self, id: ObjectTypeId, schema: ObjectSchema) {
        self.registry.register(id, schema);
        self.prepare_profiles();
    }

    fn prepare_profiles(&mut self) {
        for Profile { limits, .. } in &self.registry.profiles[self.grids.len()..] {
            self.grids.push(Grid::new(CELL_METRES));
            self.limits.push(Limits::new(limits).expect("radii of a checked table rise"));
        }
    }

    /// The schema of a type; that of players for a type nobody registered.
    pub fn schema(&self, id: ObjectTypeId) -> &ObjectSchema {
        &self.registry.of(id).schema
    }

    /// Which instructions the index uses; the best there are unless set.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }

    /// Whether what moves as foretold is left out; yes unless set. Without, every object that moves is
    /// told at every chance.
    pub fn set_suppression(&mut self, suppress: bool) {
        self.clock.suppress = suppress;
    }

    /// What a region that runs late does to tell less, from 0 to [`crate::MAX_LEVEL`]: outer channels tell
    /// fields more seldom and get wider bounds, then the next ones, the innermost last; at the highest level clients get a body
    /// every second step, half of them in each. Neighbours hear where everything is as ever.
    pub fn set_load(&mut self, level: u8) {
        let level = level.min(MAX_LEVEL);
        self.clock.relief = RELIEF[usize::from(level)];
        self.body_every = body_every(level);
    }

    // Objects.

    /// An object appears. One that exists already takes sample, fields and ghost state, and is not
    /// entered again.
    pub fn spawn(&mut self, object: NewObject) {
        self.registry.ensure(object.type_id);
        self.prepare_profiles();
        let Some(slot) = self.objects.slot(object.entity) else {
            return self.objects.insert(object, &self.registry, &mut self.clock);
        };
        self.objects.sample(slot, object.tick, &object.pose, false, &mut self.clock);
        self.objects.ghost[slot] = object.ghost;
        if let Some(known) = self.objects.facts_mut(slot) {
            known.player = known.player.or(object.player);
            known.fields.set_all(object.fields, self.registry.of(known.type_id));
        }
    }

    /// Where an object is at source tick `tick`.
    ///
    /// May be called several times between two steps. A sample that is not newer than the latest, or
    /// not finite, is ignored. `snap`: it jumped, nothing lies between.
    pub fn sample(&mut self, entity: EntityId, tick: Tick, pose: &Pose, snap: bool) {
        if let Some(slot) = self.objects.slot(entity) {
            self.objects.sample(slot, tick, pose, snap, &mut self.clock);
        }
    }

    /// Gives a field a value. Ignored where the type has no such field.
    pub fn set_field(&mut self, entity: EntityId, field: u8, bytes: &[u8]) {
        if let Some(slot) = self.objects.slot(entity) {
            self.objects.set_field(slot, field, bytes, &self.registry);
        }
    }

    /// Authority moved out (`true`) or in. Observers that see no ghosts are told so by a leave or an
    /// enter with the next step; to clients nothing happens.
    pub fn set_ghost(&mut self, entity: EntityId, ghost: bool) {
        if let Some(slot) = self.objects.slot(entity) {
            self.objects.ghost[slot] = ghost;
        }
    }

    /// An object disappears. Whoever holds it is told `reason`.
    pub fn despawn(&mut self, entity: EntityId, reason: LeaveReason) {
        if let Some(slot) = self.objects.slot(entity) {
            self.objects.remove(slot, reason);
        }
    }

    /// Whether the object exists here, own or ghost.
    pub fn contains(&self, entity: EntityId) -> bool {
        self.objects.slot(entity).is_some()
    }

    /// Whether another region has authority over it; `None` where it does not exist.
    pub fn is_ghost(&self, entity: EntityId) -> Option<bool> {
        Some(self.objects.ghost[self.objects.slot(entity)?])
    }

    /// The newest pose.
    pub fn pose(&self, entity: EntityId) -> Option<&Pose> {
        Some(&self.objects.facts(self.objects.slot(entity)?)?.pose)
    }

    /// Source tick of the newest pose.
    pub fn tick(&self, entity: EntityId) -> Option<Tick> {
        Some(self.objects.facts(self.objects.slot(entity)?)?.tick)
    }

    /// What the object is.
    pub fn type_of(&self, entity: EntityId) -> Option<ObjectTypeId> {
        Some(self.objects.facts(self.objects.slot(entity)?)?.type_id)
    }

    /// Whose avatar it is, if a player's.
    pub fn player(&self, entity: EntityId) -> Option<PlayerId> {
        self.objects.facts(self.objects.slot(entity)?)?.player
    }

    /// The value of a field, if it has one.
    pub fn field(&self, entity: EntityId, field: u8) -> Option<&[u8]> {
        self.objects.facts(self.objects.slot(entity)?)?.fields.value(field)
    }

    /// The whole object as another region would spawn it.
    pub fn object(&self, entity: EntityId) -> Option<NewObject> {
        let slot = self.objects.slot(entity)?;
        let facts = self.objects.facts(slot)?;
        Some(NewObject {
            entity,
            type_id: facts.type_id,
            player: facts.player,
            ghost: self.objects.ghost[slot],
            tick: facts.tick,
            pose: facts.pose,
            fields: facts.fields.values(),
        })
    }

    /// Every object here, own and ghost, in order of ids.
    pub fn entities(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.objects.entities().into_iter()
    }

    /// Every object this region has authority over, in order of ids.
    pub fn owned(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.entities().filter(|id| self.is_ghost(*id) == Some(false))
    }

    /// Every ghost, in order of ids.
    pub fn ghosts(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.entities().filter(|id| self.is_ghost(*id) == Some(true))
    }

    // Observers. Calls for one that does not exist do nothing.

    fn observer(&self, id: ObserverId) -> Option<&Observer> {
        self.observers[self.places.get(id.0)? as usize].as_ref()
    }

    fn observer_mut(&mut self, id: ObserverId) -> Option<&mut Observer> {
        self.observers[self.places.get(id.0)? as usize].as_mut()
    }

    /// An observer appears, holding nothing. Replaces one of the same id.
    pub fn add_observer(&mut self, id: ObserverId, spec: ObserverSpec) {
        self.remove_observer(id);
        let place = self.observers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.observers.push(None);
            self.observers.len() - 1
        });
        self.observers[place] = Some(Observer::new(id, spec));
        self.places.insert(id.0, place as u32);
        let at = self.order.partition_point(|(other, _)| *other < id);
        self.order.insert(at, (id, place as u32));
        self.ordered = None;
    }

    /// From where it looks, from the next step on.
    pub fn move_observer(&mut self, id: ObserverId, anchor: Anchor) {
        if let Some(observer) = self.observer_mut(id) {
            observer.spec.anchor = anchor;
        }
    }

    /// Mutes an observer (a shadow is sent nothing) or lets it speak.
    pub fn set_muted(&mut self, id: ObserverId, muted: bool) {
        if let Some(observer) = self.observer_mut(id) {
            observer.spec.muted = muted;
        }
    }

    /// How many bytes a body may have from now on; `None`: any number.
    pub fn set_budget(&mut self, id: ObserverId, bytes: Option<u32>) {
        if let Some(observer) = self.observer_mut(id) {
            observer.spec.budget_bytes = bytes;
        }
    }

    /// How much more than others an observer cares for an object, from 0.05 to 20, 1 unless set. Counts
    /// where bytes are short; never shows what distance hides.
    pub fn set_weight(&mut self, id: ObserverId, entity: EntityId, weight: f32) {
        if let Some(observer) = self.observer_mut(id) {
            observer.attention.set_weight(entity, weight);
        }
    }

    /// Where an observer looks, which counts as [`Self::set_weight`] does; `None`: nowhere in particular.
    pub fn set_cone(&mut self, id: ObserverId, cone: Option<Cone>) {
        if let Some(observer) = self.observer_mut(id) {
            observer.attention.set_cone(cone);
        }
    }

    /// What it has been told and not been told to drop. Empty while a reset is due.
    pub fn view(&self, id: ObserverId) -> Option<View> {
        Some(self.observer(id)?.view(&self.objects))
    }

    /// What its client holds, told by another region; replaces all that was told here.
    ///
    /// Nothing in it is entered again. Where the knots of the other region differ from ours, ours are
    /// told within two seconds, spread over the steps. An object unknown here is kept for
    /// [`crate::PATIENCE`] ticks, in which its region may speak, and dropped after that.
    pub fn adopt_view(&mut self, id: ObserverId, view: &View) {
        let now = self.clock.now;
        let step = self.clock.rate.step();
        let tick = Tick(now as u64 * step);
        let ours = Ours { objects: &self.objects, registry: &self.registry, now, tick, step };
        if let Some(place) = self.places.get(id.0)
            && let Some(observer) = self.observers[place as usize].as_mut()
        {
            observer.adopt(view, &ours);
        }
    }

    /// A new connection that holds nothing: the next frame begins with a reset, then enters.
    pub fn reset_view(&mut self, id: ObserverId) {
        if let Some(observer) = self.observer_mut(id) {
            observer.forget_told();
            observer.reset = true;
        }
    }

    /// Frames were lost on the way: everything held is told again as complete updates, as fast as the
    /// budget allows.
    ///
    /// Enters and leaves told in the last [`crate::REPEAT`] ticks may be among what was lost, so they
    /// are repeated, the enters marked `again`.
    pub fn refresh(&mut self, id: ObserverId) {
        if let Some(observer) = self.observer_mut(id) {
            observer.refresh = true;
        }
    }

    /// Whether the next frame will begin with a reset. To be asked when the observer's player leaves:
    /// the next region then owes it.
    pub fn is_reset_due(&self, id: ObserverId) -> bool {
        self.observer(id).is_some_and(|observer| observer.reset)
    }

    /// Whether a refresh was asked for and not sent yet. The next region then owes it.
    pub fn is_refresh_due(&self, id: ObserverId) -> bool {
        self.observer(id).is_some_and(|observer| observer.refresh)
    }

    /// An observer disappears.
    pub fn remove_observer(&mut self, id: ObserverId) {
        if let Some(place) = self.places.remove(id.0) {
            self.observers[place as usize] = None;
            self.order.retain(|(other, _)| *other != id);
            self.ordered = None;
        }
    }

    /// Every observer, in order of ids.
    pub fn observers(&self) -> impl Iterator<Item = ObserverId> + '_ {
        self.order.iter().map(|(id, _)| *id)
    }

    /// How many objects it has been told and holds.
    pub fn held_count(&self, id: ObserverId) -> usize {
        self.observer(id).map_or(0, Observer::held_count)
    }

    /// Innermost channel of `entity` that the observer has been told, if it holds it.
    pub fn held(&self, id: ObserverId, entity: EntityId) -> Option<u8> {
        self.observer(id)?.told(self.objects.slot(entity)?)
    }

    /// The channel on which distance alone would let the observer hold `entity`, without what it held
    /// before and without limits of number.
    pub fn interest(&self, id: ObserverId, entity: EntityId) -> Option<u8> {
        let (observer, slot) = (self.observer(id)?, self.objects.slot(entity)?);
        if self.objects.ghost[slot] && !observer.spec.sees_ghosts {
            return None;
        }
        let metres = observer.spec.anchor.distance(self.pose(entity).map(|pose| &pose.position)?);
        let limits = &self.registry.profiles[usize::from(self.objects.profile[slot])].limits;
        let band = band(metres - observer.spec.margin_metres, limits);
        Some(LEVELS[usize::from(NONE)][usize::from(band)]).filter(|level| *level != NONE)
    }

    /// What was sent since the last call.
    pub fn take_stats(&mut self) -> Stats {
        std::mem::take(&mut self.tools.stats)
    }

    // The step.

    /// Looks at the world through every observer, neighbours after each other.
    ///
    /// `has_credit` is asked for every observer that is not muted; one that has credit gets a body,
    /// also an empty one. For one without, everything stays due and is told, as it is then, when credit
    /// returns.
    pub fn step(
        &mut self,
        tick: Tick,
        has_credit: &mut dyn FnMut(ObserverId) -> bool,
        out: &mut dyn FnMut(ObserverId, &[u8]),
    ) {
        self.clock.now = (tick.0 / self.clock.rate.step()) as i64;
        self.clock.origin = self.objects.origin();
        let regions = self.observers.iter().flatten().any(|observer| !observer.spec.sees_ghosts);
        self.objects.prepare(&self.registry, &self.clock, regions);
        for (grid, [xs, ys, zs]) in self.grids.iter_mut().zip(&self.objects.coordinates) {
            grid.rebuild(xs, ys, zs);
        }
        self.tools.bands.resize(self.objects.slots(), 0);
        self.order_rounds();
        let scene = Scene {
            objects: &self.objects,
            registry: &self.registry,
            grids: &self.grids[..self.objects.coordinates.len()],
            limits: &self.limits,
            clock: self.clock,
            tick,
            isa: self.isa,
            any_dead: self.objects.any_dead(),
        };
        for (_, id, place) in &self.rounds {
            let Some(observer) = self.observers[*place as usize].as_mut() else {
                continue;
            };
            if observer.spec.muted {
                observer.bury_dead(&scene);
            } else if observer.is_served(self.clock.now as u64, self.body_every) && has_credit(*id) {
                if observer.refresh {
                    observer.owe_all();
                }
                observer.glance(&scene, &mut self.tools);
                observer.tell(&scene, &mut self.tools);
                out(*id, &self.tools.out);
            } else {
                observer.pass_over(&scene);
            }
        }
        self.objects.settle();
    }

    /// Sorts the observers by rows of cells, now and then: they move slowly.
    fn order_rounds(&mut self) {
        if self.ordered.is_some_and(|step| (0..ROUND_STEPS).contains(&(self.clock.now - step))) {
            return;
        }
        self.ordered = Some(self.clock.now);
        self.rounds.clear();
        for (id, place) in &self.order {
            let cell = match self.observers[*place as usize].as_ref().map(|observer| &observer.spec.anchor) {
                Some(Anchor::Point(position)) => position.cell(),
                _ => horizon_model::Cell::default(),
            };
            let key = u64::from(cell.y as u32 ^ 1 << 31) << 32 | u64::from(cell.x as u32 ^ 1 << 31);
            self.rounds.push((key, *id, *place));
        }
        self.rounds.sort_unstable();
        // They lie in memory as they look, so that the next one is on its way when its turn comes.
        std::mem::swap(&mut self.observers, &mut self.spare);
        self.observers.clear();
        for (next, (_, id, place)) in self.rounds.iter_mut().enumerate() {
            self.observers.push(self.spare[*place as usize].take());
            *place = next as u32;
            self.places.insert(id.0, *place);
        }
        for (id, place) in &mut self.order {
            *place = self.places.get(id.0).expect("every observer has a place");
        }
    }
}
