//! A whole fleet in a small world of its own: a good one, in which nothing is found, and a bad one, in which
//! every fault is.

#[path = "../../../clients/rust/tests/edge/mod.rs"]
mod edge;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use edge::{Edge, Seat};
use gorc::{Anchor, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec};
use horizon_client::{Spelling, Trust};
use horizon_load::bot::SpellingChoice;
use horizon_load::fleet::{self, Plan};
use horizon_load::totals::{Summary, Totals};
use horizon_load::trace::Match;
use horizon_model::{
    EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, SessionId, Tick, TickRate,
};
use horizon_protocol::client::{
    ClientMessage, Event, EventName, Input, Progress, ServerMessage, State, VERSION, Welcome,
};
use tokio::sync::watch;

/// Frames between two changes of authority.
const CROSS_EVERY: u64 = 20;

/// Frames of a player after which it is out of the bad world for a moment.
const HIDDEN: std::ops::Range<u64> = 70..75;
/// Metres from where a player was to be by its own word: the world, or whoever moves, was starved in
/// between. What it shows then is a jump, which no curve can follow within its bound.
const SURPRISE: f64 = 0.3;
/// What the bad world adds to all places it shows to every other player, in metres.
const WRONG_BY: f64 = 4.0;

/// Everybody sees everybody, and every player crosses a border now and then.
struct Field {
    /// Whether it breaks each promise now and then.
    bad: bool,
    /// What seats with even and with odd numbers see: the same, unless the world is bad.
    shown: [Gorc; 2],
    tick: Tick,
    players: BTreeMap<u64, Player>,
    corrected: u64,
}

struct Player {
    pose: Pose,
    /// Where it was to be at the next tick, as of the last.
    expected: Position,
    frames: u64,
    /// Bodies of ticks at which other connections woke first.
    waiting: VecDeque<(Tick, Vec<u8>)>,
    account: Account,
    durable: u32,
    events: u32,
}

/// What the `ledger` plugin keeps.
struct Account {
    chain: u64,
    count: u64,
    last_seq: u32,
    skipped: u64,
}

impl Account {
    fn enter(&mut self, input: &Input) {
        let EventName::Named { namespace, event } = &input.name else {
            panic!("the table of names is empty")
        };
        let (chain, seq, name) =
            (self.chain.to_le_bytes(), input.seq.to_le_bytes(), format!("{namespace}/{event}"));
        let bytes = chain.iter().chain(&seq).chain(name.as_bytes()).chain(&input.payload);
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.chain = bytes.fold(0xcbf2_9ce4_8422_2325, fold);
        self.count += 1;
        self.skipped += u64::from(input.seq - self.last_seq - 1);
        self.last_seq = input.seq;
    }

    fn report(&self) -> serde_json::Value {
        serde_json::json!({ "count": self.count, "last_seq": self.last_seq, "repeated": 0, "backwards": 0,
            "skipped": self.skipped, "chain": format!("{:016x}", self.chain) })
    }
}

fn entity(number: u64) -> EntityId {
    EntityId::from_bits(number).expect("seats are numbered from 1")
}

fn spell(value: &serde_json::Value, spelling: Spelling) -> Vec<u8> {
    match spelling {
        Spelling::Json => serde_json::to_vec(value).expect("JSON"),
        // A map of small values, written by hand: one dependency less.
        Spelling::Binary => {
            let map = value.as_object().expect("an object");
            let mut out = vec![0x80 | map.len() as u8];
            for (key, value) in map {
                out.push(0xa0 | key.len() as u8);
                out.extend_from_slice(key.as_bytes());
                match value.as_u64() {
                    Some(number) => {
                        out.push(0xcf);
                        out.extend_from_slice(&number.to_be_bytes());
                    }
                    None => {
                        let text = value.as_str().expect("a number or a text");
                        out.push(0xa0 | text.len() as u8);
                        out.extend_from_slice(text.as_bytes());
                    }
                }
            }
            out
        }
    }
}

impl Field {
    fn new(bad: bool) -> Self {
        let rate = TickRate::from_hz(30).expect("30 divides the grid");
        let shown = [0, 1].map(|_| Gorc::new(rate, ObjectSchema::named("player")));
        Self { bad, shown, tick: Tick(600), players: BTreeMap::new(), corrected: 0 }
    }

