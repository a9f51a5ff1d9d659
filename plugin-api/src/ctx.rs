//! What a handler may do: the world as this region knows it.

use horizon_model::{EntityId, FieldError, GorcObject, Json, PlayerId, Pose, Position, Seat, Tick};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::RawClock;
use crate::boundary::HostRef;
use crate::component::{Component, ComponentMut, from_bytes, to_bytes};
use crate::{PluginError, payload, system};

/// A player by account or any entity by id, wherever a call takes either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The player's avatar.
    Player(PlayerId),
    /// A player's avatar or an object.
    Entity(EntityId),
}

impl From<PlayerId> for Who {
    fn from(id: PlayerId) -> Self {
        Self::Player(id)
    }
}

impl From<EntityId> for Who {
    fn from(id: EntityId) -> Self {
        Self::Entity(id)
    }
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Broken: somebody must act.
    Error = 1,
    /// A human should look.
    Warn = 2,
    /// Worth knowing.
    Info = 3,
    /// For who looks for a fault.
    Debug = 4,
    /// One line per message.
    Trace = 5,
}

/// The world during one handler call.
///
/// Reading works for everything known here, copies of the neighbours' entities included; components
/// and changes work for what this region owns and fail with [`PluginError::NotOwned`] elsewhere.
pub struct Ctx {
    host: HostRef,
    plugin: String,
    config: Vec<u8>,
    failure: Option<PluginError>,
}

impl Ctx {
    pub(crate) fn new(host: HostRef, plugin: &str, config: &[u8]) -> Self {
        Self { host, plugin: plugin.to_owned(), config: config.to_vec(), failure: None }
    }

    /// The first failure that no result could carry.
    pub(crate) fn into_failure(self) -> Option<PluginError> {
        self.failure
    }

    pub(crate) fn fail_later(&mut self, error: PluginError) {
        self.failure.get_or_insert(error);
    }

    /// The tick being simulated.
    pub fn tick(&self) -> Tick {
        Tick(self.clock().tick)
    }

    /// Simulated seconds since the world's origin.
    pub fn sim_time(&self) -> f64 {
        self.clock().sim_seconds
    }

    /// Simulated seconds of one step.
    pub fn step_seconds(&self) -> f64 {
        self.clock().step_seconds
    }

    fn clock(&self) -> RawClock {
        self.host.clock()
    }

    /// The avatar of a player known here.
    pub fn entity_of(&self, player: PlayerId) -> Option<EntityId> {
        self.host.entity_of(player)
    }

    /// The player of an avatar known here.
    pub fn player_of(&self, entity: EntityId) -> Option<PlayerId> {
        self.host.player_of(entity)
    }

    /// Whether this region may change the entity now.
    pub fn owns(&self, who: impl Into<Who>) -> bool {
        self.resolve(who.into()).is_ok_and(|entity| self.host.owns(entity))
    }

    /// Every player known here, with the avatar and the display name, copies from neighbours included.
    pub fn players(&self) -> Vec<(PlayerId, EntityId, String)> {
        self.host.players()
    }

    /// The players within `metres` of a place, copies from neighbours included.
    pub fn players_within(&self, position: Position, metres: f64) -> Vec<(PlayerId, EntityId)> {
        self.host.players_within(position, metres)
    }

    /// The objects of a type that this region owns.
    pub fn objects(&self, type_name: &str) -> Vec<EntityId> {
        self.host.objects(type_name)
    }

    /// Where somebody is, copies from neighbours included.
    pub fn pose(&self, who: impl Into<Who>) -> Option<Pose> {
        self.resolve(who.into()).ok().and_then(|entity| self.host.pose(entity))
    }

    /// Moves somebody; observers see a movement.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`], or [`PluginError::Refused`] for a place off the map.
    pub fn set_pose(&mut self, who: impl Into<Who>, pose: Pose) -> Result<(), PluginError> {
        let entity = self.resolve(who.into())?;
        self.host.set_pose(entity, &pose, false)
    }

    /// Puts somebody elsewhere at once; observers see a jump, not a streak.
    ///
    /// # Errors
    ///
    /// As [`Self::set_pose`].
    pub fn teleport(&mut self, who: impl Into<Who>, pose: Pose) -> Result<(), PluginError> {
        let entity = self.resolve(who.into())?;
        self.host.set_pose(entity, &pose, true)
    }

    /// Creates an object of a type this plugin declared.
    ///
    /// # Errors
    ///
    /// [`PluginError::Refused`] for an undeclared type or a place outside this region.
    pub fn spawn(&mut self, type_name: &str, pose: Pose) -> Result<EntityId, PluginError> {
        self.host.spawn(type_name, &pose)
    }

