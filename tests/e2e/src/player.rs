//! A player in a test: a client on a task of its own, told what to do and asked what it has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_client::{
    Client, ClosingReason, EnterEntry, LeaveReason, Options, Progress, Spelling, Update, UpdateEntry, Witness,
};
use horizon_model::{EntityId, Epoch, PlayerId, Tick};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::chain::{Chain, Report};
use crate::recording::Waypoint;
use crate::{DEADLINE, World};

/// Inputs a second while a player is told to be busy.
const BUSY_EVERY: Duration = Duration::from_millis(200);

/// A player in the world.
#[derive(Debug)]
pub struct Player {
    name: String,
    commands: mpsc::UnboundedSender<Command>,
    seen: watch::Receiver<Seen>,
}

/// Everything that a player has noticed so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The account.
    pub player: PlayerIdText,
    /// Authority epochs, each once, in order.
    pub epochs: Vec<Epoch>,
    /// State frames.
    pub frames: u64,
    /// When each of them came.
    pub frame_times: Vec<Instant>,
    /// Reliable events.
    pub events: Vec<Heard>,
    /// Sockets lost.
    pub disconnects: Vec<String>,
    /// Resumes: time without a connection, whether the session was a new one, inputs lost with the old one.
    pub resumes: Vec<(Duration, bool, u32)>,
    /// Crashes announced.
    pub resyncs: u32,
    /// Closings announced.
    pub closings: Vec<ClosingReason>,
    /// Why the session is over, if it is.
    pub ended: Option<String>,
    /// The own body.
    pub place: Option<[f64; 3]>,
    /// Other players' bodies, by player.
    pub others: BTreeMap<PlayerIdText, Other>,
    /// Updates about objects that were not held.
    pub strays: u64,
    /// Inputs sent.
    pub sent: Chain,
    /// Highest input applied.
    pub applied: u32,
    /// Highest input that no crash can undo.
    pub durable: u32,
    /// Whether the walk is over.
    pub arrived: bool,
}

/// An account as events spell it: 32 hexadecimal digits.
pub type PlayerIdText = String;

/// A reliable event.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `namespace/event`.
    pub name: String,
    /// Its payload.
    pub payload: Value,
    /// Event numbers missing before it.
    pub skipped: u32,
}

/// What was seen of another player.
#[derive(Debug, Clone, Default)]
pub struct Other {
    /// Times the body appeared.
    pub enters: u32,
    /// Times it disappeared.
    pub leaves: u32,
    /// Every position with its source tick, in the order of arrival.
    pub path: Vec<(Tick, [f64; 3])>,
}

enum Command {
    Send(String, String, Value),
    Follow(Vec<Waypoint>),
    Busy(Option<Duration>),
    Break,
    Close,
}

impl Player {
    /// Joins at `place`, metres, if the player has none yet.
    pub async fn join(world: &World, name: &str, spelling: Spelling, place: [f64; 3]) -> Self {
        Self::join_at(world, vec![world.url()], name, spelling, place).await
    }

    /// The same at the first of `urls`; the others are where it resumes.
    pub async fn join_at(
        world: &World,
        urls: Vec<String>,
        name: &str,
        spelling: Spelling,
        place: [f64; 3],
    ) -> Self {
        let mut options = Options::new(&urls[0], world.authority(), name);
        options.urls = urls;
        options.spelling = spelling;
        options.profile.spawn = Some(place);
        let client = timeout(DEADLINE, Client::connect(options)).await.expect("the world answers in time");
        let client = client.unwrap_or_else(|error| panic!("{name} cannot join: {error}"));
        let (commands, orders) = mpsc::unbounded_channel();
        let player = client.welcome().player.to_string();
        let (teller, seen) = watch::channel(Seen { player, ..Seen::default() });
        let now = Instant::now();
        let body = Body {
            client,
            orders,
            teller,
            eyes: Eyes::default(),
            path: Vec::new().into_iter().peekable(),
            began: now,
            busy: None,
        };
        tokio::spawn(body.live());
        Self { name: name.to_owned(), commands, seen }
    }

    /// Sends a reliable input.
    pub fn send(&self, namespace: &str, event: &str, payload: Value) {
        self.order(Command::Send(namespace.to_owned(), event.to_owned(), payload));
    }

    /// Starts to walk; [`Seen::arrived`] tells the end.
    pub fn follow(&self, path: Vec<Waypoint>) {
        self.order(Command::Follow(path));
    }

    /// Sends five inputs a second from now on, or stops that.
    pub fn busy(&self, busy: bool) {
        self.order(Command::Busy(busy.then_some(BUSY_EVERY)));
    }

    /// Sends an input this often from now on: so that they fit into the window while nothing becomes durable.
    pub fn busy_every(&self, pause: Duration) {
        self.order(Command::Busy(Some(pause)));
    }

