//! The events of the core, and the messages of clients as they come.

use horizon_model::{EntityId, PlayerId, RegionId, SessionId, Tick};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{PluginError, payload};

/// A player has a place in this region now: a new session, or the first at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlayerConnectedEvent {
    /// The account.
    pub player_id: PlayerId,
    /// The avatar.
    pub entity: EntityId,
    /// Display name.
    pub name: String,
    /// The stay that begins; input numbers start over with it.
    pub session: SessionId,
    /// Where a development guest asked to appear, metres.
    pub spawn: Option<[f64; 3]>,
    /// The player has never been in this world before.
    pub fresh: bool,
}

/// A player left for good: said goodbye, or stayed away too long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlayerDisconnectedEvent {
    /// The account.
    pub player_id: PlayerId,
    /// The avatar, which goes after this event.
    pub entity: EntityId,
}

/// One step of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ServerTickEvent {
    /// World tick; the numbers of a 30 Hz region rise by two, and by more after a stall.
    pub tick: Tick,
    /// Simulated seconds since the world's origin.
    pub sim_time_s: f64,
    /// Simulated seconds of this step.
    pub step_s: f64,
}

/// The region begins its work: new, or recovered from its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionStartedEvent {
    /// Which one.
    pub region: RegionId,
    /// No state existed before: this is the moment to spawn what belongs here.
    pub fresh: bool,
    /// Lower corner of its cells, metres; infinite where it has no end.
    pub low: [f64; 3],
    /// Upper corner, metres; not part of it.
    pub high: [f64; 3],
}

/// The region ends its work in order; its state is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionStoppingEvent {
    /// Which one.
    pub region: RegionId,
}

/// A numbered input of a client, before the handlers of its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInputEvent {
    /// Who sent it.
    pub player_id: PlayerId,
    /// 1, 2, 3 … within the session.
    pub seq: u32,
    /// Namespace, as `chat`.
    pub namespace: String,
    /// Event within it, as `say`.
    pub event: String,
    /// The payload as it came.
    pub data: Vec<u8>,
    /// MessagePack, else JSON text.
    pub binary: bool,
}

/// A client's message as it came, for handlers that decode it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawClientMessageEvent {
    /// Who sent it.
    pub player_id: PlayerId,
    /// The payload as it came.
    pub data: Vec<u8>,
    /// Number of the input; zero on the movement lane.
    pub seq: u32,
    /// Namespace, as `chat`.
    pub namespace: String,
    /// Event within it, as `say`.
    pub event: String,
    /// MessagePack, else JSON text.
    pub binary: bool,
}

impl RawClientMessageEvent {
    /// Reads the payload in whichever spelling it came.
    ///
    /// # Errors
    ///
    /// [`PluginError::Payload`], which counts against the client.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        payload::decode(&self.data, self.binary).map_err(|error| PluginError::Payload {
            name: format!("{}/{}", self.namespace, self.event),
            detail: error.to_string(),
        })
    }
}

/// Where a client says its body was: payload of `movement`/`position_update`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MovementSample {
    /// The world tick that the client means.
    pub tick: Tick,
    /// Metres from the world's origin.
    pub position: [f64; 3],
    /// Metres per second.
    pub velocity: [f32; 3],
    /// Heading in radians.
    pub yaw: f32,
}

/// What arrives at one handler, borrowed from the host for the call.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Who sent it, or to whom it was sent; meaningless for core and plugin events.
    pub player: PlayerId,
    /// The object to which it was sent, where it was one.
    pub object: Option<EntityId>,
    /// Number of the input; zero where it has none.
    pub seq: u32,
    /// `core` for events of the core.
    pub namespace: &'a str,
    /// Name of the event.
    pub event: &'a str,
    /// The value, or the client's payload.
    pub payload: &'a [u8],
    /// MessagePack, else JSON text.
    pub binary: bool,
}

impl Delivery<'_> {
    /// Reads the payload in whichever spelling it came.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        payload::decode(self.payload, self.binary).map_err(|error| PluginError::Payload {
            name: format!("{}/{}", self.namespace, self.event),
            detail: error.to_string(),
        })
    }

    /// The message as it came, in the author's hands.
    pub(crate) fn raw(&self) -> RawClientMessageEvent {
        RawClientMessageEvent {
            player_id: self.player,
            data: self.payload.to_vec(),
            seq: self.seq,
            namespace: self.namespace.to_owned(),
            event: self.event.to_owned(),
            binary: self.binary,
        }
    }
}

/// An event of the core that a closure can take. The name is the one given to `on_core`.
pub trait CoreEventValue: Sized {
    /// As in `on_core("server_tick", …)`.
    const NAME: &'static str;

    /// Reads the value from a delivery.
    ///
    /// # Errors
    ///
    /// [`PluginError::Payload`] where host and plugin disagree about the event.
    fn from_delivery(delivery: &Delivery<'_>) -> Result<Self, PluginError>;
}

macro_rules! core_events {
    ($($variant:ident($type:ident) = $name:literal,)*) => {
        $(impl CoreEventValue for $type {
            const NAME: &'static str = $name;

            fn from_delivery(delivery: &Delivery<'_>) -> Result<Self, PluginError> {
                delivery.decode()
            }
        })*

        /// Every event of the core that carries a value of its own.
        #[derive(Debug, Clone, PartialEq)]
        pub enum CoreEvent {
            $(#[doc = concat!("`", $name, "`")] $variant($type),)*
        }

        impl CoreEvent {
            /// The name that plugins register for.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The value as it crosses the boundary.
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Self::$variant(event) => payload::encode(event),)* }
                    .expect("core events are plain structs, which MessagePack can always say")
            }
        }
    };
}

core_events! {
    PlayerConnected(PlayerConnectedEvent) = "player_connected",
    PlayerDisconnected(PlayerDisconnectedEvent) = "player_disconnected",
    ServerTick(ServerTickEvent) = "server_tick",
    RegionStarted(RegionStartedEvent) = "region_started",
    RegionStopping(RegionStoppingEvent) = "region_stopping",
}

impl CoreEventValue for ClientInputEvent {
    const NAME: &'static str = "client_input";

    fn from_delivery(delivery: &Delivery<'_>) -> Result<Self, PluginError> {
        Ok(Self {
            player_id: delivery.player,
            seq: delivery.seq,
            namespace: delivery.namespace.to_owned(),
            event: delivery.event.to_owned(),
            data: delivery.payload.to_vec(),
            binary: delivery.binary,
        })
    }
}
