//! Runs a plugin through the real boundary, without a region server: for the tests of plugins.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use horizon_model::{EntityId, Epoch, PlayerId, Pose, Position, RegionId, Seat, Tick};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::PluginTable;
use crate::boundary::{Construct, table};
use crate::component::{Component, from_bytes};
use crate::host::{CallError, Effects, HostError, HostWorld, NOBODY, OpenError, Plugin};
use crate::{ClientInputEvent, CoreEvent, Delivery, Registration, SimplePlugin, Source, Who, payload};

/// A reliable event that a plugin sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The player, or `None` for everyone and for objects.
    pub to: Option<PlayerId>,
    /// The object, where it was sent to one.
    pub object: Option<EntityId>,
    /// Namespace of the event.
    pub namespace: String,
    /// Name of the event.
    pub event: String,
    /// The value as MessagePack.
    pub payload: Vec<u8>,
}

impl Sent {
    /// The value.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        payload::decode(&self.payload, true).expect("the event holds what the test expects")
    }
}

/// A region of one's own, in memory.
#[derive(Debug, Default)]
pub struct TestWorld {
    /// The tick that plugins see.
    pub tick: Tick,
    /// Avatars and display names.
    pub players: BTreeMap<PlayerId, (EntityId, String)>,
    /// Objects and their types.
    pub objects: BTreeMap<EntityId, String>,
    /// Where everybody is.
    pub poses: BTreeMap<EntityId, Pose>,
    /// How often each entity was snapped to a place.
    pub snaps: BTreeMap<EntityId, u32>,
    /// What is attached to what, and where.
    pub parents: BTreeMap<EntityId, (EntityId, Seat)>,
    /// Stored components.
    pub components: BTreeMap<(EntityId, String), Vec<u8>>,
    /// Visible fields as JSON text.
    pub fields: BTreeMap<(EntityId, String), String>,
    /// Entities that a neighbour owns.
    pub ghosts: Vec<EntityId>,
    /// Everything sent, in order.
    pub sent: Vec<Sent>,
    counter: u32,
}

impl TestWorld {
    /// Adds a player at a place in metres.
    pub fn join(&mut self, player: PlayerId, name: &str, metres: [f64; 3]) -> EntityId {
        let entity = self.mint();
        let position = Position::from_metres(metres).expect("tests use places that exist");
        self.players.insert(player, (entity, name.to_owned()));
        self.poses.insert(entity, Pose::at(position));
        entity
    }

    /// A stored component.
    pub fn component_of<T: Component>(&self, entity: EntityId) -> Option<T> {
        let bytes = self.components.get(&(entity, T::NAME.to_owned()))?;
        Some(from_bytes(bytes).expect("a component reads back"))
    }

    /// What was sent under a name since the last time, and forgets everything sent.
    pub fn take_sent(&mut self, namespace: &str, event: &str) -> Vec<Sent> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter(|sent| sent.namespace == namespace && sent.event == event).collect()
    }

    fn mint(&mut self) -> EntityId {
        self.counter += 1;
        EntityId::mint(RegionId(0), Epoch(1), self.counter).expect("the counter starts at one")
    }

    fn owned(&self, entity: EntityId) -> Result<(), HostError> {
        if !self.poses.contains_key(&entity) {
            return Err(HostError::Unknown);
        }
        if self.ghosts.contains(&entity) { Err(HostError::NotOwned) } else { Ok(()) }
    }
}

impl HostWorld for TestWorld {
    fn tick(&self) -> Tick {
        self.tick
    }

    fn sim_seconds(&self) -> f64 {
        self.tick.since_origin().as_secs_f64()
    }

    fn step_seconds(&self) -> f64 {
        1.0 / 30.0
    }

    fn entity_of(&self, player: PlayerId) -> Option<EntityId> {
        self.players.get(&player).map(|(entity, _)| *entity)
    }

    fn player_of(&self, entity: EntityId) -> Option<PlayerId> {
        self.players.iter().find(|(_, (id, _))| *id == entity).map(|(player, _)| *player)
    }

    fn owns(&self, entity: EntityId) -> bool {
        self.owned(entity).is_ok()
    }

    fn pose(&self, entity: EntityId) -> Option<Pose> {
        self.poses.get(&entity).copied()
    }

    fn set_pose(&mut self, entity: EntityId, pose: Pose, snap: bool) -> Result<(), HostError> {
        self.owned(entity)?;
        self.poses.insert(entity, pose);
        *self.snaps.entry(entity).or_default() += u32::from(snap);
        Ok(())
    }

