//! What a plugin may ask of the world it runs in.
//!
//! The region implements [`HostWorld`]; the plugin host calls it while a handler runs, from the
//! tick thread and nowhere else. Nothing here blocks and nothing calls back into a plugin.

use horizon_model::{EntityId, PlayerId, Pose, Position, Seat, Tick};

/// The region as plugins see it: what it owns, and what it knows of its neighbours.
///
/// Reading works for everything known here, ghosts included. Changing works for what this region
/// owns; everything else is refused with [`HostError::NotOwned`], and the plugin decides.
pub trait HostWorld {
    /// The tick being simulated.
    fn tick(&self) -> Tick;

    /// Simulated seconds since the world's origin; follows dilation, unlike ticks.
    fn sim_seconds(&self) -> f64;

    /// Simulated seconds of one step.
    fn step_seconds(&self) -> f64;

    /// The avatar of a player, also as a ghost.
    fn entity_of(&self, player: PlayerId) -> Option<EntityId>;

    /// The player whose avatar this is, also as a ghost.
    fn player_of(&self, entity: EntityId) -> Option<PlayerId>;

    /// Whether this region may change the entity now.
    fn owns(&self, entity: EntityId) -> bool;

    /// Where an entity is, also as a ghost.
    fn pose(&self, entity: EntityId) -> Option<Pose>;

    /// Moves an entity. With `snap` it appears there, and nobody draws a streak.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`], [`HostError::NotOwned`], or [`HostError::Invalid`] for a place off the map.
    fn set_pose(&mut self, entity: EntityId, pose: Pose, snap: bool) -> Result<(), HostError>;

    /// The stored bytes of a component of an owned entity.
    fn component(&self, entity: EntityId, name: &str) -> Option<&[u8]>;

    /// Stores or removes a component. It travels with the entity and survives crashes.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`], [`HostError::NotOwned`], or [`HostError::Invalid`] if it is too large.
    fn set_component(
        &mut self,
        entity: EntityId,
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), HostError>;

    /// Sets a field that observers see; `json` is one JSON value.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`], [`HostError::NotOwned`], or [`HostError::Invalid`] for an undeclared field.
    fn set_field(&mut self, entity: EntityId, field: &str, json: Vec<u8>) -> Result<(), HostError>;

    /// Creates an object of a declared type.
    ///
    /// # Errors
    ///
    /// [`HostError::Invalid`] for an undeclared type or a place outside this region.
    fn spawn(&mut self, type_name: &str, pose: Pose) -> Result<EntityId, HostError>;

    /// Removes an object. Players are not removed this way.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`], [`HostError::NotOwned`], or [`HostError::Invalid`] for a player.
    fn despawn(&mut self, entity: EntityId) -> Result<(), HostError>;

    /// Attaches an entity to another one: it is moved by that one from now on, and crosses borders with it. If
    /// another region owns the parent, the child goes there first.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`], [`HostError::NotOwned`] for a child that is not ours, or [`HostError::Invalid`]
    /// where the group would be too large or attached to itself.
    fn attach(&mut self, child: EntityId, parent: EntityId, seat: Seat) -> Result<(), HostError>;

    /// Takes an entity off what it is attached to, or on its way to. Harmless where there is nothing.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`] or [`HostError::NotOwned`].
    fn detach(&mut self, child: EntityId) -> Result<(), HostError>;

    /// What an owned entity is attached to.
    fn parent_of(&self, child: EntityId) -> Option<EntityId>;

    /// What is attached to an owned entity directly, in order of ids.
    fn children_of(&self, parent: EntityId) -> Vec<EntityId>;

    /// The owned objects of a type, in order of their ids.
    fn objects(&self, type_name: &str) -> Vec<EntityId>;

    /// Every player known here with the avatar and the display name, ghosts included, in order of ids.
    fn players(&self) -> Vec<(PlayerId, EntityId, String)>;

    /// The players within `metres` of a place, ghosts included, in order of ids.
    fn players_within(&self, at: &Position, metres: f64) -> Vec<(PlayerId, EntityId)>;

    /// Queues a reliable event to one player, wherever in the world it is owned.
    ///
    /// # Errors
    ///
    /// [`HostError::Unknown`] if no region known here can reach the player and no plugin hears the message
    /// for its player, or [`HostError::Invalid`] if the payload is too large.
    fn send(
        &mut self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError>;

    /// Queues a message to one object, wherever in the world it is owned, and whether or not it exists.
    ///
    /// # Errors
    ///
    /// [`HostError::Invalid`] for a player's avatar, or if the payload is too large.
    fn send_object(
        &mut self,
        to: EntityId,
        namespace: &str,
        event: &str,
        messagepack: Vec<u8>,
    ) -> Result<(), HostError>;

    /// Queues a reliable event to every player of the world.
    fn broadcast(&mut self, namespace: &str, event: &str, messagepack: Vec<u8>);
}

/// Why the region refused what a plugin asked for. The world is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nobody here has heard of it: it may have left or never existed.
    #[error("nothing of that id is known here")]
    Unknown,
    /// It belongs to a neighbour, or is on its way there: act where it is owned.
    #[error("another region owns it")]
    NotOwned,
    /// The plugin asked for something that cannot be; the text says what.
    #[error("{0}")]
    Invalid(String),
}
