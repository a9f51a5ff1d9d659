//! The objects and observers of one region, and the step that tells the one of the other.

use std::borrow::Cow;
use std::collections::BTreeMap;

use horizon_model::{EntityId, ObjectSchema, ObjectTypeId, PlayerId, Pose, Tick, TickRate};

use crate::body::Body;
use crate::cadence::due_mask;
use crate::candidate::Candidate;
use crate::interest::Anchor;
use crate::object::{NewObject, Object};
use crate::observer::{Observer, ObserverId, ObserverSpec};
use crate::registry::Registry;
use crate::stats::Stats;
use crate::view::View;
use crate::wire::{LeaveReason, Spelling};

/// Objects, observers, and what each observer has been told.
#[derive(Debug)]
pub struct Gorc {
    rate: TickRate,
    registry: Registry,
    objects: BTreeMap<EntityId, Object>,
    observers: BTreeMap<ObserverId, Observer>,
    body: Body,
    stats: Stats,
}

impl Gorc {
    /// An empty world that steps at `rate`. `players` is object type 0.
    pub fn new(rate: TickRate, players: ObjectSchema) -> Self {
        Self {
            rate,
            registry: Registry::new(players),
            objects: BTreeMap::new(),
            observers: BTreeMap::new(),
            body: Body::new(Spelling::Binary),
            stats: Stats::default(),
        }
    }

    /// Describes an object type, before the first object of it. A schema that fails
    /// [`horizon_model::ChannelSpec::check_all`] gets the default channels.
    pub fn register(&mut self, id: ObjectTypeId, schema: ObjectSchema) {
        self.registry.register(id, schema);
    }

    /// The schema of a type; that of players for a type nobody registered.
    pub fn schema(&self, id: ObjectTypeId) -> &ObjectSchema {
        &self.registry.of(id).schema
    }

    // Objects.

    /// An object appears. One that exists already takes sample, fields and ghost state, and is not
    /// entered again.
    pub fn spawn(&mut self, object: NewObject) {
        self.registry.ensure(object.type_id);
        if self.objects.contains_key(&object.entity) {
            self.sample(object.entity, object.tick, &object.pose, false);
            if let Some(known) = self.objects.get_mut(&object.entity) {
                known.set_ghost(object.ghost);
                known.player = known.player.or(object.player);
                known.set_fields(object.fields, self.registry.of(known.type_id));
            }
        } else {
            let (entity, kind) = (object.entity, self.registry.of(object.type_id));
            self.objects.insert(entity, Object::new(object, kind, self.rate));
        }
    }

    /// Where an object is at source tick `tick`.
    ///
    /// May be called several times between two steps; every sample that is due is sent. One that is
    /// not newer than the latest, or not finite, is ignored. `snap`: do not interpolate into it.
    pub fn sample(&mut self, entity: EntityId, tick: Tick, pose: &Pose, snap: bool) {
        if let Some(object) = self.objects.get_mut(&entity) {
            let channels = &self.registry.of(object.type_id).schema.channels;
            object.sample(tick, pose, snap, due_mask(tick, entity, channels, self.rate));
        }
    }

    /// Gives a field a value. Ignored where the type has no such field.
    pub fn set_field(&mut self, entity: EntityId, field: u8, bytes: &[u8]) {
        if let Some(object) = self.objects.get_mut(&entity) {
            object.set_field(field, Cow::Borrowed(bytes), self.registry.of(object.type_id));
        }
    }

    /// Authority moved out (`true`) or in. Observers that see no ghosts are told so by a leave or an
    /// enter with the next step; to clients nothing happens.
    pub fn set_ghost(&mut self, entity: EntityId, ghost: bool) {
        if let Some(object) = self.objects.get_mut(&entity) {
            object.set_ghost(ghost);
        }
    }

