//! A player who walks to and fro over the border, acts all the time, and notes what it sees.

use std::path::Path;
use std::time::Duration;

use horizon_client::{Client, ConnectError, Options, Update};
use horizon_history::{Account, Event};
use horizon_model::{Epoch, PlayerId, Pose, Position, SessionId};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::line::Notebook;
use crate::purse::{Inventory, Purse, Token};

/// Time between two samples of movement.
const STEP: Duration = Duration::from_millis(50);
/// Time between two reliable inputs.
const ACT_EVERY: Duration = Duration::from_millis(100);
/// Of so many reliable inputs one is a gift, where there is something to give.
const GIFT_EVERY: u32 = 4;
/// Half the width of the strip in which a walker walks, in metres: 2 m beyond the border it is handed over.
pub(crate) const REACH_METRES: f64 = 9.0;
/// Metres per second of a walker.
const SPEED: f64 = 9.0;

/// Where somebody walks.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Where it begins, metres along x.
    pub x: f64,
    /// The line it keeps to, metres along y.
    pub y: f64,
    /// Whether it walks at all.
    pub walks: bool,
}

/// What a player has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Inputs sent.
    pub sent: u32,
    /// Inputs durable.
    pub durable: u32,
    /// Inputs applied.
    pub applied: u32,
    /// Newest epoch shown.
    pub epoch: Epoch,
    /// Sockets lost, why.
    pub disconnects: Vec<String>,
    /// Resumed, and how often as a new session.
    pub resumes: u32,
    /// Times a new session had to begin.
    pub anew: u32,
    /// Crashes announced.
    pub resyncs: u32,
    /// Why it is over.
    pub ended: Option<String>,
    /// Longest time between two frames since [`Player::measure`].
    pub longest_gap: Duration,
    /// Reports of the ledger.
    pub reports: u32,
    /// Number of the input that asked for the newest of them.
    pub reported: u32,
    /// Inventories that came.
    pub inventories: u32,
    /// The newest of them: tokens in the purse.
    pub tokens: Vec<u64>,
}

enum Order {
    Stand,
    Measure,
    Report,
    Inventory,
    Reach(f64),
    Meet(Vec<PlayerId>),
    Close,
}

/// A player in the world.
#[derive(Debug)]
pub struct Player {
    /// The account.
    pub id: PlayerId,
    orders: mpsc::UnboundedSender<Order>,
    seen: watch::Receiver<Seen>,
}

#[derive(Deserialize)]
struct Report {
    count: u64,
    last_seq: u32,
    chain: String,
    repeated: u64,
    skipped: u64,
    backwards: u64,
}

/// Nanoseconds of the monotonic clock, which all processes of a machine share.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl Player {
    /// Joins through the first of `urls`; a lost session is resumed through them in turn.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn join(
        urls: Vec<String>,
        authority: &Path,
        name: &str,
        walk: Walk,
        notes: Notebook,
    ) -> Result<Self, ConnectError> {
        let mut options = Options::new(urls.first().map_or("", |url| url), authority, name);
        options.urls = urls;
        options.profile.spawn = Some([walk.x, walk.y, 0.5]);
        let client = Client::connect(options).await?;
        let (id, session) = (client.welcome().player, client.welcome().session);
        let who = horizon_history::Who::Player(id);
        notes.note(monotonic_ns(), Event::Joined { who });
        notes.note(monotonic_ns(), Event::Connected { player: id, resumed: false });
        let (purse, minted) = Purse::mint(id);
        minted.into_iter().for_each(|event| notes.note(monotonic_ns(), event));
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (teller, seen) = watch::channel(Seen::default());
        let now = Instant::now();
        let body = Body {
            client,
            orders: orders_in,
            teller,
            notes,
            id,
            session,
            walk,
            moved: now,
            direction: 1.0,
            reach: REACH_METRES,
            next_step: now,
            next_act: now,
            acting: true,
            acts: 0,
            purse,
            last_frame: None,
        };
        tokio::spawn(body.live());
        Ok(Self { id, orders, seen })
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Stops where it is, and stops acting.
    pub fn stand(&self) {
        let _ = self.orders.send(Order::Stand);
    }

    /// Begins to measure gaps anew.
    pub fn measure(&self) {
        let _ = self.orders.send(Order::Measure);
    }

    /// Asks the ledger for a report.
    pub fn report(&self) {
        let _ = self.orders.send(Order::Report);
    }

    /// Asks what is in its purse.
    pub fn inventory(&self) {
        let _ = self.orders.send(Order::Inventory);
    }

    /// From now on it walks so many metres to each side of the border.
    pub(crate) fn reach(&self, metres: f64) {
        let _ = self.orders.send(Order::Reach(metres));
    }

    /// From now on it gives what it has to these, one after the other.
    pub fn meet(&self, partners: Vec<PlayerId>) {
        let _ = self.orders.send(Order::Meet(partners));
    }

    /// Leaves for good.
    pub fn leave(&self) {
        let _ = self.orders.send(Order::Close);
    }

    /// Waits until an input above `sent` is applied; whether it was `within` the time.
    pub fn applies(&self, within: Duration, sent: u32) -> impl Future<Output = bool> + Send + use<> {
        let mut seen = self.seen.clone();
        async move { matches!(timeout(within, seen.wait_for(|seen| seen.applied > sent)).await, Ok(Ok(_))) }
    }

    /// Waits until `holds` does; whether it did `within` the time.
    pub async fn until(&self, within: Duration, holds: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.seen.clone();
        matches!(timeout(within, seen.wait_for(holds)).await, Ok(Ok(_)))
    }
}

