//! Who hears what, in which order, and what it costs a plugin to fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use horizon_handoff::mutant::{self, Mutant};
use horizon_model::{EntityId, ObjectSchema, PlayerId};
use horizon_plugin_api::host::{CallError, Effects, Emitted, HostWorld, NOBODY, Plugin};
use horizon_plugin_api::{CoreEvent, Delivery, MovementSample, Source, Who, payload};
use horizon_protocol::client::MoveSample;
use tracing::{debug, info, trace, warn};

use super::LoadError;
use super::load::{Loaded, load_all};
use super::tables::Tables;

/// Plugin events delivered after one core event or input; two plugins that answer each other
/// without end would stop the tick otherwise. Real chains are a few events long.
const MAX_CHAIN: usize = 4096;

/// What became of a client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputResult {
    /// Every handler of that name returned well.
    Handled,
    /// No plugin knows the name; the client is at fault.
    Unknown,
    /// A handler could not read the payload; the client is at fault. The text says what was wrong.
    BadPayload(String),
    /// A plugin failed; the client is not at fault, and the input counts as applied.
    Failed,
}

/// One handler of one plugin.
#[derive(Debug, Clone, Copy)]
struct Slot {
    plugin: usize,
    handler: u32,
}

/// Handlers by namespace and event, in the order of plugins and of registration.
#[derive(Default)]
struct Handlers(BTreeMap<String, BTreeMap<String, Vec<Slot>>>);

impl Handlers {
    fn add(&mut self, namespace: &str, event: &str, slot: Slot) {
        let events = self.0.entry(namespace.to_owned()).or_default();
        events.entry(event.to_owned()).or_default().push(slot);
    }

    fn of(&self, namespace: &str, event: &str) -> &[Slot] {
        self.0.get(namespace).and_then(|events| events.get(event)).map_or(&[], Vec::as_slice)
    }
}

/// A plugin and how often it failed.
struct Running {
    plugin: Plugin,
    strikes: u64,
}

/// All plugins of a region server.
pub struct PluginHost {
    core: Handlers,
    client: Handlers,
    between: Handlers,
    players: Handlers,
    objects: Handlers,
    undeliverable: Handlers,
    running: Calls,
    tables: Tables,
    initialised: bool,
}

/// The part of the host that calls change.
struct Calls {
    plugins: Vec<Running>,
    effects: Effects,
    queue: VecDeque<Emitted>,
}

impl PluginHost {
    /// Loads every plugin of a folder, in the order of file names; `configs` holds the tables
    /// `[plugin.NAME]` by name.
    ///
    /// # Errors
    ///
    /// [`LoadError`] of the first plugin that cannot be used; it names the file and who must do what.
    pub fn load(folder: &Path, configs: &BTreeMap<String, serde_json::Value>) -> Result<Self, LoadError> {
        Self::of(load_all(folder, configs)?)
    }

    /// A host without plugins: every input is unknown, and players only stand there.
    pub fn empty() -> Self {
        Self::of(Vec::new()).expect("nothing declared cannot collide")
    }

    fn of(loaded: Vec<Loaded>) -> Result<Self, LoadError> {
        let tables =
            Tables::build(loaded.iter().map(|plugin| (plugin.plugin.about(), &plugin.registration)))?;
        let (mut core, mut client, mut between) =
            (Handlers::default(), Handlers::default(), Handlers::default());
        let (mut players, mut objects, mut undeliverable) =
            (Handlers::default(), Handlers::default(), Handlers::default());
        let mut plugins = Vec::new();
        for (index, Loaded { plugin, registration }) in loaded.into_iter().enumerate() {
            for (handler, name) in (0_u32..).zip(&registration.handlers) {
                let handlers = match name.source {
                    Source::Core => &mut core,
                    Source::Client => &mut client,
                    Source::Plugin => &mut between,
                    Source::Player => &mut players,
                    Source::Object => &mut objects,
                    Source::Undeliverable => &mut undeliverable,
                };
                handlers.add(&name.namespace, &name.event, Slot { plugin: index, handler });
            }
            plugins.push(Running { plugin, strikes: 0 });
        }
        let running = Calls { plugins, effects: Effects::default(), queue: VecDeque::new() };
        Ok(Self {
            core,
            client,
            between,
            players,
            objects,
            undeliverable,
            running,
            tables,
            initialised: false,
        })
    }

    /// Hash of names and versions of all plugins, the interface, and everything they declare. Two
    /// region servers of one world must agree on it.
    pub const fn hash(&self) -> u64 {
        self.tables.hash
    }

    /// Namespace and event of everything clients may send or get by number, sorted.
    pub fn names(&self) -> &[(String, String)] {
        &self.tables.names
    }

    /// Object types by their number; 0 is the player.
    pub fn schemas(&self) -> &[ObjectSchema] {
        &self.tables.schemas
    }

