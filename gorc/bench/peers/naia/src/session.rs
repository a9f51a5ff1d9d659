//! A naia server and its clients in one process, each client with its view.

use std::collections::BTreeMap;
use std::time::Duration;

use naia_client::{Client, ClientConfig, JitterBufferType};
use naia_server::{ConnectEvent, Server, ServerConfig, UserKey};
use naia_shared::{Instant, Property, Protocol, Replicate, TestClock};

use crate::movement::Movement;
use crate::wire::{Sent, Wire, client_at};
use crate::world::{Key, World};

/// Ticks until every client has joined and holds its view; a thousand need about a hundred.
const MAX_SETUP_TICKS: usize = 2_000;

/// Seven fields, of which a tick changes three.
#[derive(Replicate)]
pub struct Body {
    x: Property<f32>,
    y: Property<f32>,
    z: Property<f32>,
    vx: Property<f32>,
    vy: Property<f32>,
    yaw: Property<f32>,
    health: Property<u16>,
}

/// What a client must read in the fields of an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values {
    position: [f32; 3],
    still: ([f32; 3], u16),
}

impl Values {
    /// What an entity holds at a tick of the source.
    fn source(movement: &Movement, entity: usize, tick: usize) -> Self {
        Self { position: movement.positions_at(tick)[entity], still: still(entity) }
    }

    /// What a component holds.
    fn of(body: &Body) -> Self {
        Self { position: [*body.x, *body.y, *body.z], still: ([*body.vx, *body.vy, *body.yaw], *body.health) }
    }

    /// The entity these are of, from a field that stays as spawned.
    fn entity(&self) -> usize {
        (self.still.0[0] * 8.0) as usize
    }
}

/// The four fields that stay as spawned; they also name the entity.
fn still(entity: usize) -> ([f32; 3], u16) {
    let number = entity as f32;
    ([number / 8.0, -number / 16.0, number / 64.0], entity as u16)
}

/// Why a run says nothing about naia's cost.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// naia did not get all clients connected and all views delivered.
    #[error("{connected} clients connected, {complete} hold their view after {MAX_SETUP_TICKS} ticks")]
    Setup {
        /// Clients the server knows.
        connected: usize,
        /// Clients that hold as many entities as they should see.
        complete: usize,
    },
    /// A client does not hold what it sees, so the bytes counted are not those of the work asked for.
    #[error("client {client}, tick {tick}: holds {found:?}, source has {expected:?}")]
    Mismatch {
        /// Index of the client.
        client: usize,
        /// Tick of the source.
        tick: usize,
        /// What the client decoded.
        found: Option<Values>,
        /// What it sees in the source.
        expected: Option<Values>,
    },
}

/// A server, its clients, and the network between them.
pub struct Session<'a> {
    movement: &'a Movement,
    wire: Wire,
    server: Server<Key>,
    world: World,
    entities: Vec<Key>,
    clients: Vec<(Client<Key>, World)>,
}

impl<'a> Session<'a> {
    /// Connects all clients and delivers their views, with every entity where tick 0 has it.
    pub fn start(movement: &'a Movement) -> Result<Self, SessionError> {
        TestClock::init(0);
        let wire = Wire::new(movement.players);
        let mut protocol = Protocol::builder();
        protocol.tick_interval(period(movement)).add_component::<Body>();
        let protocol = protocol.build();

        let mut config = ServerConfig { require_auth: false, ..ServerConfig::default() };
        // The default would hold updates back: 64 kB/s are less than every change at these rates.
        config.connection.bandwidth.target_bytes_per_sec = u32::MAX;
        let mut server = Server::new(config, protocol.clone());
        server.listen(wire.server());

        let clients = (0..movement.players).map(|client| {
            // Applies what arrives at once, so that it can be compared with the tick it is of.
            let config = ClientConfig { jitter_buffer: JitterBufferType::Bypass, ..ClientConfig::default() };
            let mut joined = Client::new(config, protocol.clone());
            joined.connect(wire.client(client));
            (joined, World::default())
        });
        let clients = clients.collect();
        let mut session = Self { movement, wire, server, world: World::default(), entities: vec![], clients };
        session.spawn();
        session.connect()?;
        Ok(session)
    }