struct Body {
    client: Client,
    orders: mpsc::UnboundedReceiver<Order>,
    teller: watch::Sender<Seen>,
    notes: Notebook,
    id: PlayerId,
    session: SessionId,
    walk: Walk,
    moved: Instant,
    direction: f64,
    reach: f64,
    next_step: Instant,
    next_act: Instant,
    acting: bool,
    acts: u32,
    purse: Purse,
    last_frame: Option<Instant>,
}

impl Body {
    async fn live(mut self) {
        loop {
            let due = if self.acting { self.next_step.min(self.next_act) } else { self.next_step };
            tokio::select! {
                update = self.client.next() => match update {
                    Some(update) => self.notice(update),
                    None => {
                        self.teller.send_modify(|seen| seen.ended = seen.ended.take().or(Some("over".into())));
                        return;
                    }
                },
                order = self.orders.recv() => match order {
                    None | Some(Order::Close) => {
                        let who = horizon_history::Who::Player(self.id);
                        self.notes.note(monotonic_ns(), Event::Left { who });
                        return self.client.close().await;
                    }
                    Some(Order::Stand) => {
                        self.acting = false;
                        self.walk.walks = false;
                    }
                    Some(Order::Measure) => {
                        self.last_frame = Some(Instant::now());
                        self.teller.send_modify(|seen| seen.longest_gap = Duration::ZERO);
                    }
                    Some(Order::Report) => self.note("report"),
                    Some(Order::Inventory) => drop(self.send("tokens", "report", &())),
                    Some(Order::Reach(metres)) => self.reach = metres,
                    Some(Order::Meet(partners)) => self.purse.meet(partners),
                },
                () = sleep_until(due) => self.act(),
            }
        }
    }

    fn act(&mut self) {
        let now = Instant::now();
        if self.acting && self.next_act <= now {
            self.next_act = now + ACT_EVERY;
            self.acts += 1;
            let gift = self.acts.is_multiple_of(GIFT_EVERY).then(|| self.purse.next_gift()).flatten();
            match gift {
                Some(gift) => {
                    if self.send("tokens", "give", &gift).is_some() {
                        self.purse.gave(&gift);
                    }
                }
                None => self.note("note"),
            }
        }
        if self.next_step <= now {
            self.next_step = now + STEP;
            let mut velocity = [0.0; 3];
            if self.walk.walks {
                self.walk.x += self.direction * SPEED * now.duration_since(self.moved).as_secs_f64().min(0.2);
                if self.walk.x.abs() > self.reach {
                    self.direction = -self.walk.x.signum();
                }
                velocity[0] = (self.direction * SPEED) as f32;
            }
            self.moved = now;
            if let Some(position) = Position::from_metres([self.walk.x, self.walk.y, 0.5]) {
                let _ = self.client.movement(Pose { position, velocity, yaw: 0.0 });
            }
        }
    }