    /// Name and version of every plugin, in order.
    pub fn plugins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.running.plugins.iter().map(|running| {
            let about = running.plugin.about();
            (about.name.as_str(), about.version.as_str())
        })
    }

    /// How often each plugin failed or panicked since the start, in order of plugins.
    pub fn strikes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.running.plugins.iter().map(|running| (running.plugin.about().name.as_str(), running.strikes))
    }

    /// Delivers an event of the core. The first one initialises the plugins.
    pub fn core(&mut self, world: &mut dyn HostWorld, event: &CoreEvent) {
        self.initialise(world);
        let slots = self.core.of("core", event.name());
        if slots.is_empty() {
            return;
        }
        let payload = event.encode();
        let delivery = from_nobody("core", event.name(), &payload);
        for slot in slots {
            self.running.call(world, *slot, &delivery);
        }
        self.running.settle(world, &self.between);
    }

    /// Delivers a numbered input: the `client_input` hooks first, then the handlers of its name.
    /// `payload` is MessagePack if `binary`, else JSON text.
    #[expect(clippy::too_many_arguments, reason = "these are the fields of an input")]
    pub fn input(
        &mut self,
        world: &mut dyn HostWorld,
        player: PlayerId,
        seq: u32,
        namespace: &str,
        event: &str,
        payload: &[u8],
        binary: bool,
    ) -> InputResult {
        self.initialise(world);
        let delivery = Delivery { player, object: None, seq, namespace, event, payload, binary };
        for slot in self.core.of("core", "client_input") {
            let well = self.running.call(world, *slot, &delivery);
            if !well && mutant::is_off(Mutant::FailureEndsDelivery) {
                return InputResult::Failed;
            }
        }
        self.deliver(world, &delivery)
    }

    /// Whether messages of this name that are sent to players are for plugins, where the player is owned.
    pub fn hears(&self, namespace: &str, event: &str) -> bool {
        !self.players.of(namespace, event).is_empty()
    }

    /// Every name of which [`Self::hears`] is true.
    pub fn heard_for_players(&self) -> BTreeSet<(String, String)> {
        let names = |(namespace, events): (&String, &BTreeMap<String, Vec<Slot>>)| {
            let name = |event: &String| (namespace.clone(), event.clone());
            events.keys().map(name).collect::<Vec<_>>()
        };
        self.players.0.iter().flat_map(names).collect()
    }

    /// Delivers what a plugin somewhere sent to a player who is owned here. `payload` is MessagePack.
    pub fn to_player(
        &mut self,
        world: &mut dyn HostWorld,
        player: PlayerId,
        namespace: &str,
        event: &str,
        payload: &[u8],
    ) {
        self.initialise(world);
        let delivery = Delivery { player, ..from_nobody(namespace, event, payload) };
        for slot in self.players.of(namespace, event) {
            self.running.call(world, *slot, &delivery);
        }
        self.running.settle(world, &self.between);
    }

    /// Delivers what a plugin somewhere sent to an object that is owned here. `payload` is MessagePack.
    pub fn to_object(
        &mut self,
        world: &mut dyn HostWorld,
        object: EntityId,
        namespace: &str,
        event: &str,
        payload: &[u8],
    ) {
        self.initialise(world);
        let delivery = Delivery { object: Some(object), ..from_nobody(namespace, event, payload) };
        let slots = self.objects.of(namespace, event);
        if slots.is_empty() {
            warn!(%object, namespace, event, "no plugin hears this message to an object; register on_object");
        }
        for slot in slots {
            self.running.call(world, *slot, &delivery);
        }
        self.running.settle(world, &self.between);
    }

    /// Gives back what a plugin somewhere sent to an object that is gone, or to a player who never was. `payload`
    /// is MessagePack.
    pub fn undeliverable(
        &mut self,
        world: &mut dyn HostWorld,
        to: Who,
        namespace: &str,
        event: &str,
        payload: &[u8],
    ) {
        self.initialise(world);
        let (player, object) = match to {
            Who::Player(player) => (player, None),
            Who::Entity(object) => (NOBODY, Some(object)),
        };
        let delivery = Delivery { player, object, ..from_nobody(namespace, event, payload) };
        for slot in self.undeliverable.of(namespace, event) {
            self.running.call(world, *slot, &delivery);
        }
        self.running.settle(world, &self.between);
    }

    /// Delivers one sample of the movement lane, as `movement`/`position_update` without a number.
    pub fn movement(
        &mut self,
        world: &mut dyn HostWorld,
        player: PlayerId,
        sample: &MoveSample,
    ) -> InputResult {
        self.initialise(world);
        let value = MovementSample {
            tick: sample.tick,
            position: sample.pose.position.metres(),
            velocity: sample.pose.velocity,
            yaw: sample.pose.yaw,
        };
        let payload =
            payload::encode(&value).expect("a sample is a plain struct, which MessagePack can always say");
        let (namespace, event) = ("movement", "position_update");
        self.deliver(world, &Delivery { player, ..from_nobody(namespace, event, &payload) })
    }

    /// Lets every plugin say goodbye, the last loaded first, and drops them. The libraries stay.
    pub fn shutdown(mut self, world: &mut dyn HostWorld) {
        if !self.initialised {
            return;
        }
        for index in (0..self.running.plugins.len()).rev() {
            let _ = self
                .running
                .run(world, index, "on_shutdown", |plugin, world, effects| plugin.shutdown(world, effects));
        }
        self.running.queue.clear();
    }

    fn initialise(&mut self, world: &mut dyn HostWorld) {
        if self.initialised {
            return;
        }
        self.initialised = true;
        for index in 0..self.running.plugins.len() {
            let _ = self
                .running
                .run(world, index, "on_init", |plugin, world, effects| plugin.init(world, effects));
        }
        self.running.settle(world, &self.between);
    }

    fn deliver(&mut self, world: &mut dyn HostWorld, delivery: &Delivery<'_>) -> InputResult {
        let slots = self.client.of(delivery.namespace, delivery.event);
        let mut result = if slots.is_empty() { InputResult::Unknown } else { InputResult::Handled };
        for slot in slots {
            match self.running.call_for_client(world, *slot, delivery) {
                Ok(()) => {}
                Err(CallError::Payload(text)) => result = InputResult::BadPayload(text),
                Err(_) if matches!(result, InputResult::BadPayload(_)) => {}
                Err(_) => result = InputResult::Failed,
            }
        }
        self.running.settle(world, &self.between);
        result
    }
}

