//! Everything one region owns and knows. Owned by the tick thread, touched by nobody else.

mod entity;
mod host;
mod parents;

use std::collections::{BTreeMap, BTreeSet};

use gorc::{Gorc, LeaveReason, NewObject};
use horizon_model::{
    EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, RegionId, RegionMap, Tick, TickRate,
};
use horizon_protocol::link::EntityKey;

pub use entity::{Entity, MAX_COMPONENTS_BYTES, PendingInput, PlayerState, RestoreError, WaitingEvent};
pub use parents::Parent;

/// A read-only copy of an entity that another region owns.
#[derive(Debug, Clone)]
pub struct Ghost {
    /// For avatars.
    pub player: Option<PlayerId>,
    /// The region that tells us about it; `None` while it changes hands.
    pub origin: Option<RegionId>,
    /// Tick of the last news.
    pub heard: Tick,
    /// Where it was.
    pub pose: Pose,
    /// Its type.
    pub type_id: ObjectTypeId,
    /// The type's fields, JSON.
    pub fields: Vec<Option<Vec<u8>>>,
    /// Present in the sender's latest complete account.
    pub confirmed: bool,
}

/// What a handler asked for that leaves the entity it ran for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A reliable event to one player, or a message to one object.
    Send {
        /// To whom.
        to: EntityKey,
        /// Plugin namespace.
        namespace: String,
        /// Event.
        event: String,
        /// MessagePack.
        payload: Vec<u8>,
    },
    /// A reliable event to everybody in the world.
    Broadcast {
        /// Plugin namespace.
        namespace: String,
        /// Event.
        event: String,
        /// MessagePack.
        payload: Vec<u8>,
    },
}

/// Names of fields by type, in schema order.
#[derive(Debug, Clone, Default)]
pub struct FieldNames(Vec<Vec<String>>);

impl FieldNames {
    fn of_all(schemas: &[ObjectSchema]) -> Self {
        let names = |schema: &ObjectSchema| schema.fields.iter().map(|field| field.name.clone()).collect();
        Self(schemas.iter().map(names).collect())
    }

    /// Those of one type; none for a type nobody declared.
    pub fn of(&self, type_id: ObjectTypeId) -> &[String] {
        self.0.get(usize::from(type_id.0)).map_or(&[], Vec::as_slice)
    }
}

/// One region's part of the world.
pub struct World {
    /// Which region.
    pub region: RegionId,
    /// Under which lease; part of every id minted here.
    pub lease: Epoch,
    /// The division of space.
    pub map: RegionMap,
    /// Steps per second.
    pub rate: TickRate,
    /// The tick being simulated, or the last one.
    pub tick: Tick,
    /// Ids handed out.
    pub minted: u32,
    /// What this region owns, by id.
    pub entities: BTreeMap<EntityId, Entity>,
    /// Owned entities that are attached to something, or on their way to it.
    children: BTreeSet<EntityId>,
    /// Avatars owned here.
    pub players: BTreeMap<PlayerId, EntityId>,
    /// What others own, by id.
    pub ghosts: BTreeMap<EntityId, Ghost>,
    /// Avatars others own.
    pub ghost_players: BTreeMap<PlayerId, EntityId>,
    /// Who sees what.
    pub gorc: Gorc,
    /// Made by handlers, taken by the region.
    pub effects: Vec<Effect>,
    /// Namespace and event of messages to players that plugins hear where the player is owned.
    pub deeds: BTreeSet<(String, String)>,
    /// Objects that handlers made, not owned by a machine yet.
    pub spawned: Vec<EntityId>,
    /// Objects that handlers removed, to be told and journalled.
    pub despawned: Vec<(EntityId, EntityKey)>,
    schemas: Vec<ObjectSchema>,
    /// Names of the fields of each type.
    pub field_names: FieldNames,
}

impl World {
    /// An empty region. `rates` are the steps per second of the world and of this region.
    pub fn new(
        region: RegionId,
        lease: Epoch,
        map: RegionMap,
        [world_rate, rate]: [TickRate; 2],
        schemas: Vec<ObjectSchema>,
    ) -> Self {
        let players = schemas.first().cloned().unwrap_or_else(|| ObjectSchema::named("player"));
        let mut gorc = Gorc::within(world_rate, rate, players);
        for (index, schema) in schemas.iter().enumerate().skip(1) {
            gorc.register(ObjectTypeId(index as u16), schema.clone());
        }
        let field_names = FieldNames::of_all(&schemas);
        Self {
            region,
            lease,
            map,
            rate,
            tick: Tick::default(),
            minted: 0,
            entities: BTreeMap::new(),
            children: BTreeSet::new(),
            players: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            ghost_players: BTreeMap::new(),
            gorc,
            effects: Vec::new(),
            deeds: BTreeSet::new(),
            spawned: Vec::new(),
            despawned: Vec::new(),
            schemas,
            field_names,
        }
    }