    /// Innermost channel, 0 to 3, on which the region that owns this ghost tells us of it. Observers are
    /// promised no finer one: after a jump they may stand nearer than that region knows yet.
    pub fn set_floor(&mut self, entity: EntityId, channel: u8) {
        if let Some(object) = self.objects.get_mut(&entity).filter(|object| object.ghost) {
            object.floor = channel.min(3);
        }
    }

    /// An object disappears. Whoever holds it is told `reason`.
    pub fn despawn(&mut self, entity: EntityId, reason: LeaveReason) {
        self.objects.remove(&entity);
        for observer in self.observers.values_mut() {
            observer.despawned(entity, reason);
        }
    }

    /// Whether the object exists here, own or ghost.
    pub fn contains(&self, entity: EntityId) -> bool {
        self.objects.contains_key(&entity)
    }

    /// Whether another region has authority over it; `None` where it does not exist.
    pub fn is_ghost(&self, entity: EntityId) -> Option<bool> {
        Some(self.objects.get(&entity)?.ghost)
    }

    /// The newest pose.
    pub fn pose(&self, entity: EntityId) -> Option<&Pose> {
        Some(&self.objects.get(&entity)?.latest.pose)
    }

    /// Source tick of the newest pose.
    pub fn tick(&self, entity: EntityId) -> Option<Tick> {
        Some(self.objects.get(&entity)?.latest.tick)
    }

    /// What the object is.
    pub fn type_of(&self, entity: EntityId) -> Option<ObjectTypeId> {
        Some(self.objects.get(&entity)?.type_id)
    }

    /// Whose avatar it is, if a player's.
    pub fn player(&self, entity: EntityId) -> Option<PlayerId> {
        self.objects.get(&entity)?.player
    }

    /// The value of a field, if it has one.
    pub fn field(&self, entity: EntityId, field: u8) -> Option<&[u8]> {
        self.objects.get(&entity)?.field(field)
    }

    /// The whole object as another region would spawn it.
    pub fn object(&self, entity: EntityId) -> Option<NewObject> {
        let object = self.objects.get(&entity)?;
        Some(NewObject {
            entity,
            type_id: object.type_id,
            player: object.player,
            ghost: object.ghost,
            tick: object.latest.tick,
            pose: object.latest.pose,
            fields: object.values(),
        })
    }

    /// Every object here, own and ghost, in order of ids.
    pub fn entities(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.objects.keys().copied()
    }

    /// Every object this region has authority over, in order of ids.
    pub fn owned(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.objects.iter().filter(|(_, object)| !object.ghost).map(|(&entity, _)| entity)
    }

    /// Every ghost, in order of ids.
    pub fn ghosts(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.objects.iter().filter(|(_, object)| object.ghost).map(|(&entity, _)| entity)
    }

    // Observers. Calls for one that does not exist do nothing.

    /// An observer appears, holding nothing. Replaces one of the same id.
    pub fn add_observer(&mut self, id: ObserverId, spec: ObserverSpec) {
        self.observers.insert(id, Observer::new(spec));
    }

    /// From where it looks, from the next step on.
    pub fn move_observer(&mut self, id: ObserverId, anchor: Anchor) {
        if let Some(observer) = self.observers.get_mut(&id) {
            observer.spec.anchor = anchor;
        }
    }

    /// Mutes an observer (a shadow keeps its interest and sends nothing) or lets it speak.
    pub fn set_muted(&mut self, id: ObserverId, muted: bool) {
        if let Some(observer) = self.observers.get_mut(&id) {
            observer.spec.muted = muted;
        }
    }

    /// What it has been told and not been told to drop. Empty while a reset is due.
    pub fn view(&self, id: ObserverId) -> Option<View> {
        Some(self.observers.get(&id)?.view())
    }

    /// What its client holds, told by another region; replaces all that was told here.
    ///
    /// Nothing in it is entered again, and positions go on after the ticks it names: kept samples that
    /// the other region did not tell are told, those it did are not repeated. Fields are sent once more at their next due tick, since only
    /// the other region knows which were told. An object unknown here is kept for [`crate::PATIENCE`]
    /// ticks, in which its region may speak, and dropped after that.
    pub fn adopt_view(&mut self, id: ObserverId, view: &View) {
        if let Some(observer) = self.observers.get_mut(&id) {
            observer.adopt(view);
        }
    }

