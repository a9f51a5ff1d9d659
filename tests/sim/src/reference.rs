//! The same inputs in a world of one region in which nothing fails, to compare with.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use horizon_client::Spelling;
use horizon_history::Account;
use horizon_model::{
    EdgeId, Epoch, GridMap, PlayerId, Pose, Position, RegionId, RegionMap, SessionId, Tick, TickRate,
    WorkerId, WorldId,
};
use horizon_protocol::link::{EdgeToRegion, OpenSession, RegionToEdge};
use horizon_region_server::plugin::PluginHost;
use horizon_region_server::region::{Input, Output, Recovery, Region, RegionConfig};
use horizon_state_store::{Env, Memory, Reply, Request};
use serde_json::Value;

use crate::payload::account;
use crate::world::{LINGER_TICKS, Sent, TTL};

const EDGE: EdgeId = EdgeId(9);

struct Reference {
    region: Region,
    store: Memory,
    now: Duration,
    tick: Tick,
    rate: TickRate,
    spellings: BTreeMap<PlayerId, Spelling>,
    names: Vec<(String, String)>,
    epochs: BTreeMap<PlayerId, (SessionId, Epoch)>,
    acks: Vec<(PlayerId, Epoch, u32)>,
    ledgers: BTreeMap<PlayerId, Account>,
}

/// The newest report of every player's ledger after these inputs.
pub(crate) fn ledgers(
    plugins: &Path,
    inputs: &[Sent],
    spellings: BTreeMap<PlayerId, Spelling>,
) -> BTreeMap<PlayerId, Account> {
    let mut world = Reference::new(plugins, spellings);
    // Inputs of one player wait for each other, those of different players do not.
    for batch in inputs.chunks(8) {
        for sent in batch {
            world.input(sent);
        }
        world.step();
    }
    for _ in 0..4 {
        world.step();
    }
    world.ledgers
}

impl Reference {
    fn new(plugins: &Path, spellings: BTreeMap<PlayerId, Spelling>) -> Self {
        let store = Memory::new(WorldId(1), Env::new(|| Duration::ZERO, || [0; 32]));
        let Reply::Granted(lease) = store.perform(Request::Acquire(RegionId(0), WorkerId(1), TTL)) else {
            unreachable!("nobody else is there")
        };
        let host = PluginHost::load(plugins, &BTreeMap::new()).expect("the plugins load");
        let rate = TickRate::from_hz(30).expect("a valid rate");
        let grid = GridMap::new([-500.0, -500.0], 1000.0, 1, 1).expect("a valid grid");
        let config = RegionConfig {
            map: RegionMap { map_epoch: 1, grid },
            rate,
            world_rate: rate,
            linger_ticks: LINGER_TICKS,
            pose_ticks: 15,
            max_players: 200,
            lease_ttl: TTL,
            client_bytes_s: 64_000,
            schemas: host.schemas().to_vec(),
        };
        let mut recovery = Recovery::new(lease, None, Vec::new());
        let requests = recovery.decide(&BTreeMap::new());
        debug_assert!(requests.is_empty(), "nobody has been here");
        let now = Duration::from_secs(1000);
        let names = host.names().to_vec();
        let mut region = recovery.finish(config, host, now, now, Tick::at(now));
        region.handle(now, Input::EdgeUp(EDGE));
        Self {
            region,
            store,
            now,
            tick: rate.align_up(Tick::at(now) + 1),
            rate,
            spellings,
            names,
            epochs: BTreeMap::new(),
            acks: Vec::new(),
            ledgers: BTreeMap::new(),
        }
    }

    fn tell(&mut self, message: EdgeToRegion) {
        self.region.handle(self.now, Input::Edge(EDGE, Box::new(message)));
        self.obey();
    }

    fn input(&mut self, sent: &Sent) {
        let player = sent.player;
        let known = self.epochs.get(&player).copied();
        if known.is_none_or(|(session, _)| session != sent.session) {
            let session_epoch = known.map_or(Epoch::new(1, 1), |(_, epoch)| epoch.next());
            self.epochs.insert(player, (sent.session, session_epoch));
            let open = OpenSession {
                player,
                session: sent.session,
                session_epoch,
                spelling: self.spellings.get(&player).copied().unwrap_or(Spelling::Binary),
                name: format!("player {}", player.0),
                events_acked: 0,
                spawn: Pose::at(Position::from_metres([0.0; 3]).expect("in range")),
                fresh: true,
            };
            self.tell(EdgeToRegion::Open(Box::new(open)));
        }
        let session_epoch = self.epochs[&player].1;
        self.tell(EdgeToRegion::Input {
            player,
            session_epoch,
            seq: sent.seq,
            name: u16::MAX,
            spelled: Some((sent.namespace.clone(), sent.event.clone())),
            payload: sent.payload.clone(),
        });
    }

    fn step(&mut self) {
        self.now = self.tick.since_origin() + Duration::from_micros(1);
        let started_ns = self.now.as_nanos() as u64;
        self.region.handle(self.now, Input::LeaseRenewed { started_ns });
        self.region.step(self.now, self.tick);
        self.tick = self.tick + self.rate.step();
        self.obey();
        for (player, session_epoch, events) in std::mem::take(&mut self.acks) {
            self.tell(EdgeToRegion::EventAck { player, session_epoch, events });
        }
    }

    /// Everything is done at once, and nothing fails.
    fn obey(&mut self) {
        let mut todo: VecDeque<Output> = self.region.take_outputs().into();
        while let Some(output) = todo.pop_front() {
            let answer = match output {
                Output::Journal(record) => Input::Durable(record.tick),
                Output::Mark(tick) => Input::Durable(tick),
                Output::Cas(requests) => {
                    let Reply::Cas(outcomes) = self.store.perform(Request::Cas(requests.clone())) else {
                        unreachable!("the reply fits")
                    };
                    Input::Cas(requests.into_iter().zip(outcomes.into_iter().map(Some)).collect())
                }
                Output::Lookup(key) => {
                    let Reply::Record(record) = self.store.perform(Request::Record(key)) else {
                        unreachable!("the reply fits")
                    };
                    Input::Record(key, Ok(record))
                }
                Output::Edge(
                    _,
                    _,
                    RegionToEdge::Event { player, session_epoch, number, name, spelled, payload, .. },
                ) => {
                    self.event(
                        player,
                        session_epoch,
                        number,
                        spelled.or_else(|| self.names.get(usize::from(name)).cloned()),
                        &payload,
                    );
                    continue;
                }
                _ => continue,
            };
            self.region.handle(self.now, answer);
            todo.extend(self.region.take_outputs());
        }
    }

    fn event(
        &mut self,
        player: PlayerId,
        session_epoch: Epoch,
        number: u32,
        name: Option<(String, String)>,
        payload: &[u8],
    ) {
        self.acks.push((player, session_epoch, number));
        let is_report = name
            .is_some_and(|(namespace, event)| (namespace.as_str(), event.as_str()) == ("ledger", "report"));
        if !is_report {
            return;
        }
        let value: Option<Value> = match self.spellings.get(&player) {
            Some(Spelling::Json) => serde_json::from_slice(payload).ok(),
            _ => rmp_serde::from_slice(payload).ok(),
        };
        if let Some(value) = value {
            self.ledgers.insert(player, account(&value));
        }
    }
}
