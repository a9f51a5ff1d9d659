//! The world as plugins see it.

use horizon_model::{EntityId, PlayerId, Pose, Position, Seat, TICKS_PER_SECOND, Tick};
use horizon_protocol::link::EntityKey;

use super::{Effect, Entity, MAX_COMPONENTS_BYTES, World};
use crate::plugin::{HostError, HostWorld};

/// Longest component in bytes: eight of them and the core fit into a capsule.
const MAX_COMPONENT_BYTES: usize = 8 * 1024;
/// Longest field value in bytes.
const MAX_FIELD_BYTES: usize = 1024;
/// Longest event payload in bytes.
const MAX_EVENT_BYTES: usize = 8 * 1024;

impl World {
    pub(super) fn changeable(&mut self, id: EntityId) -> Result<&mut Entity, HostError> {
        let ghost = self.ghosts.contains_key(&id);
        match self.entities.get_mut(&id) {
            Some(entity) if !entity.frozen => Ok(entity),
            Some(_) => Err(HostError::NotOwned),
            None if ghost => Err(HostError::NotOwned),
            None => Err(HostError::Unknown),
        }
    }
}

fn name_of(fields: &[Option<Vec<u8>>], names: &[String]) -> String {
    names
        .iter()
        .position(|name| name == "name")
        .and_then(|index| fields.get(index)?.as_deref())
        .and_then(|json| serde_json::from_slice(json).ok())
        .unwrap_or_default()
}

impl HostWorld for World {
    fn tick(&self) -> Tick {
        self.tick
    }

    fn sim_seconds(&self) -> f64 {
        self.tick.0 as f64 / TICKS_PER_SECOND as f64
    }

    fn step_seconds(&self) -> f64 {
        1.0 / self.rate.hz() as f64
    }

    fn entity_of(&self, player: PlayerId) -> Option<EntityId> {
        self.players.get(&player).or_else(|| self.ghost_players.get(&player)).copied()
    }

    fn player_of(&self, entity: EntityId) -> Option<PlayerId> {
        match self.entities.get(&entity) {
            Some(Entity { key: EntityKey::Player(player), .. }) => Some(*player),
            Some(_) => None,
            None => self.ghosts.get(&entity)?.player,
        }
    }

    fn owns(&self, entity: EntityId) -> bool {
        self.entities.get(&entity).is_some_and(|entity| !entity.frozen)
    }

    fn pose(&self, entity: EntityId) -> Option<Pose> {
        match self.entities.get(&entity) {
            Some(entity) => Some(entity.pose),
            None => self.ghosts.get(&entity).map(|ghost| ghost.pose),
        }
    }

    fn set_pose(&mut self, entity: EntityId, pose: Pose, snap: bool) -> Result<(), HostError> {
        if !pose.is_finite() {
            return Err(HostError::Invalid("a pose has finite numbers only".into()));
        }
        let entity = self.changeable(entity)?;
        if entity.parent.is_some_and(|parent| parent.attached) {
            return Err(HostError::Invalid(
                "it is attached to something that moves it; detach it first".into(),
            ));
        }
        entity.pose = pose;
        entity.snap |= snap;
        if snap {
            entity.jumped = true;
            entity.touch_pose();
        }
        Ok(())
    }

    fn component(&self, entity: EntityId, name: &str) -> Option<&[u8]> {
        self.entities.get(&entity)?.components.get(name).map(Vec::as_slice)
    }

    fn set_component(
        &mut self,
        entity: EntityId,
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), HostError> {
        if bytes.as_ref().is_some_and(|bytes| bytes.len() > MAX_COMPONENT_BYTES) {
            return Err(HostError::Invalid(format!(
                "component {name:?} is longer than {MAX_COMPONENT_BYTES} bytes"
            )));
        }
        let entity = self.changeable(entity)?;
        let others: usize =
            entity.components.iter().filter(|(other, _)| *other != name).map(|(_, b)| b.len()).sum();
        if others + bytes.as_ref().map_or(0, Vec::len) > MAX_COMPONENTS_BYTES {
            return Err(HostError::Invalid(format!(
                "the components of one entity are at most {MAX_COMPONENTS_BYTES} bytes together"
            )));
        }
        let same = entity.components.get(name) == bytes.as_ref();
        if !same {
            match bytes {
                Some(bytes) => drop(entity.components.insert(name.to_owned(), bytes)),
                None => drop(entity.components.remove(name)),
            }
            entity.touch_component(name);
        }
        Ok(())
    }

    fn set_field(&mut self, entity: EntityId, field: &str, json: Vec<u8>) -> Result<(), HostError> {
        if json.len() > MAX_FIELD_BYTES {
            return Err(HostError::Invalid(format!(
                "field {field:?} is longer than {MAX_FIELD_BYTES} bytes"
            )));
        }
        let type_id = self.changeable(entity)?.type_id;
        let Some(index) = self.field_names(type_id).iter().position(|name| name == field) else {
            return Err(HostError::Invalid(format!("no field {field:?} is declared for this type")));
        };
        let held = self.changeable(entity)?;
        if held.fields[index].as_ref() != Some(&json) {
            held.fields[index] = Some(json.clone());
            held.touch_field(field);
            self.gorc.set_field(entity, index as u8, &json);
        }
        Ok(())
    }