    fn epoch(frames: u64) -> Epoch {
        Epoch::new(1, 1 + frames / CROSS_EVERY)
    }

    fn join(&mut self, seat: &Seat, spawn: Option<[f64; 3]>) -> ServerMessage {
        let pose = Pose::at(spawn.and_then(Position::from_metres).unwrap_or_default());
        let account = Account { chain: 0xcbf2_9ce4_8422_2325, count: 0, last_seq: 0, skipped: 0 };
        let player = Player {
            pose,
            expected: pose.position,
            frames: 0,
            waiting: VecDeque::new(),
            account,
            durable: 0,
            events: 0,
        };
        self.players.insert(seat.number, player);
        let spelling = match seat.spelling {
            Spelling::Binary => gorc::Spelling::Binary,
            Spelling::Json => gorc::Spelling::Json,
        };
        let gorc = &mut self.shown[usize::from(seat.number % 2 == 1)];
        let observer = ObserverId(seat.number);
        gorc.add_observer(observer, ObserverSpec { spelling, ..ObserverSpec::client(pose.position) });
        gorc.reset_view(observer);
        ServerMessage::Welcome(Box::new(Welcome {
            version: VERSION,
            resumed: false,
            session: SessionId(u128::from(seat.number)),
            player: PlayerId(u128::from(seat.number)),
            entity: entity(seat.number),
            epoch: Self::epoch(0),
            tick: self.tick,
            rate_hz: 30,
            applied: 0,
            durable: 0,
            ticket: vec![1],
            names: Vec::new(),
            tables_hash: 1,
            schemas: vec![ObjectSchema::named("player")],
        }))
    }

    fn input(&mut self, seat: &Seat, input: &Input) -> Vec<ServerMessage> {
        let Some(player) = self.players.get_mut(&seat.number) else { return Vec::new() };
        player.durable = input.seq;
        if self.bad && input.seq == 3 {
            return Vec::new();
        }
        player.account.enter(input);
        if !matches!(&input.name, EventName::Named { event, .. } if event == "report") {
            return Vec::new();
        }
        // The bad world skips an event number and repeats none: the client hides repetitions anyway.
        player.events += if self.bad { 2 } else { 1 };
        let payload = spell(&player.account.report(), seat.spelling);
        vec![ServerMessage::Event(Event { number: player.events, name: input.name.clone(), payload })]
    }

    /// The next tick, for everybody.
    fn step(&mut self) {
        self.tick = self.tick + 2;
        let Self { bad, shown, tick, players, .. } = self;
        for (odd, gorc) in shown.iter_mut().enumerate() {
            let shift = if *bad && odd == 1 { WRONG_BY } else { 0.0 };
            for (number, player) in players.iter() {
                let entity = entity(*number);
                let pose = Pose { position: player.pose.position.moved([shift, 0.0, 0.0]), ..player.pose };
                if *bad && HIDDEN.contains(&player.frames) {
                    gorc.despawn(entity, LeaveReason::OutOfRange);
                } else if gorc.contains(entity) {
                    let jumped = player.pose.position.distance(&player.expected) > SURPRISE;
                    eprintln!(
                        "SAMPLE {entity} {tick} {:?} {:?} {jumped} {odd}",
                        pose.position.metres(),
                        pose.velocity
                    );
                    gorc.sample(entity, *tick, &pose, jumped);
                } else {
                    gorc.spawn(NewObject {
                        entity,
                        type_id: ObjectTypeId::PLAYER,
                        player: Some(PlayerId(u128::from(*number))),
                        ghost: false,
                        tick: *tick,
                        pose,
                        fields: Vec::new(),
                    });
                }
                gorc.move_observer(ObserverId(*number), Anchor::Point(pose.position));
            }
        }
        for player in players.values_mut() {
            let step = player.pose.velocity.map(|axis| f64::from(axis) / 30.0);
            player.expected = player.pose.position.moved(step);
        }
        for gorc in shown.iter_mut() {
            gorc.step(*tick, &mut |_| true, &mut |observer, body| {
                let player = players.get_mut(&observer.0).expect("who leaves looks no longer");
                player.waiting.push_back((*tick, body.to_vec()));
            });
        }
    }