    /// Creates an object from a struct, at the struct's pose and with all its fields. Its type is declared
    /// with `object_type(ObjectType::of::<T>())`.
    ///
    /// # Errors
    ///
    /// As [`Self::spawn`] and [`Self::set_field`], or [`PluginError::Refused`] if the struct has no position.
    /// Nothing has been spawned then.
    pub fn spawn_object<T: GorcObject>(&mut self, object: &T) -> Result<EntityId, PluginError> {
        let pose = object.pose().ok_or_else(|| {
            PluginError::Refused(format!(
                "{} has no position that exists; use spawn and a pose",
                T::TYPE_NAME
            ))
        })?;
        let entity = self.host.spawn(T::TYPE_NAME, &pose)?;
        let set = self.set_fields(entity, object);
        if set.is_err() {
            self.host.despawn(entity)?;
        }
        set.map(|()| entity)
    }

    /// Shows observers what of an object is new: its pose as a movement, if the struct has a position, and
    /// the fields that changed. For a jump, call [`Self::teleport`] before.
    ///
    /// # Errors
    ///
    /// As [`Self::set_pose`] and [`Self::set_field`]. What was set before the error stays set.
    pub fn update_object<T: GorcObject>(&mut self, entity: EntityId, object: &T) -> Result<(), PluginError> {
        if let Some(pose) = object.pose() {
            self.host.set_pose(entity, &pose, false)?;
        }
        self.set_fields(entity, object)
    }