    fn spawn(&mut self, type_name: &str, pose: Pose) -> Result<EntityId, HostError> {
        let Some(index) = self.schemas.iter().position(|schema| schema.name == type_name).filter(|&n| n > 0)
        else {
            return Err(HostError::Invalid(format!("no object type {type_name:?} is declared")));
        };
        if !pose.is_finite() {
            return Err(HostError::Invalid("a pose has finite numbers only".into()));
        }
        let type_id = horizon_model::ObjectTypeId(index as u16);
        let id = self.mint();
        let fields = self.field_names(type_id).len();
        self.insert(Entity::new(id, EntityKey::Object(id), type_id, pose, self.tick, fields));
        self.spawned.push(id);
        Ok(id)
    }

    fn despawn(&mut self, entity: EntityId) -> Result<(), HostError> {
        let held = self.changeable(entity)?;
        if held.player.is_some() {
            return Err(HostError::Invalid("players leave by themselves".into()));
        }
        let key = held.key;
        self.unlink_children(entity);
        self.remove(entity, gorc::LeaveReason::Gone);
        self.despawned.push((entity, key));
        Ok(())
    }

    fn attach(&mut self, child: EntityId, parent: EntityId, seat: Seat) -> Result<(), HostError> {
        self.link(child, parent, seat)
    }

    fn detach(&mut self, child: EntityId) -> Result<(), HostError> {
        self.changeable(child)?;
        self.unlink(child);
        Ok(())
    }

    fn parent_of(&self, child: EntityId) -> Option<EntityId> {
        self.attached_to(child)
    }

    fn children_of(&self, parent: EntityId) -> Vec<EntityId> {
        World::children_of(self, parent)
    }

    fn objects(&self, type_name: &str) -> Vec<EntityId> {
        let Some(index) = self.schemas.iter().position(|schema| schema.name == type_name) else {
            return Vec::new();
        };
        self.entities
            .values()
            .filter(|entity| usize::from(entity.type_id.0) == index && !entity.frozen)
            .map(|entity| entity.id)
            .collect()
    }

    fn players(&self) -> Vec<(PlayerId, EntityId, String)> {
        let owned = self.players.iter().map(|(player, id)| {
            let entity = &self.entities[id];
            (*player, *id, name_of(&entity.fields, self.field_names(entity.type_id)))
        });
        let ghosts = self.ghost_players.iter().filter(|(player, _)| !self.players.contains_key(player)).map(
            |(player, id)| {
                let ghost = &self.ghosts[id];
                (*player, *id, name_of(&ghost.fields, self.field_names(ghost.type_id)))
            },
        );
        let mut all: Vec<_> = owned.chain(ghosts).collect();
        all.sort_by_key(|(player, ..)| *player);
        all
    }

    fn players_within(&self, at: &Position, metres: f64) -> Vec<(PlayerId, EntityId)> {
        let near = |pose: &Pose| pose.position.distance(at) <= metres;
        let mut found: Vec<(PlayerId, EntityId)> =
            self.players
                .iter()
                .filter(|(_, id)| near(&self.entities[*id].pose))
                .chain(self.ghost_players.iter().filter(|(player, id)| {
                    !self.players.contains_key(player) && near(&self.ghosts[*id].pose)
                }))
                .map(|(player, id)| (*player, *id))
                .collect();
        found.sort_unstable();
        found
    }

    fn send(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError> {
        if messagepack.len() > MAX_EVENT_BYTES {
            return Err(HostError::Invalid(format!("an event is at most {MAX_EVENT_BYTES} bytes")));
        }
        // What a plugin does to a player finds its way without a trace of the player here.
        let deed = || self.deeds.contains(&(namespace.to_owned(), event.to_owned()));
        if self.entity_of(to).is_none() && !deed() {
            return Err(HostError::Unknown);
        }
        let bytes = messagepack.len();
        let player = self.avatar(to).and_then(|entity| entity.player.as_ref());
        if player.is_some_and(|player| !player.has_room_for(bytes)) {
            return Err(HostError::Invalid("the player acknowledges nothing and the queue is full".into()));
        }
        self.effects.push(Effect::Send {
            to: EntityKey::Player(to),
            namespace: namespace.to_owned(),
            event: event.to_owned(),
            payload: messagepack,
        });
        Ok(())
    }

    fn send_object(
        &mut self,
        to: EntityId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError> {
        if messagepack.len() > MAX_EVENT_BYTES {
            return Err(HostError::Invalid(format!("an event is at most {MAX_EVENT_BYTES} bytes")));
        }
        if self.player_of(to).is_some() {
            return Err(HostError::Invalid("a player's avatar is no object: use send".into()));
        }
        self.effects.push(Effect::Send {
            to: EntityKey::Object(to),
            namespace: namespace.to_owned(),
            event: event.to_owned(),
            payload: messagepack,
        });
        Ok(())
    }

    fn broadcast(&mut self, namespace: &str, event: &str, messagepack: Vec<u8>) {
        self.effects.push(Effect::Broadcast {
            namespace: namespace.to_owned(),
            event: event.to_owned(),
            payload: messagepack,
        });
    }
}