    /// Loses the socket without a word.
    pub fn break_connection(&self) {
        self.order(Command::Break);
    }

    /// Leaves for good.
    pub async fn leave(self) {
        self.order(Command::Close);
        self.until("the end", |seen| seen.ended.clone()).await;
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until `found` finds something.
    pub async fn until<T>(&self, what: &str, mut found: impl FnMut(&Seen) -> Option<T>) -> T {
        let mut seen = self.seen.clone();
        let mut result = None;
        let waited = timeout(
            DEADLINE,
            seen.wait_for(|seen| {
                result = found(seen);
                result.is_some()
            }),
        )
        .await;
        let happened = matches!(waited, Ok(Ok(_)));
        match result {
            Some(result) if happened => result,
            _ => panic!("{} waited in vain for {what}; seen: {:#?}", self.name, Summary(&self.seen.borrow())),
        }
    }

    /// Whether `holds` does at some moment until everything a test waits for is there.
    pub async fn comes_to(&self, mut holds: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.seen.clone();
        matches!(timeout(DEADLINE, seen.wait_for(|seen| holds(seen))).await, Ok(Ok(_)))
    }

    /// Waits until `holds` does.
    pub async fn until_true(&self, what: &str, mut holds: impl FnMut(&Seen) -> bool) {
        self.until(what, |seen| holds(seen).then_some(())).await;
    }

    /// Compares accounts with the server: every input once, in order, every event once.
    pub async fn assert_account(&self) {
        let reports = |seen: &Seen| seen.events.iter().filter(|heard| heard.name == "ledger/report").count();
        let before = reports(&self.seen.borrow());
        self.busy(false);
        self.send("ledger", "report", json!({}));
        let (report, sent) = self
            .until("the report", |seen| {
                let heard = seen.events.iter().filter(|heard| heard.name == "ledger/report").nth(before)?;
                Some((heard.payload.clone(), seen.sent))
            })
            .await;
        let report: Report = serde_json::from_value(report).expect("a report");
        assert_eq!(report, sent.expected(), "{}", self.name);
        let seen = self.seen.borrow();
        assert!(seen.events.iter().all(|heard| heard.skipped == 0), "{} misses events", self.name);
        assert_eq!(seen.strays, 0, "{} was told about objects not held", self.name);
    }

    fn order(&self, command: Command) {
        assert!(self.commands.send(command).is_ok(), "{} is gone: {:?}", self.name, self.seen.borrow().ended);
    }
}

impl Seen {
    fn progress(&mut self, progress: Progress) {
        self.applied = self.applied.max(progress.applied);
        self.durable = self.durable.max(progress.durable);
    }

    /// The longest time without a state frame between `from` and `to`, both of which count as one.
    pub fn largest_gap(&self, from: Instant, to: Instant) -> Duration {
        let within = self.frame_times.iter().copied().filter(|at| (from..to).contains(at));
        let times: Vec<_> = std::iter::once(from).chain(within).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Payloads of the events called `namespace/event`.
    pub fn heard<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |heard| heard.name == name).map(|heard| &heard.payload)
    }
}

/// The parts of [`Seen`] that fit on a screen.
struct Summary<'a>(&'a Seen);

impl std::fmt::Debug for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seen = self.0;
        let last = &seen.events[seen.events.len().saturating_sub(5)..];
        let others: Vec<_> =
            seen.others.iter().map(|(id, o)| (id, o.enters, o.leaves, o.path.len())).collect();
        f.debug_struct("Seen")
            .field("epochs", &seen.epochs)
            .field("frames", &seen.frames)
            .field("last_events", &last)
            .field("disconnects", &seen.disconnects)
            .field("resumes", &seen.resumes)
            .field("resyncs", &seen.resyncs)
            .field("closings", &seen.closings)
            .field("ended", &seen.ended)
            .field("place", &seen.place)
            .field("others", &others)
            .field("sent", &seen.sent.count())
            .field("applied", &seen.applied)
            .field("durable", &seen.durable)
            .field("arrived", &seen.arrived)
            .finish()
    }
}

struct Body {
    client: Client,
    orders: mpsc::UnboundedReceiver<Command>,
    teller: watch::Sender<Seen>,
    eyes: Eyes,
    path: std::iter::Peekable<std::vec::IntoIter<Waypoint>>,
    began: Instant,
    busy: Option<(Instant, Duration)>,
}