    /// A new connection that holds nothing: the next frame begins with a reset, then enters.
    pub fn reset_view(&mut self, id: ObserverId) {
        if let Some(observer) = self.observers.get_mut(&id) {
            observer.forget_told();
            observer.reset = true;
        }
    }

    /// Frames were lost on the way: the next frame carries everything held as complete updates.
    ///
    /// Enters and leaves told in the last [`crate::REPEAT`] ticks may be among what was lost, so they
    /// are repeated, the enters marked `again`.
    pub fn refresh(&mut self, id: ObserverId) {
        if let Some(observer) = self.observers.get_mut(&id) {
            observer.refresh = true;
        }
    }

    /// Whether the next frame will begin with a reset. To be asked when the observer's player leaves:
    /// the next region then owes it.
    pub fn is_reset_due(&self, id: ObserverId) -> bool {
        self.observers.get(&id).is_some_and(|observer| observer.reset)
    }

    /// Whether a refresh was asked for and not sent yet. The next region then owes it.
    pub fn is_refresh_due(&self, id: ObserverId) -> bool {
        self.observers.get(&id).is_some_and(|observer| observer.refresh)
    }

    /// An observer disappears.
    pub fn remove_observer(&mut self, id: ObserverId) {
        self.observers.remove(&id);
    }

    /// Every observer, in order of ids.
    pub fn observers(&self) -> impl Iterator<Item = ObserverId> + '_ {
        self.observers.keys().copied()
    }

    /// How many objects it has been told and holds.
    pub fn held_count(&self, id: ObserverId) -> usize {
        self.observers.get(&id).map_or(0, Observer::held_count)
    }

    /// Innermost channel of `entity` that the observer has been told, if it holds it.
    pub fn held(&self, id: ObserverId, entity: EntityId) -> Option<u8> {
        self.observers.get(&id)?.row_levels(entity)?.1
    }

    /// Innermost channel of `entity` that the observer is interested in since the last step, told or
    /// not.
    pub fn interest(&self, id: ObserverId, entity: EntityId) -> Option<u8> {
        self.observers.get(&id)?.row_levels(entity)?.0
    }

    /// What was sent since the last call.
    pub fn take_stats(&mut self) -> Stats {
        let channel_bytes = self.body.take_channel_bytes();
        Stats { channel_bytes, ..std::mem::take(&mut self.stats) }
    }

    // The step.

    /// Looks at the world through every observer, in order of their ids.
    ///
    /// `has_credit` is asked for every observer that is not muted; one that has credit gets a body,
    /// also an empty one. For one without, enters, leaves and changed fields stay due; position samples of
    /// a few steps are made up for when credit returns, those of a longer lack are gone.
    pub fn step(
        &mut self,
        tick: Tick,
        has_credit: &mut dyn FnMut(ObserverId) -> bool,
        out: &mut dyn FnMut(ObserverId, &[u8]),
    ) {
        let candidates: Vec<_> = self
            .objects
            .iter()
            .map(|(&entity, object)| {
                let kind = self.registry.of(object.type_id);
                let idle = object.pending.is_empty();
                let idle_due =
                    if idle { due_mask(tick, entity, &kind.schema.channels, self.rate) } else { 0 };
                Candidate { entity, position: object.latest.pose.position, object, kind, idle_due }
            })
            .collect();
        for (&id, observer) in &mut self.observers {
            if !observer.spec.muted && has_credit(id) {
                observer.step(tick, &candidates, Some(&mut self.body), &mut self.stats);
                out(id, self.body.finish(tick));
            } else {
                observer.step(tick, &candidates, None, &mut self.stats);
            }
        }
        for object in self.objects.values_mut() {
            object.settle();
        }
    }
}