    /// Names of a type's fields, in schema order.
    pub fn field_names(&self, type_id: ObjectTypeId) -> &[String] {
        self.field_names.of(type_id)
    }

    /// The schemas, by type.
    pub fn schemas(&self) -> &[ObjectSchema] {
        &self.schemas
    }

    /// The furthest any type is seen, in metres.
    pub fn reach_metres(&self) -> f64 {
        self.schemas
            .iter()
            .map(|schema| schema.channels[3].radius_metres + schema.channels[3].hysteresis_metres)
            .fold(0.0, f64::max)
    }

    /// A new id, never handed out before.
    pub fn mint(&mut self) -> EntityId {
        self.minted += 1;
        EntityId::mint(self.region, self.lease, self.minted).expect("the counter starts at one")
    }

    /// Takes an entity into the world, as a new one, an arrival or a recovered one.
    pub fn insert(&mut self, entity: Entity) {
        if let Some(ghost) = self.ghosts.remove(&entity.id)
            && let Some(player) = ghost.player
        {
            self.ghost_players.remove(&player);
        }
        let player = match entity.key {
            EntityKey::Player(player) => {
                self.players.insert(player, entity.id);
                Some(player)
            }
            EntityKey::Object(_) => None,
        };
        self.gorc.spawn(NewObject {
            entity: entity.id,
            type_id: entity.type_id,
            player,
            ghost: false,
            tick: entity.stepped,
            pose: entity.pose,
            fields: entity.fields.clone(),
        });
        self.gorc.set_ghost(entity.id, false);
        if entity.parent.is_some() {
            self.children.insert(entity.id);
        }
        self.entities.insert(entity.id, entity);
    }

    /// Turns an owned entity into a ghost of the region that owns it now.
    pub fn release(&mut self, id: EntityId, to: RegionId) -> Option<Entity> {
        let entity = self.entities.remove(&id)?;
        self.children.remove(&id);
        let player = self.forget_player(&entity);
        self.ghosts.insert(
            id,
            Ghost {
                player,
                origin: Some(to),
                heard: self.tick,
                pose: entity.pose,
                type_id: entity.type_id,
                fields: entity.fields.clone(),
                confirmed: true,
            },
        );
        if let Some(player) = player {
            self.ghost_players.insert(player, id);
        }
        self.gorc.set_ghost(id, true);
        Some(entity)
    }

    /// Takes an owned entity out of the world for good.
    pub fn remove(&mut self, id: EntityId, reason: LeaveReason) -> Option<Entity> {
        let entity = self.entities.remove(&id)?;
        self.children.remove(&id);
        self.forget_player(&entity);
        self.gorc.despawn(id, reason);
        Some(entity)
    }

    /// Drops a ghost.
    pub fn remove_ghost(&mut self, id: EntityId, reason: LeaveReason) {
        if let Some(ghost) = self.ghosts.remove(&id) {
            if let Some(player) = ghost.player
                && self.ghost_players.get(&player) == Some(&id)
            {
                self.ghost_players.remove(&player);
            }
            self.gorc.despawn(id, reason);
        }
    }

    fn forget_player(&mut self, entity: &Entity) -> Option<PlayerId> {
        let EntityKey::Player(player) = entity.key else {
            return None;
        };
        if self.players.get(&player) == Some(&entity.id) {
            self.players.remove(&player);
        }
        Some(player)
    }

    /// The owned avatar of a player.
    pub fn avatar(&mut self, player: PlayerId) -> Option<&mut Entity> {
        self.entities.get_mut(self.players.get(&player)?)
    }

    /// The owned entity of a record.
    pub fn owned_by_key(&self, key: EntityKey) -> Option<EntityId> {
        match key {
            EntityKey::Player(player) => self.players.get(&player).copied(),
            EntityKey::Object(id) => self.entities.contains_key(&id).then_some(id),
        }
    }

    /// The region that is known to own an entity which is not ours.
    pub fn origin_of(&self, key: EntityKey) -> Option<RegionId> {
        let id = match key {
            EntityKey::Player(player) => *self.ghost_players.get(&player)?,
            EntityKey::Object(id) => id,
        };
        self.ghosts.get(&id)?.origin
    }

    /// Metres outside this region's cells, 0 inside.
    pub fn beyond_metres(&self, pose: &Pose) -> f64 {
        self.map.distance(self.region, &pose.position)
    }
}