    /// Something for the ledger to count.
    fn note(&mut self, event: &str) {
        let sent = self.teller.borrow().sent;
        if self.send("ledger", event, &sent).is_none() && event == "report" {
            // The report is what counts at the end: it is asked for when there is room.
            self.next_act = Instant::now() + ACT_EVERY;
        }
    }

    /// Its number. Nothing is sent, and nothing noted, while the window is closed.
    fn send(&mut self, namespace: &str, event: &str, value: &impl Serialize) -> Option<u32> {
        let payload = self.client.spell(value).unwrap_or_default();
        let seq = self.client.send_raw(namespace, event, payload.clone()).ok()?;
        let (player, session) = (self.id, self.session);
        let (namespace, event) = (namespace.to_owned(), event.to_owned());
        self.notes.note(monotonic_ns(), Event::Sent { player, session, seq, namespace, event, payload });
        self.teller.send_modify(|seen| seen.sent = seq);
        Some(seq)
    }

    fn progressed(&mut self, applied: u32, durable: u32) {
        let (player, session) = (self.id, self.session);
        if durable > self.teller.borrow().durable {
            self.notes.note(monotonic_ns(), Event::Durable { player, session, seq: durable });
        }
        self.teller.send_modify(|seen| {
            seen.applied = seen.applied.max(applied);
            seen.durable = seen.durable.max(durable);
        });
    }

    fn notice(&mut self, update: Update) {
        let player = self.id;
        match update {
            Update::Frame(frame) => {
                let now = Instant::now();
                let gap = self.last_frame.replace(now).map_or(Duration::ZERO, |last| now - last);
                let (epoch, tick, applied) = (frame.epoch, frame.tick, frame.progress.applied);
                let shown = Event::Shown { player, epoch, tick, applied, excused: true };
                self.notes.note(monotonic_ns(), shown);
                self.progressed(applied, frame.progress.durable);
                self.teller.send_modify(|seen| {
                    seen.longest_gap = seen.longest_gap.max(gap);
                    seen.epoch = epoch;
                });
            }
            Update::Progress(progress) => self.progressed(progress.applied, progress.durable),
            Update::Event(event) if event.namespace == "ledger" && event.event == "report" => {
                let Ok(report) = event.read::<Report>(self.client.spelling()) else { return };
                let account = Account {
                    count: report.count,
                    last_seq: report.last_seq,
                    chain: u64::from_str_radix(&report.chain, 16).unwrap_or_default(),
                    repeated: report.repeated,
                    skipped: report.skipped,
                    backwards: report.backwards,
                };
                let session = self.session;
                self.notes.note(monotonic_ns(), Event::Reported { player, session, account });
                self.teller.send_modify(|seen| {
                    seen.reports += 1;
                    seen.reported = report.last_seq;
                });
            }
            Update::Event(event) if event.namespace == "tokens" => match event.event.as_str() {
                "received" | "refused" => {
                    let token = event.read::<Token>(self.client.spelling());
                    let _ = token.map(|gift| self.purse.got(gift.token));
                }
                "report" => {
                    let Ok(found) = event.read::<Inventory>(self.client.spelling()) else { return };
                    self.teller.send_modify(|seen| {
                        seen.inventories += 1;
                        seen.tokens = found.tokens;
                    });
                }
                _ => {}
            },
            Update::Event(_) | Update::Closing(_) => {}
            Update::Resync { .. } => {
                // Whether a crash explains it is judged at the end, by the fault that was placed.
                self.notes.note(monotonic_ns(), Event::Resynced { player, crashed: true });
                self.teller.send_modify(|seen| seen.resyncs += 1);
            }
            Update::Disconnected { why, resuming } => self.teller.send_modify(|seen| {
                seen.ended = (!resuming).then(|| why.clone());
                seen.disconnects.push(why);
            }),
            Update::Resumed { anew, .. } => {
                self.session = self.client.welcome().session;
                self.notes.note(monotonic_ns(), Event::Connected { player, resumed: !anew });
                self.teller.send_modify(|seen| {
                    seen.resumes += 1;
                    seen.anew += u32::from(anew);
                });
            }
        }
    }
}
