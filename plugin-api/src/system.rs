//! Registration: which events a plugin wants, which objects and fields it declares.

use std::future::{Ready, ready};
use std::sync::{Mutex, MutexGuard, PoisonError};

use horizon_model::{Channel, ChannelSpec, EntityId, GorcObject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::handler::{BoxedHandler, ClientHandler, CoreHandler, HandlerResult, PluginHandler};
use crate::{Ctx, PluginError, Who, payload};

/// Names of the core's events, as `on_core` takes them.
pub const CORE_EVENTS: [&str; 6] = [
    "player_connected",
    "player_disconnected",
    "server_tick",
    "region_started",
    "region_stopping",
    "client_input",
];

/// Answer of every registration call: ready at once, awaited by habit.
pub type Registered = Ready<Result<(), PluginError>>;

/// Who a handler listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The region itself.
    Core,
    /// Players' programs.
    Client,
    /// Other plugins.
    Plugin,
    /// Whatever plugins anywhere in the world send to a player.
    Player,
    /// Whatever plugins anywhere in the world send to an object.
    Object,
    /// What was sent to an object that is gone, or to a player who never was.
    Undeliverable,
}

/// One handler, as the host sees it; its place in the list is its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HandlerName {
    /// Who it listens to.
    pub source: Source,
    /// `core`, or a plugin's namespace.
    pub namespace: String,
    /// Name of the event.
    pub event: String,
}

/// Radius, hysteresis, rate, precision, priority and nearest of a channel, as they cross the boundary.
pub type ChannelNumbers = (f64, f64, u32, u32, f32, u32);

/// An object type that a plugin spawns, or adds fields to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectType {
    /// Unique among all plugins of a region server.
    pub name: String,
    /// Channel 0 to 3 of each field that observers see.
    pub fields: Vec<(String, u8)>,
    /// Reach and rate of the four channels; the defaults where absent.
    pub channels: Option<[ChannelNumbers; 4]>,
}

impl ObjectType {
    /// A type without fields, on the default channels.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), fields: Vec::new(), channels: None }
    }

    /// The type of a struct that derives [`GorcObject`], as [`crate::Ctx::spawn_object`] spawns it. A struct
    /// that gives no number of any channel leaves all four channels to the configuration.
    pub fn of<T: GorcObject>() -> Self {
        let declared = T::FIELDS
            .iter()
            .fold(Self::new(T::TYPE_NAME), |declared, (name, channel)| declared.field(name, *channel));
        if T::CHANNELS == ChannelSpec::DEFAULT { declared } else { declared.channels(T::CHANNELS) }
    }

    /// Adds a field that observers who hold `channel` see.
    #[must_use]
    pub fn field(mut self, name: &str, channel: Channel) -> Self {
        self.fields.push((name.to_owned(), channel.index() as u8));
        self
    }

    /// Replaces reach and rate of the four channels.
    #[must_use]
    pub fn channels(mut self, specs: [ChannelSpec; 4]) -> Self {
        let numbers = |spec: ChannelSpec| {
            let reach = (spec.radius_metres, spec.hysteresis_metres);
            (reach.0, reach.1, spec.rate_hz, spec.precision_cm, spec.priority, spec.nearest)
        };
        self.channels = Some(specs.map(numbers));
        self
    }
}

/// Everything one plugin registered, as it crosses the boundary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The handlers by number.
    pub handlers: Vec<HandlerName>,
    /// Object types declared here.
    pub objects: Vec<ObjectType>,
    /// Fields of players declared here, with their channel.
    pub player_fields: Vec<(String, u8)>,
    /// Names of events that clients may get.
    pub emits: Vec<(String, String)>,
}

/// Where a plugin says what it wants. Shared as `Arc` during registration.
pub struct EventSystem {
    plugin: String,
    config: Vec<u8>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    handlers: Vec<BoxedHandler>,
    registration: Registration,
}

impl EventSystem {
    pub(crate) fn new(plugin: &str, config: &[u8]) -> Self {
        Self { plugin: plugin.to_owned(), config: config.to_vec(), inner: Mutex::default() }
    }

    pub(crate) fn take(&self) -> (Vec<BoxedHandler>, Registration) {
        let inner = std::mem::take(&mut *self.inner());
        (inner.handlers, inner.registration)
    }

    /// Calls `handler` for an event of the core; the closure's argument type must match the name.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for an unknown name, or one whose event has another type.
    pub fn on_core<Shape, H: CoreHandler<Shape>>(&self, name: &str, mut handler: H) -> Registered {
        if !CORE_EVENTS.contains(&name) {
            return ready(Err(PluginError::Other(format!(
                "on_core: there is no event {name:?}; there are {}",
                CORE_EVENTS.join(", ")
            ))));
        }
        if handler.event_name() != name {
            return ready(Err(PluginError::Other(format!(
                "on_core({name:?}): the closure takes the event of {:?}; change one of the two",
                handler.event_name()
            ))));
        }
        self.add(Source::Core, "core", name, Box::new(move |cx, delivery| handler.handle(cx, delivery)))
    }