impl Body {
    async fn live(mut self) {
        loop {
            let due = self
                .path
                .peek()
                .map(|(at, _)| self.began + *at)
                .into_iter()
                .chain(self.busy.map(|(due, _)| due))
                .min();
            tokio::select! {
                update = self.client.next_with(&mut self.eyes) => match update {
                    Some(update) => self.notice(update),
                    None => return self.tell(|seen| seen.ended = seen.ended.take().or(Some("over".to_owned()))),
                },
                command = self.orders.recv() => match command {
                    None | Some(Command::Close) => {
                        self.client.close().await;
                        self.teller.send_modify(|seen| seen.ended = Some("left".to_owned()));
                        return;
                    }
                    Some(command) => self.obey(command),
                },
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => self.act(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Send(namespace, event, payload) => self.send(&namespace, &event, &payload),
            Command::Follow(path) => {
                (self.path, self.began) = (path.into_iter().peekable(), Instant::now());
                self.tell(|seen| seen.arrived = false);
            }
            Command::Busy(busy) => self.busy = busy.map(|pause| (Instant::now(), pause)),
            Command::Break => self.client.break_connection(),
            Command::Close => {}
        }
    }

    fn act(&mut self) {
        let now = Instant::now();
        if let Some((due, pause)) = self.busy.filter(|(due, _)| *due <= now) {
            self.busy = Some((due.max(now - pause) + pause, pause));
            self.send("ledger", "note", &json!({ "n": self.teller.borrow().sent.count() }));
        }
        let began = self.began;
        let mut pose = None;
        while let Some((_, next)) = self.path.next_if(|(at, _)| began + *at <= now) {
            pose = Some(next);
        }
        if let Some(pose) = pose {
            let _ = self.client.movement(pose);
            if self.path.peek().is_none() {
                self.tell(|seen| seen.arrived = true);
            }
        }
    }

    /// Nothing is sent, and nothing counted, while the window is closed.
    fn send(&mut self, namespace: &str, event: &str, payload: &Value) {
        let bytes = self.client.spell(payload).expect("JSON can be written in both spellings");
        if let Ok(seq) = self.client.send_raw(namespace, event, bytes.clone()) {
            self.tell(|seen| seen.sent.push(seq, namespace, event, &bytes));
        }
    }

    fn notice(&mut self, update: Update) {
        let spelling = self.client.spelling();
        match update {
            Update::Frame(frame) => {
                let own = self.client.world().drawn(self.client.welcome().entity);
                let place = own.map(|drawn| drawn.pose.position.metres());
                let strays = self.client.world().strays();
                let others = self.eyes.take();
                self.tell(|seen| {
                    seen.frames += 1;
                    seen.frame_times.push(Instant::now());
                    seen.strays = strays;
                    seen.place = place.or(seen.place);
                    seen.progress(frame.progress);
                    if seen.epochs.last() != Some(&frame.epoch) {
                        seen.epochs.push(frame.epoch);
                    }
                    for (player, other) in others {
                        let known = seen.others.entry(player.to_string()).or_default();
                        known.enters += other.enters;
                        known.leaves += other.leaves;
                        known.path.extend(other.path);
                    }
                });
            }
            Update::Event(event) => {
                let name = format!("{}/{}", event.namespace, event.event);
                let payload = event.read(spelling).unwrap_or_else(|error| panic!("{name}: {error}"));
                self.tell(|seen| seen.events.push(Heard { name, payload, skipped: event.skipped }));
            }
            Update::Progress(progress) => self.tell(|seen| seen.progress(progress)),
            Update::Resync { .. } => self.tell(|seen| seen.resyncs += 1),
            Update::Closing(closing) => self.tell(|seen| seen.closings.push(closing.reason)),
            Update::Disconnected { why, resuming } => self.tell(|seen| {
                seen.ended = (!resuming).then(|| why.clone());
                seen.disconnects.push(why);
            }),
            Update::Resumed { after, anew, abandoned } => {
                self.tell(|seen| seen.resumes.push((after, anew, abandoned)));
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Seen)) {
        self.teller.send_modify(change);
    }
}

/// Sees every entry about other players.
#[derive(Default)]
struct Eyes {
    players: BTreeMap<EntityId, PlayerId>,
    news: BTreeMap<PlayerId, Other>,
}

impl Eyes {
    fn take(&mut self) -> BTreeMap<PlayerId, Other> {
        std::mem::take(&mut self.news)
    }
}

impl Witness for Eyes {
    fn enter(&mut self, enter: &EnterEntry<'_>) {
        let Some(player) = enter.player else { return };
        self.players.insert(enter.entity, player);
        let other = self.news.entry(player).or_default();
        other.enters += 1;
        other.path.push((enter.tick, enter.pose.position.metres()));
    }

    fn update(&mut self, update: &UpdateEntry<'_>) {
        let Some(player) = self.players.get(&update.entity) else { return };
        if let Some(position) = update.position {
            self.news.entry(*player).or_default().path.push((update.tick, position.metres()));
        }
    }

    fn leave(&mut self, entity: EntityId, _reason: LeaveReason) {
        if let Some(player) = self.players.get(&entity) {
            self.news.entry(*player).or_default().leaves += 1;
        }
    }
}