impl Calls {
    /// Runs one handler; whatever goes wrong is the plugin's fault. Whether nothing did.
    fn call(&mut self, world: &mut dyn HostWorld, slot: Slot, delivery: &Delivery<'_>) -> bool {
        let result = self.run(world, slot.plugin, delivery.event, |plugin, world, effects| {
            plugin.call(world, effects, slot.handler, delivery)
        });
        result.is_ok()
    }

    /// Runs one handler; a payload that cannot be read is the client's fault, the rest the plugin's.
    fn call_for_client(
        &mut self,
        world: &mut dyn HostWorld,
        slot: Slot,
        delivery: &Delivery<'_>,
    ) -> Result<(), CallError> {
        let mut unreadable = None;
        let result = self.run(world, slot.plugin, delivery.event, |plugin, world, effects| {
            match plugin.call(world, effects, slot.handler, delivery) {
                Err(CallError::Payload(text)) => {
                    unreadable = Some(text);
                    Ok(())
                }
                other => other,
            }
        });
        unreadable.map_or(result, |text| Err(CallError::Payload(text)))
    }

    fn run(
        &mut self,
        world: &mut dyn HostWorld,
        index: usize,
        what: &str,
        call: impl FnOnce(&mut Plugin, &mut dyn HostWorld, &mut Effects) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let running = &mut self.plugins[index];
        let result = call(&mut running.plugin, world, &mut self.effects);
        let name = running.plugin.about().name.as_str();
        for (level, line) in self.effects.logs.drain(..) {
            log(name, level, &line);
        }
        self.queue.extend(self.effects.emitted.drain(..));
        if let Err(error) = &result {
            running.strikes += 1;
            warn!(plugin = name, event = what, strikes = running.strikes, %error, "plugin failed");
        }
        result
    }

    /// Delivers what plugins told each other, first come first served, until nobody says more.
    fn settle(&mut self, world: &mut dyn HostWorld, between: &Handlers) {
        let mut delivered = 0;
        while let Some(emitted) = self.queue.pop_front() {
            delivered += 1;
            if delivered > MAX_CHAIN {
                warn!(
                    namespace = emitted.namespace,
                    event = emitted.event,
                    dropped = self.queue.len() + 1,
                    "plugins answer each other without end; look at who handles this event"
                );
                self.queue.clear();
                return;
            }
            let delivery = from_nobody(&emitted.namespace, &emitted.event, &emitted.payload);
            for slot in between.of(&emitted.namespace, &emitted.event) {
                self.call(world, *slot, &delivery);
            }
        }
    }
}

const fn from_nobody<'a>(namespace: &'a str, event: &'a str, payload: &'a [u8]) -> Delivery<'a> {
    Delivery { player: NOBODY, object: None, seq: 0, namespace, event, payload, binary: true }
}

/// Writes a plugin's line at the level it asked for. An error of a plugin is a warning here: the
/// region server itself is well.
fn log(plugin: &str, level: u32, line: &str) {
    match level {
        0..=2 => warn!(plugin, "{line}"),
        3 => info!(plugin, "{line}"),
        4 => debug!(plugin, "{line}"),
        _ => trace!(plugin, "{line}"),
    }
}