    /// Calls `handler` for every message of this name that a player sends from this region.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn on_client<Shape, H: ClientHandler<Shape>>(
        &self,
        namespace: &str,
        event: &str,
        mut handler: H,
    ) -> Registered {
        let handler: BoxedHandler = Box::new(move |cx, delivery| handler.handle(cx, delivery));
        self.add(Source::Client, namespace, event, handler)
    }

    /// Calls `handler` for every event of this name that a plugin of this region server emits.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn on_plugin<Shape, H: PluginHandler<Shape>>(
        &self,
        namespace: &str,
        event: &str,
        mut handler: H,
    ) -> Registered {
        let handler: BoxedHandler = Box::new(move |cx, delivery| handler.handle(cx, delivery));
        self.add(Source::Plugin, namespace, event, handler)
    }

    /// Calls `handler` in the region that owns the player, for every message of this name that a plugin
    /// anywhere sends to a player with [`Ctx::send`](crate::Ctx::send): once, and in the same durable step as
    /// what the handler changes. The client hears nothing of it but what the handler sends.
    ///
    /// A message for a player who is on the way between two regions waits for the next owner; one for a
    /// player who has left the world waits for the return.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn on_player<Shape, H: ClientHandler<Shape>>(
        &self,
        namespace: &str,
        event: &str,
        mut handler: H,
    ) -> Registered {
        let handler: BoxedHandler = Box::new(move |cx, delivery| handler.handle(cx, delivery));
        self.add(Source::Player, namespace, event, handler)
    }

    /// Calls `handler`, as `|cx, object, message|`, in the region that owns the object, for every message of this
    /// name that a plugin anywhere sends to an object with [`Ctx::send_object`]: once, and
    /// in the same durable step as what the handler changes.
    ///
    /// A message for an object that is on the way between two regions waits for the next owner.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn on_object<T, H>(&self, namespace: &str, event: &str, mut handler: H) -> Registered
    where
        T: DeserializeOwned,
        H: FnMut(&mut Ctx, EntityId, T) -> HandlerResult + Send + 'static,
    {
        let handler: BoxedHandler = Box::new(move |cx, delivery| {
            let object = delivery.object.ok_or("a message to an object names none")?;
            handler(cx, object, delivery.decode()?)
        });
        self.add(Source::Object, namespace, event, handler)
    }

    /// Calls `handler`, as `|cx, to, message|`, for every message of this name to an object that is gone, or
    /// never was: once, in the region that finds it out, which may be any. Whoever waits for an answer is
    /// told from here; so the message had better say who that is. The same for messages to players
    /// who have never been in this world, if a plugin hears them with [`Self::on_player`]; that takes some
    /// seconds to find out.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn on_undeliverable<T, H>(&self, namespace: &str, event: &str, mut handler: H) -> Registered
    where
        T: DeserializeOwned,
        H: FnMut(&mut Ctx, Who, T) -> HandlerResult + Send + 'static,
    {
        let handler: BoxedHandler = Box::new(move |cx, delivery| {
            let to = delivery.object.map_or(Who::Player(delivery.player), Who::Entity);
            handler(cx, to, delivery.decode()?)
        });
        self.add(Source::Undeliverable, namespace, event, handler)
    }

    /// Declares an object type that this plugin spawns.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for an empty name or one that is declared twice. The host checks the rest.
    pub fn object_type(&self, object: ObjectType) -> Registered {
        let mut inner = self.inner();
        let known = &mut inner.registration.objects;
        if object.name.is_empty() || object.name == "player" || known.iter().any(|o| o.name == object.name) {
            return ready(Err(PluginError::Other(format!(
                "object_type: the name {:?} is empty, reserved or taken; choose another",
                object.name
            ))));
        }
        known.push(object);
        ready(Ok(()))
    }

    /// Declares a field of players' avatars that observers who hold `channel` see.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for an empty name.
    pub fn player_field(&self, name: &str, channel: Channel) -> Registered {
        if name.is_empty() {
            return ready(Err(PluginError::from("player_field: a field needs a name")));
        }
        self.inner().registration.player_fields.push((name.to_owned(), channel.index() as u8));
        ready(Ok(()))
    }

    /// Declares an event that this plugin sends to clients, so that it travels as a number.
    /// Events that are not declared are sent by their full name.
    ///
    /// # Errors
    ///
    /// [`PluginError::Other`] for a name that is empty or longer than 48 bytes.
    pub fn emits(&self, namespace: &str, event: &str) -> Registered {
        if let Err(error) = check_names(namespace, event) {
            return ready(Err(error));
        }
        self.inner().registration.emits.push((namespace.to_owned(), event.to_owned()));
        ready(Ok(()))
    }

    /// The table `[plugin.NAME]` of the configuration; an absent table reads as an empty one.
    ///
    /// # Errors
    ///
    /// [`PluginError::Config`] where the table is not what `T` expects.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        read_config(&self.plugin, &self.config)
    }

    fn add(&self, source: Source, namespace: &str, event: &str, handler: BoxedHandler) -> Registered {
        if let Err(error) = check_names(namespace, event) {
            return ready(Err(error));
        }
        let mut inner = self.inner();
        inner.handlers.push(handler);
        let (namespace, event) = (namespace.to_owned(), event.to_owned());
        inner.registration.handlers.push(HandlerName { source, namespace, event });
        ready(Ok(()))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a plugin's configuration table, given as JSON.
pub(crate) fn read_config<T: DeserializeOwned>(plugin: &str, json: &[u8]) -> Result<T, PluginError> {
    let json = if json.is_empty() { b"{}" } else { json };
    payload::decode(json, false)
        .map_err(|error| PluginError::Config { plugin: plugin.to_owned(), detail: error.to_string() })
}

/// Longest namespace or event name in bytes; the client protocol allows no longer one.
const MAX_NAME_BYTES: usize = 48;

fn check_names(namespace: &str, event: &str) -> Result<(), PluginError> {
    match [namespace, event].into_iter().find(|name| name.is_empty() || name.len() > MAX_NAME_BYTES) {
        Some(name) => Err(PluginError::Other(format!(
            "the name {name:?} of {namespace:?}/{event:?} must have 1 to {MAX_NAME_BYTES} bytes"
        ))),
        None => Ok(()),
    }
}