    fn spawn(&mut self) {
        let room = self.server.create_room().key();
        for (entity, &[x, y, z]) in self.movement.positions_at(0).iter().enumerate() {
            let ([vx, vy, yaw], health) = still(entity);
            let mut spawned = self.server.spawn_entity(&mut self.world);
            spawned.insert_component(Body::new_complete(x, y, z, vx, vy, yaw, health));
            let key = spawned.id();
            self.server.room_mut(&room).add_entity(&key);
            self.entities.push(key);
        }
    }

    fn connect(&mut self) -> Result<(), SessionError> {
        let mut users: BTreeMap<usize, UserKey> = BTreeMap::new();
        let complete = |session: &Self| {
            let held = session.clients.iter().map(|(_, world)| world.all::<Body>().count());
            held.filter(|&count| count == session.movement.visible).count()
        };
        for _ in 0..MAX_SETUP_TICKS {
            for user in self.receive() {
                let address = self.server.user_address(&user).expect("a connected user has an address");
                let client = client_at(&address).expect("only our clients are on the wire");
                for &entity in self.movement.visible_to(client) {
                    self.server.user_scope_mut(&user).include(&self.entities[entity]);
                }
                users.insert(client, user);
            }
            self.server.send_all_packets(&self.world);
            self.run_clients();
            if users.len() == self.movement.players && complete(self) == self.movement.players {
                return Ok(());
            }
        }
        Err(SessionError::Setup { connected: users.len(), complete: complete(self) })
    }

    /// Takes in what the clients sent: acknowledgements, above all. Names who connected.
    pub fn receive(&mut self) -> Vec<UserKey> {
        TestClock::advance(period(self.movement).as_millis() as u64);
        let now = Instant::now();
        self.server.receive_all_packets();
        self.server.process_all_packets(&mut self.world, &now);
        let mut events = self.server.take_world_events();
        self.server.take_tick_events(&now);
        events.read::<ConnectEvent>().collect()
    }

    /// Moves every entity to where a tick has it, and sends what changed to each client. This is what is timed.
    pub fn send(&mut self, tick: usize) {
        for (&key, &[x, y, z]) in self.entities.iter().zip(self.movement.positions_at(tick)) {
            let body: &mut Body = self.world.get_mut(key).expect("every entity was spawned with one");
            // Writing marks a field as changed, even where the value is the same.
            for (field, value) in [(&mut body.x, x), (&mut body.y, y), (&mut body.z, z)] {
                if **field != value {
                    **field = value;
                }
            }
        }
        self.server.send_all_packets(&self.world);
    }

    /// Lets every client take in what arrived and answer it.
    pub fn run_clients(&mut self) {
        let now = Instant::now();
        for (client, world) in &mut self.clients {
            client.receive_all_packets();
            client.process_all_packets(&mut *world, &now);
            client.take_world_events();
            client.take_tick_events(&now);
            client.send_all_packets(&*world);
        }
    }

    /// What the server sent since this was last asked.
    pub fn take_sent(&self) -> Sent {
        self.wire.take_sent()
    }

    /// Whether a client holds exactly the entities it sees, as they are at a tick.
    pub fn check(&self, client: usize, tick: usize) -> Result<(), SessionError> {
        let (_, world) = &self.clients[client];
        let mut found: Vec<_> = world.all().map(Values::of).collect();
        found.sort_by_key(Values::entity);
        let mut seen = self.movement.visible_to(client).to_vec();
        seen.sort_unstable();
        for at in 0..found.len().max(seen.len()) {
            let found = found.get(at).copied();
            let expected = seen.get(at).map(|&entity| Values::source(self.movement, entity, tick));
            if found != expected {
                return Err(SessionError::Mismatch { client, tick, found, expected });
            }
        }
        Ok(())
    }
}

/// Time between two ticks; naia's clock counts milliseconds.
fn period(movement: &Movement) -> Duration {
    Duration::from_millis((1000 / u64::from(movement.hz.max(1))).max(1))
}