    fn component(&self, entity: EntityId, name: &str) -> Option<&[u8]> {
        self.components.get(&(entity, name.to_owned())).map(Vec::as_slice)
    }

    fn set_component(
        &mut self,
        entity: EntityId,
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), HostError> {
        self.owned(entity)?;
        match bytes {
            Some(bytes) => self.components.insert((entity, name.to_owned()), bytes),
            None => self.components.remove(&(entity, name.to_owned())),
        };
        Ok(())
    }

    fn set_field(&mut self, entity: EntityId, field: &str, json: Vec<u8>) -> Result<(), HostError> {
        self.owned(entity)?;
        let text = String::from_utf8(json).map_err(|error| HostError::Invalid(error.to_string()))?;
        self.fields.insert((entity, field.to_owned()), text);
        Ok(())
    }

    fn spawn(&mut self, type_name: &str, pose: Pose) -> Result<EntityId, HostError> {
        let entity = self.mint();
        self.objects.insert(entity, type_name.to_owned());
        self.poses.insert(entity, pose);
        Ok(entity)
    }

    fn despawn(&mut self, entity: EntityId) -> Result<(), HostError> {
        self.owned(entity)?;
        self.objects.remove(&entity).ok_or_else(|| HostError::Invalid("not an object".to_owned()))?;
        self.poses.remove(&entity);
        Ok(())
    }

    fn attach(&mut self, child: EntityId, parent: EntityId, seat: Seat) -> Result<(), HostError> {
        self.owned(child)?;
        if !self.poses.contains_key(&parent) {
            return Err(HostError::Unknown);
        }
        self.parents.insert(child, (parent, seat));
        Ok(())
    }

    fn detach(&mut self, child: EntityId) -> Result<(), HostError> {
        self.owned(child)?;
        self.parents.remove(&child);
        Ok(())
    }

    fn parent_of(&self, child: EntityId) -> Option<EntityId> {
        self.parents.get(&child).map(|(parent, _)| *parent)
    }

    fn children_of(&self, parent: EntityId) -> Vec<EntityId> {
        self.parents.iter().filter(|(_, (of, _))| *of == parent).map(|(child, _)| *child).collect()
    }

    fn objects(&self, type_name: &str) -> Vec<EntityId> {
        let owned = self.objects.iter().filter(|(id, name)| *name == type_name && self.owns(**id));
        owned.map(|(id, _)| *id).collect()
    }

    fn players(&self) -> Vec<(PlayerId, EntityId, String)> {
        self.players.iter().map(|(player, (entity, name))| (*player, *entity, name.clone())).collect()
    }

    fn players_within(&self, at: &Position, metres: f64) -> Vec<(PlayerId, EntityId)> {
        let near = |entity: &EntityId| self.poses[entity].position.distance(at) <= metres;
        let all = self.players.iter().map(|(player, (entity, _))| (*player, *entity));
        all.filter(|(_, entity)| near(entity)).collect()
    }