    fn set_fields<T: GorcObject>(&mut self, entity: EntityId, object: &T) -> Result<(), PluginError> {
        let mut refused = Ok(());
        let encoded = object.for_each_field(&Json, &mut |index, json| {
            if refused.is_ok() {
                let (name, _) = T::FIELDS[usize::from(index)];
                refused = self.host.set_field(entity, name, json);
            }
        });
        refused?;
        encoded.map_err(|FieldError { field, source }| PluginError::Encode {
            what: format!("field {field} of {}", T::TYPE_NAME),
            detail: source.to_string(),
        })
    }

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`], or [`PluginError::Refused`] for a player.
    pub fn despawn(&mut self, entity: EntityId) -> Result<(), PluginError> {
        self.host.despawn(entity)
    }

    /// Attaches somebody or something to an entity: a rider to a vehicle, a thing to a hand. From then on the parent
    /// moves it, and both cross every border in one commit. If another region owns the parent, the child goes
    /// there first, and is attached on arrival; [`Self::parent_of`] says when. A group has at most 16 members.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`] for a child of another region, or
    /// [`PluginError::Refused`] where the group would be too large or attached to itself.
    pub fn attach(&mut self, child: impl Into<Who>, parent: EntityId, seat: Seat) -> Result<(), PluginError> {
        let child = self.resolve(child.into())?;
        self.host.attach(child, parent, seat)
    }

    /// Takes somebody or something off what it is attached to, or on its way to.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`] or [`PluginError::NotOwned`].
    pub fn detach(&mut self, child: impl Into<Who>) -> Result<(), PluginError> {
        let child = self.resolve(child.into())?;
        self.host.detach(child)
    }

    /// What somebody or something of this region is attached to.
    pub fn parent_of(&self, child: impl Into<Who>) -> Option<EntityId> {
        self.host.parent_of(self.resolve(child.into()).ok()?)
    }

    /// What is attached to an entity of this region directly.
    pub fn children_of(&self, parent: EntityId) -> Vec<EntityId> {
        self.host.children_of(parent)
    }

    /// Reads a component; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], or [`PluginError::Other`] where the stored bytes cannot be read.
    pub fn component<T: Component>(&self, who: impl Into<Who>) -> Result<Option<T>, PluginError> {
        let entity = self.resolve(who.into())?;
        self.host.component(entity, T::NAME).map(|bytes| from_bytes(&bytes)).transpose()
    }

    /// Opens a component for changing, starting from the default where there is none. What changed
    /// is stored when the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`], or [`PluginError::Other`] where the
    /// stored bytes cannot be read.
    pub fn component_mut<T: Component + Default>(
        &mut self,
        who: impl Into<Who>,
    ) -> Result<ComponentMut<'_, T>, PluginError> {
        let entity = self.resolve(who.into())?;
        if !self.host.owns(entity) {
            return Err(PluginError::NotOwned);
        }
        let stored = self.host.component(entity, T::NAME);
        let value = stored.as_deref().map(from_bytes).transpose()?.unwrap_or_default();
        Ok(ComponentMut::new(self, entity, value, stored))
    }

    /// Stores a component.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`], [`PluginError::Encode`], or
    /// [`PluginError::Refused`] if it is too large.
    pub fn set_component<T: Component>(&mut self, who: impl Into<Who>, value: &T) -> Result<(), PluginError> {
        let entity = self.resolve(who.into())?;
        self.write_component(entity, T::NAME, &to_bytes(value)?)
    }

    /// Removes a component.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`] or [`PluginError::NotOwned`].
    pub fn remove_component<T: Component>(&mut self, who: impl Into<Who>) -> Result<(), PluginError> {
        let entity = self.resolve(who.into())?;
        self.host.remove_component(entity, T::NAME)
    }

    pub(crate) fn write_component(
        &mut self,
        entity: EntityId,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), PluginError> {
        self.host.set_component(entity, name, bytes)
    }

    /// Sets a field that observers see; declare it with `object_type` or `player_field`.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`], [`PluginError::NotOwned`], [`PluginError::Encode`], or
    /// [`PluginError::Refused`] for an undeclared field.
    pub fn set_field<T: Serialize + ?Sized>(
        &mut self,
        who: impl Into<Who>,
        field: &str,
        value: &T,
    ) -> Result<(), PluginError> {
        let entity = self.resolve(who.into())?;
        let json = serde_json::to_vec(value).map_err(|error| PluginError::Encode {
            what: format!("field {field}"),
            detail: error.to_string(),
        })?;
        self.host.set_field(entity, field, &json)
    }

    /// Sends a reliable event to one player, wherever in the world that player is.
    ///
    /// # Errors
    ///
    /// [`PluginError::Unknown`] if no player of that id is known here, [`PluginError::Encode`], or
    /// [`PluginError::Refused`] if it is too large. What a plugin hears with
    /// [`on_player`](crate::EventSystem::on_player) is taken for players who are not known here, too: the store is asked.
    pub fn send<T: Serialize + ?Sized>(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        let bytes = encode(namespace, event, message)?;
        self.host.send(to, namespace, event, &bytes)
    }

    /// Sends a message to one object: the plugin that registered
    /// [`on_object`](crate::EventSystem::on_object) for the name hears it once, in the region that owns the
    /// object by then, whoever owns it now. Where the object is gone by then,
    /// [`on_undeliverable`](crate::EventSystem::on_undeliverable) hears of it instead.
    ///
    /// # Errors
    ///
    /// [`PluginError::Encode`], or [`PluginError::Refused`] for a player's avatar, or if it is too large.
    pub fn send_object<T: Serialize + ?Sized>(
        &mut self,
        to: EntityId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        let bytes = encode(namespace, event, message)?;
        self.host.send_object(to, namespace, event, &bytes)
    }

    /// The same as [`Self::send`], under the name that goes with `emit_plugin`.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn emit_client<T: Serialize + ?Sized>(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        self.send(to, namespace, event, message)
    }

    /// Sends a reliable event to every player of the world.
    ///
    /// # Errors
    ///
    /// [`PluginError::Encode`].
    pub fn broadcast<T: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        let bytes = encode(namespace, event, message)?;
        self.host.broadcast(namespace, event, &bytes);
        Ok(())
    }

    /// The same as [`Self::broadcast`], under the name that goes with `emit_plugin`.
    ///
    /// # Errors
    ///
    /// As [`Self::broadcast`].
    pub fn emit_broadcast<T: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        self.broadcast(namespace, event, message)
    }

    /// Tells the other plugins of this region server; they hear it after this handler has returned.
    ///
    /// # Errors
    ///
    /// [`PluginError::Encode`].
    pub fn emit_plugin<T: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        event: &str,
        message: &T,
    ) -> Result<(), PluginError> {
        let bytes = encode(namespace, event, message)?;
        self.host.emit_plugin(namespace, event, &bytes);
        Ok(())
    }

    /// Writes a line to the region server's log, under the plugin's name.
    pub fn log(&self, level: Level, text: &str) {
        self.host.log(level as u32, text);
    }

    /// The table `[plugin.NAME]` of the configuration; an absent table reads as an empty one.
    ///
    /// # Errors
    ///
    /// [`PluginError::Config`] where the table is not what `T` expects.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        system::read_config(&self.plugin, &self.config)
    }

    fn resolve(&self, who: Who) -> Result<EntityId, PluginError> {
        match who {
            Who::Entity(entity) => Ok(entity),
            Who::Player(player) => self.host.entity_of(player).ok_or(PluginError::Unknown),
        }
    }
}

fn encode<T: Serialize + ?Sized>(namespace: &str, event: &str, message: &T) -> Result<Vec<u8>, PluginError> {
    payload::encode(message).map_err(|error| PluginError::Encode {
        what: format!("{namespace}/{event}"),
        detail: error.to_string(),
    })
}
