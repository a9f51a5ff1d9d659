//! One of a company: walks all the time, does what it is told, and hears what became of it.

use std::collections::BTreeSet;
use std::time::Duration;

use horizon_client::{Client, Options, Update};
use horizon_model::{Epoch, PlayerId, Pose, Position};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, warn};

/// How often a member says where it is.
const WALK_EVERY: Duration = Duration::from_millis(100);
/// Attempts to join, and the pause between them.
const JOIN_ATTEMPTS: u32 = 6;
const JOIN_PAUSE: Duration = Duration::from_millis(500);
/// Height of everybody, in metres.
const Z_METRES: f64 = 0.5;

/// Where a member is at which time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path {
    /// Round and round.
    Circle {
        /// Its middle, metres.
        middle: [f64; 2],
        radius_metres: f64,
        /// Metres per second.
        pace: f64,
        /// Radians, where it began.
        phase: f64,
        began: Instant,
    },
    /// Always the same place, metres.
    Stand([f64; 2]),
}

impl Path {
    pub(super) fn at(&self, now: Instant) -> Pose {
        let (place, velocity) = match *self {
            Self::Stand(place) => (place, [0.0; 2]),
            Self::Circle { middle: [x, y], radius_metres, pace, phase, began } => {
                let angle = phase + pace / radius_metres * now.duration_since(began).as_secs_f64();
                let (sin, cos) = angle.sin_cos();
                ([x + radius_metres * cos, y + radius_metres * sin], [-pace * sin, pace * cos])
            }
        };
        let [x, y] = place;
        let [vx, vy] = velocity.map(|metres| metres as f32);
        let position = Position::from_metres([x, y, Z_METRES]).unwrap_or_default();
        Pose { position, velocity: [vx, vy, 0.0], yaw: 0.0 }
    }
}

/// What a member noticed beside outcomes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) told_again: usize,
    pub(super) authority_changes: u64,
    pub(super) resyncs: u64,
    pub(super) disconnects: u64,
}

/// An input to send: namespace, event and payload.
type Order = (&'static str, &'static str, Value);

/// A member in its own task.
pub(super) struct Member {
    player: PlayerId,
    orders: mpsc::Sender<Order>,
    news: mpsc::UnboundedReceiver<(String, Value)>,
    task: JoinHandle<Seen>,
}

impl Member {
    /// Joins, and walks from then on.
    pub(super) async fn join(options: Options, path: Path) -> Result<Self, String> {
        let mut attempt = 1;
        let client = loop {
            match Client::connect(options.clone()).await {
                Ok(client) => break client,
                Err(error) if attempt == JOIN_ATTEMPTS => {
                    return Err(format!("{} cannot join: {error}", options.profile.name));
                }
                Err(error) => debug!(%error, attempt, "not joined yet"),
            }
            sleep(JOIN_PAUSE * attempt).await;
            attempt += 1;
        };
        let player = client.welcome().player;
        let (orders, receiver) = mpsc::channel(1);
        let (teller, news) = mpsc::unbounded_channel();
        let body = Body { client, path, teller, seen: Seen::default(), told: BTreeSet::new(), epoch: None };
        Ok(Self { player, orders, news, task: tokio::spawn(body.live(receiver)) })
    }

    pub(super) const fn player(&self) -> PlayerId {
        self.player
    }

    /// Sends an input, and returns the outcome with its number.
    pub(super) async fn ask(
        &mut self,
        event: &'static str,
        payload: Value,
        id: u32,
        patience: Duration,
    ) -> Option<Value> {
        let outcome = |name: &str, value: &Value| name == "arena/outcome" && value["id"] == id;
        self.say("arena", event, payload, patience, outcome).await.map(|(_, value)| value)
    }

    /// Everything in the purse.
    pub(super) async fn purse(&mut self, patience: Duration) -> Option<Vec<u64>> {
        let report = |name: &str, _: &Value| name == "arena/report";
        let (_, report) = self.say("arena", "report", json!({}), patience, report).await?;
        serde_json::from_value(report["coins"].clone()).ok()
    }

    /// Sends an input, and returns the first event after it that is an answer.
    pub(super) async fn say(
        &mut self,
        namespace: &'static str,
        event: &'static str,
        payload: Value,
        patience: Duration,
        answers: impl Fn(&str, &Value) -> bool,
    ) -> Option<(String, Value)> {
        while self.news.try_recv().is_ok() {}
        self.orders.send((namespace, event, payload)).await.ok()?;
        let deadline = Instant::now() + patience;
        loop {
            let (name, value) = timeout_at(deadline, self.news.recv()).await.ok()??;
            if answers(&name, &value) {
                return Some((name, value));
            }
        }
    }

    /// Says goodbye, and tells what it noticed.
    pub(super) async fn leave(self) -> Seen {
        drop(self.orders);
        self.task.await.unwrap_or_default()
    }
}

struct Body {
    client: Client,
    path: Path,
    teller: mpsc::UnboundedSender<(String, Value)>,
    seen: Seen,
    /// Numbers of outcomes so far.
    told: BTreeSet<u64>,
    epoch: Option<Epoch>,
}

impl Body {
    async fn live(mut self, mut orders: mpsc::Receiver<Order>) -> Seen {
        let mut steps = interval(WALK_EVERY);
        steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                update = self.client.next() => match update {
                    Some(update) => self.handle(update),
                    None => return self.seen,
                },
                order = orders.recv() => match order {
                    Some((namespace, event, payload)) => self.send(namespace, event, &payload),
                    None => {
                        self.client.close().await;
                        return self.seen;
                    }
                },
                _ = steps.tick() => {
                    self.client.movement(self.path.at(Instant::now()));
                }
            }
        }
    }

    fn send(&mut self, namespace: &str, event: &str, payload: &Value) {
        if let Err(error) = self.client.send(namespace, event, payload) {
            warn!(%error, event, "an input was not sent");
        }
    }

    fn handle(&mut self, update: Update) {
        match update {
            Update::Frame(frame) => {
                let before = self.epoch.replace(frame.epoch);
                self.seen.authority_changes += u64::from(before.is_some_and(|epoch| epoch != frame.epoch));
            }
            Update::Event(event) if ["arena", "vehicles"].contains(&event.namespace.as_str()) => {
                let value: Value = match event.read(self.client.spelling()) {
                    Ok(value) => value,
                    Err(error) => return warn!(%error, event = event.event, "an event cannot be read"),
                };
                if event.event == "outcome" {
                    let first = value["id"].as_u64().is_some_and(|id| self.told.insert(id));
                    self.seen.told_again += usize::from(!first);
                }
                if event.event == "left" {
                    // On foot again, and it goes on from here.
                    let at = [0, 1].map(|axis| value["at"][axis].as_f64().unwrap_or_default());
                    self.path = Path::Stand(at);
                }
                // Whoever is not listening any more has heard enough.
                let _ = self.teller.send((format!("{}/{}", event.namespace, event.event), value));
            }
            Update::Resync { .. } => self.seen.resyncs += 1,
            Update::Disconnected { why, .. } => {
                warn!(why, "disconnected");
                self.seen.disconnects += 1;
            }
            Update::Event(_) | Update::Progress(_) | Update::Closing(_) | Update::Resumed { .. } => {}
        }
    }
}