    fn send(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError> {
        if !self.players.contains_key(&to) {
            return Err(HostError::Unknown);
        }
        self.push(Some(to), None, namespace, event, messagepack);
        Ok(())
    }

    fn send_object(
        &mut self,
        to: EntityId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError> {
        if self.player_of(to).is_some() {
            return Err(HostError::Invalid("a player's avatar is no object".to_owned()));
        }
        self.push(None, Some(to), namespace, event, messagepack);
        Ok(())
    }

    fn broadcast(&mut self, namespace: &str, event: &str, messagepack: Vec<u8>) {
        self.push(None, None, namespace, event, messagepack);
    }
}

impl TestWorld {
    fn push(
        &mut self,
        to: Option<PlayerId>,
        object: Option<EntityId>,
        namespace: &str,
        event: &str,
        payload: Vec<u8>,
    ) {
        let (namespace, event) = (namespace.to_owned(), event.to_owned());
        self.sent.push(Sent { to, object, namespace, event, payload });
    }
}

/// One plugin in a world of its own.
pub struct Bench {
    plugin: Plugin,
    registration: Registration,
    seq: u32,
    /// What the plugin acts on.
    pub world: TestWorld,
    /// What it left for the host.
    pub effects: Effects,
}

/// Makes a plugin for its table.
struct Make<P>(PhantomData<P>);

impl<P: SimplePlugin + Default> Construct for Make<P> {
    fn construct() -> Box<dyn SimplePlugin> {
        Box::new(P::default())
    }
}

impl<P: SimplePlugin + Default> Make<P> {
    const TABLE: PluginTable = table::<Self>();
}

impl Bench {
    /// Registers a plugin with a configuration table given as JSON text.
    ///
    /// # Errors
    ///
    /// [`OpenError`] as a region server would report it.
    pub fn new<P: SimplePlugin + Default>(config: &str) -> Result<Self, OpenError> {
        let mut plugin = Plugin::of_table(&Make::<P>::TABLE)?;
        let registration = plugin.register(config.as_bytes())?;
        let (world, effects) = (TestWorld::default(), Effects::default());
        Ok(Self { plugin, registration, seq: 0, world, effects })
    }

    /// What the plugin registered.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Delivers an event of the core.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn core(&mut self, event: &CoreEvent) -> Result<(), CallError> {
        let payload = event.encode();
        self.deliver(
            Source::Core,
            &Delivery {
                player: NOBODY,
                object: None,
                seq: 0,
                namespace: "core",
                event: event.name(),
                payload: &payload,
                binary: true,
            },
        )
    }

    /// Delivers a numbered input, the `client_input` hooks first. Numbers count up from 1 by themselves.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn input<T: Serialize>(
        &mut self,
        from: PlayerId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), CallError> {
        self.seq += 1;
        let data = payload::encode(message).expect("tests send what MessagePack can say");
        let (namespace, event) = (namespace.to_owned(), event.to_owned());
        self.replay(&ClientInputEvent {
            player_id: from,
            seq: self.seq,
            namespace,
            event,
            data,
            binary: true,
        })
    }

    /// Delivers exactly this input.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn replay(&mut self, input: &ClientInputEvent) -> Result<(), CallError> {
        let delivery = Delivery {
            player: input.player_id,
            object: None,
            seq: input.seq,
            namespace: &input.namespace,
            event: &input.event,
            payload: &input.data,
            binary: input.binary,
        };
        for (number, handler) in self.registration.handlers.iter().enumerate() {
            if handler.source == Source::Core && handler.event == "client_input" {
                self.plugin.call(&mut self.world, &mut self.effects, number as u32, &delivery)?;
            }
        }
        self.deliver(Source::Client, &delivery)
    }

    /// Delivers what a plugin somewhere sent to this player.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn to_player<T: Serialize>(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), CallError> {
        self.deliver_to(Source::Player, to, None, namespace, event, message)
    }

    /// Delivers what a plugin somewhere sent to this object.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn to_object<T: Serialize>(
        &mut self,
        to: EntityId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), CallError> {
        self.deliver_to(Source::Object, NOBODY, Some(to), namespace, event, message)
    }

    /// Gives back what a plugin somewhere sent to an object that is gone, or to a player who never was.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn undeliverable<T: Serialize>(
        &mut self,
        to: Who,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), CallError> {
        let (player, object) = match to {
            Who::Player(player) => (player, None),
            Who::Entity(object) => (NOBODY, Some(object)),
        };
        self.deliver_to(Source::Undeliverable, player, object, namespace, event, message)
    }

    /// Delivers something of the movement lane, which has no numbers.
    ///
    /// # Errors
    ///
    /// The first [`CallError`] of a handler.
    pub fn movement<T: Serialize>(&mut self, from: PlayerId, sample: &T) -> Result<(), CallError> {
        let payload = payload::encode(sample).expect("tests send what MessagePack can say");
        let (namespace, event) = ("movement", "position_update");
        let delivery = Delivery {
            player: from,
            object: None,
            seq: 0,
            namespace,
            event,
            payload: &payload,
            binary: true,
        };
        self.deliver(Source::Client, &delivery)
    }

    fn deliver_to<T: Serialize>(
        &mut self,
        source: Source,
        player: PlayerId,
        object: Option<EntityId>,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), CallError> {
        let payload = payload::encode(message).expect("tests send what MessagePack can say");
        let delivery = Delivery { player, object, seq: 0, namespace, event, payload: &payload, binary: true };
        self.deliver(source, &delivery)
    }

    fn deliver(&mut self, source: Source, delivery: &Delivery<'_>) -> Result<(), CallError> {
        for (number, handler) in self.registration.handlers.iter().enumerate() {
            let named = handler.namespace == delivery.namespace && handler.event == delivery.event;
            if handler.source == source && named {
                self.plugin.call(&mut self.world, &mut self.effects, number as u32, delivery)?;
            }
        }
        Ok(())
    }
}