    fn leave(&mut self, seat: &Seat) {
        self.players.remove(&seat.number);
        for gorc in &mut self.shown {
            gorc.remove_observer(ObserverId(seat.number));
            gorc.despawn(entity(seat.number), LeaveReason::Gone);
        }
    }
}

impl edge::World for Field {
    fn handle(&mut self, seat: &mut Seat, message: ClientMessage) -> (Vec<ServerMessage>, bool) {
        let answers = match message {
            ClientMessage::Hello(hello) => vec![self.join(seat, hello.spawn)],
            ClientMessage::Input(input) => self.input(seat, &input),
            ClientMessage::Move(samples) => {
                let player = self.players.get_mut(&seat.number);
                if let (Some(player), Some(newest)) = (player, samples.last()) {
                    self.corrected += u64::from(newest.pose.position.distance(&player.pose.position) > 15.0);
                    player.pose = newest.pose;
                }
                Vec::new()
            }
            ClientMessage::Ping { token } => vec![ServerMessage::Pong { token, grid_us: token + 10_000_000 }],
            ClientMessage::Ack { .. } => Vec::new(),
            ClientMessage::Bye => {
                self.leave(seat);
                return (Vec::new(), true);
            }
        };
        (answers, false)
    }

    fn tick(&mut self, seat: &mut Seat) -> Vec<ServerMessage> {
        let is_behind = |player: &Player| !player.waiting.is_empty();
        if !self.players.get(&seat.number).is_some_and(is_behind) {
            self.step();
        }
        let Some(player) = self.players.get_mut(&seat.number) else { return Vec::new() };
        let progress = Some(Progress { applied: player.durable, durable: player.durable });
        let frame = |(tick, body)| {
            player.frames += 1;
            ServerMessage::State(State { epoch: Some(Self::epoch(player.frames)), tick, progress, body })
        };
        player.waiting.drain(..).map(frame).collect()
    }
}

async fn play(bad: bool, seconds: u64) -> (Summary, u64) {
    let edge = Edge::start(Field::new(bad)).await;
    let plan = Plan {
        urls: vec![edge.url()],
        trust: Trust::Config(Trust::CaFile(edge.ca_file().to_owned()).config().expect("an authority")),
        spelling: SpellingChoice::Mixed,
        matches: vec![Arc::new(Match::sample())],
        pitches: vec![[0.0, 0.0]],
        respawns: false,
        ball: false,
        walkers: 2,
        runners: 0,
        standing: Vec::new(),
        pace: horizon_load::walker::PACE,
        stagger: horizon_load::fleet::WALKER_STAGGER,
        prefix: "test".to_owned(),
    };
    let totals = Arc::new(Totals::default());
    let (stop, stopped) = watch::channel(false);
    let fleet = tokio::spawn(fleet::run(plan, Arc::clone(&totals), stopped));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(30), fleet)
        .await
        .expect("everybody leaves")
        .expect("no bot panics");
    assert!(edge.world().players.is_empty(), "everybody said goodbye");
    let corrected = edge.world().corrected;
    (totals.summary(), corrected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_in_a_good_world() {
    let (summary, corrected) = play(false, 4).await;
    let sums = summary.sums;
    assert!(sums.players >= 8, "{summary:?}");
    assert!(sums.crossings > sums.players, "{summary:?}");
    assert!(sums.inputs_sent > 5 * sums.players, "{summary:?}");
    assert_eq!((sums.audits, sums.audits_missing), (sums.players, 0));
    assert_eq!((sums.inputs_lost, sums.inputs_duplicated, sums.inputs_reordered), (0, 0, 0));
    assert_eq!((sums.events_lost, sums.events_duplicated), (0, 0));
    assert_eq!((summary.astray, sums.flickers, sums.strays), (0, 0, 0), "{summary:?}");
    assert!(summary.compared > 20 * sums.players, "{summary:?}");
    assert_eq!((sums.disconnects, sums.refused, sums.resyncs), (0, 0, 0));
    assert_eq!(corrected, 0, "nobody jumps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_bad_world_is_found() {
    let (summary, _) = play(true, 4).await;
    let sums = summary.sums;
    assert_eq!(sums.inputs_lost, sums.players, "{summary:?}");
    assert_eq!(sums.events_lost, sums.players, "{summary:?}");
    assert!(summary.astray > 0 && sums.flickers > 0, "{summary:?}");
}
