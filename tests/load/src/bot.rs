//! One player: joins, follows a route, sends reliable inputs, watches everything, proves its account, leaves.

use std::sync::Arc;
use std::time::Duration;

use horizon_client::{Client, ConnectError, Event, Options, Spelling, Update};
use horizon_model::{EntityId, Pose, Position, TICKS_PER_SECOND, Tick};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};

use crate::checker::{Checker, EventNumbers, GapMeter};
use crate::hiccup::HiccupMeter;
use crate::ledger::{Chain, Report};
use crate::runner::Run;
use crate::steps::StepMeter;
use crate::totals::Totals;
use crate::trace::{Sample, is_jump};
use crate::walker::Walker;

/// Five reliable inputs a second.
const INPUT_EVERY: Duration = Duration::from_millis(200);
/// Of a player who stands there, fewer: the server closes a connection that is silent for five seconds.
const STANDING_INPUT_EVERY: Duration = Duration::from_secs(2);
/// Every fifth of them is chat, and every fiftieth is heard by the whole world.
const CHAT_EVERY: u64 = 5;
const SAY_EVERY: u64 = 50;
/// How often a walker says where it is.
const WALK_EVERY: Duration = Duration::from_millis(50);
/// How often a runner says where it is.
const RUN_EVERY: Duration = Duration::from_nanos(1_000_000_000 / TICKS_PER_SECOND);
/// And for how many ticks ahead: a jitter of 100 ms costs nothing.
const AHEAD_TICKS: u64 = 6;
/// No measurement is that long.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);
/// After a respawn movement waits for it to be applied, so that it is not judged as a sprint; at most so long.
const RESPAWN_PATIENCE: Duration = Duration::from_millis(500);
/// How long a leaving bot waits for the report on its inputs: longer than any recovery takes.
const REPORT_PATIENCE: Duration = Duration::from_secs(15);
/// Attempts to join, and the pause between them.
const JOIN_ATTEMPTS: u32 = 6;
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// Where a bot goes.
#[derive(Debug, Clone)]
pub enum Route {
    /// Along a recorded track around `centre`, metres. Jumps within it are respawns.
    Recorded {
        /// In order of time; the first is where the bot joins.
        samples: Vec<Sample>,
        /// Where the pitch lies.
        centre: [f64; 2],
    },
    /// A stroll without end.
    Stroll(Walker),
    /// To and fro over a border, a place for each tick.
    Run(Run),
    /// Standing there, metres; whoever moves the body is not contradicted.
    Stand([f64; 3]),
}

#[derive(Debug, Clone, Copy)]
struct Waypoint {
    /// Since the start of the route.
    at: Duration,
    pose: Pose,
    jump: bool,
}

impl Route {
    /// Metres from the world's origin.
    pub fn start(&self) -> [f64; 3] {
        match self {
            Self::Recorded { samples, centre } => {
                samples.first().map_or([centre[0], centre[1], 0.0], |first| placed(first, *centre))
            }
            Self::Stroll(walker) => walker.position(),
            Self::Run(run) => run.pose(Tick(0)).position.metres(),
            Self::Stand(place) => *place,
        }
    }

    fn waypoints(self) -> Box<dyn Iterator<Item = Waypoint> + Send> {
        match self {
            Self::Recorded { samples, centre } => {
                let begin = samples.first().map_or(Duration::ZERO, |first| first.at);
                let mut before: Option<Sample> = None;
                Box::new(samples.into_iter().map(move |sample| {
                    let jump = before.replace(sample).is_some_and(|before| is_jump(&before, &sample));
                    let pose = pose(placed(&sample, centre), sample.velocity, sample.yaw);
                    Waypoint { at: sample.at - begin, pose, jump }
                }))
            }
            Self::Stroll(mut walker) => Box::new((0_u32..).map(move |step| {
                walker.step(WALK_EVERY);
                let pose = pose(walker.position(), walker.velocity(), walker.yaw());
                Waypoint { at: WALK_EVERY * step, pose, jump: false }
            })),
            Self::Run(_) => Box::new(std::iter::empty()),
            Self::Stand(place) => {
                let pose = pose(place, [0.0; 3], 0.0);
                Box::new(std::iter::once(Waypoint { at: FOR_EVER, pose, jump: false }))
            }
        }
    }
}

fn placed(sample: &Sample, centre: [f64; 2]) -> [f64; 3] {
    let [x, y, z] = sample.position;
    [x + centre[0], y + centre[1], z]
}

fn pose(metres: [f64; 3], velocity: [f32; 3], yaw: f32) -> Pose {
    Pose { position: Position::from_metres(metres).unwrap_or_default(), velocity, yaw }
}

/// Plays one life from joining to leaving, and adds what it saw to `totals`.
pub async fn play(options: Options, route: Route, totals: Arc<Totals>, mut stop: watch::Receiver<bool>) {
    let started = Instant::now();
    let Some(client) = join(options, &totals, &mut stop).await else { return };
    totals.joined();
    let mut bot = Bot::new(client, route, started, Arc::clone(&totals));
    bot.live(&mut stop).await;
    bot.leave().await;
    totals.left();
}

async fn join(mut options: Options, totals: &Totals, stop: &mut watch::Receiver<bool>) -> Option<Client> {
    for attempt in 1..=JOIN_ATTEMPTS {
        if *stop.borrow() {
            return None;
        }
        match Client::connect(options.clone()).await {
            Ok(client) => return Some(client),
            Err(error @ (ConnectError::Trust(_) | ConnectError::NoUrl)) => {
                warn!(%error, "cannot join");
                break;
            }
            Err(error) => warn!(%error, attempt, "not joined yet"),
        }
        options.urls.rotate_left(1);
        let pause = Instant::now() + JOIN_PAUSE * attempt;
        let _ = timeout_at(pause, stop.changed()).await;
    }
    totals.count(|sum| sum.refused += 1);
    None
}

struct Bot {
    client: Client,
    checker: Checker,
    gaps: GapMeter,
    hiccups: HiccupMeter,
    numbers: EventNumbers,
    chain: Chain,
    totals: Arc<Totals>,
    started: Instant,
    waypoints: std::iter::Peekable<Box<dyn Iterator<Item = Waypoint> + Send>>,
    runner: Option<Runner>,
    next_input: Instant,
    input_every: Duration,
    inputs: u64,
    /// Talks to the whole world now and then. Where hundreds walk, everybody's words to everybody would
    /// be all the load there is.
    speaks: bool,
    /// A respawn that is not applied yet, and when to stop waiting for it.
    respawn: Option<(u32, Instant)>,
    report: Option<Report>,
    over: bool,
}

/// What a runner says and sees.
struct Runner {
    run: Run,
    /// The newest tick for which it said where it is; 0 before the first.
    said: Tick,
    wake: Instant,
    steps: StepMeter,
}

impl Runner {
    fn new(run: Run, own: EntityId) -> Self {
        Self { run, said: Tick(0), wake: Instant::now(), steps: StepMeter::new(own) }
    }
}

impl Bot {
    fn new(client: Client, route: Route, started: Instant, totals: Arc<Totals>) -> Self {
        let rate_hz = client.welcome().rate_hz;
        let stands = matches!(route, Route::Stand(_));
        let input_every = if stands { STANDING_INPUT_EVERY } else { INPUT_EVERY };
        Self {
            checker: Checker::new(rate_hz),
            gaps: GapMeter::new(rate_hz),
            hiccups: HiccupMeter::default(),
            numbers: EventNumbers::default(),
            chain: Chain::default(),
            totals,
            started,
            speaks: matches!(route, Route::Recorded { .. }),
            runner: match &route {
                Route::Run(run) => Some(Runner::new(*run, client.welcome().entity)),
                _ => None,
            },
            waypoints: route.waypoints().peekable(),
            next_input: Instant::now() + input_every,
            input_every,
            inputs: 0,
            respawn: None,
            report: None,
            over: false,
            client,
        }
    }

    /// Until the route ends, the session ends, or everybody is told to stop.
    async fn live(&mut self, stop: &mut watch::Receiver<bool>) {
        let mut faults = self.totals.faults();
        while !self.over && !*stop.borrow() {
            let due = match (&self.runner, self.waypoints.peek()) {
                (Some(runner), _) => runner.wake,
                (None, Some(waypoint)) => self.started + waypoint.at,
                (None, None) => return,
            };
            let wake = self.next_input.min(due);
            tokio::select! {
                update = self.client.next_with(&mut self.checker) => self.handle(update),
                () = sleep_until(wake) => self.act(),
                _ = stop.changed() => return,
                Ok(()) = faults.changed() => {
                    let fault = *faults.borrow_and_update();
                    let unfinished = fault.and_then(|fault| self.hiccups.begin(fault));
                    self.totals.hiccup(unfinished);
                }
            }
        }
    }

    /// Whatever is due by now.
    fn act(&mut self) {
        let now = Instant::now();
        if self.next_input <= now {
            self.next_input = now + self.input_every;
            self.send_next_input();
        }
        self.run(now);
        // A bot that came late goes where it should be by now, without losing a respawn on the way.
        let mut due: Option<Waypoint> = None;
        while let Some(waypoint) = self.waypoints.next_if(|waypoint| self.started + waypoint.at <= now) {
            let jump = waypoint.jump || due.is_some_and(|due| due.jump);
            due = Some(Waypoint { jump, ..waypoint });
        }
        match due {
            Some(waypoint) if waypoint.jump => self.jump(&waypoint.pose),
            Some(waypoint) => self.step(waypoint.pose),
            None => {}
        }
    }

    /// Says where a runner is at every tick up to some ahead of now.
    fn run(&mut self, now: Instant) {
        let Some(runner) = &mut self.runner else { return };
        if runner.wake > now {
            return;
        }
        while runner.wake <= now {
            runner.wake += RUN_EVERY;
        }
        let Some(ahead) = self.client.tick().map(|tick| tick + AHEAD_TICKS) else { return };
        if runner.said == Tick(0) {
            runner.said = ahead;
            runner.run = runner.run.beginning(ahead);
            self.totals.runs(self.client.welcome().entity, runner.run);
        }
        for tick in runner.said.0 + 1..=ahead.0 {
            self.client.movement_at(Tick(tick), runner.run.pose(Tick(tick)));
        }
        runner.said = runner.said.max(ahead);
    }

    fn step(&mut self, pose: Pose) {
        if let Some((seq, patience)) = self.respawn {
            if self.client.session().progress().applied < seq && Instant::now() < patience {
                return;
            }
            self.respawn = None;
        }
        if self.client.movement(pose).is_some() {
            self.hiccups.moved(Instant::now(), pose.position.metres());
        }
    }

    fn jump(&mut self, pose: &Pose) {
        self.client.forget_movement();
        self.hiccups.jumped();
        let tick = self.client.tick().map(|tick| tick.0);
        let payload = json!({ "position": pose.position.metres(), "velocity": pose.velocity, "yaw": pose.yaw, "tick": tick });
        if let Some(seq) = self.send("movement", "respawn", &payload) {
            self.respawn = Some((seq, Instant::now() + RESPAWN_PATIENCE));
            self.totals.count(|sum| sum.teleports += 1);
        }
    }

    fn send_next_input(&mut self) {
        self.inputs += 1;
        let n = self.inputs;
        if self.totals.is_quiet() {
            self.send("ledger", "note", &json!({ "n": n }));
        } else if self.speaks && n.is_multiple_of(SAY_EVERY) {
            self.send("chat", "say", &json!({ "text": format!("message {n}") }));
        } else if self.input_every == INPUT_EVERY && n.is_multiple_of(CHAT_EVERY) {
            self.send("chat", "nearby", &json!({ "text": format!("message {n}") }));
        } else {
            self.send("ledger", "note", &json!({ "n": n }));
        }
    }

    /// Numbers an input and adds it to the chain; nothing happens while the window is closed.
    fn send(&mut self, namespace: &str, event: &str, payload: &serde_json::Value) -> Option<u32> {
        let bytes = self.client.spell(payload).expect("JSON values can be written in both spellings");
        let seq = self.client.send_raw(namespace, event, bytes.clone()).ok()?;
        self.chain.push(seq, namespace, event, &bytes);
        self.hiccups.sent(seq);
        self.totals.count(|sum| sum.inputs_sent += 1);
        Some(seq)
    }

    fn handle(&mut self, update: Option<Update>) {
        match update {
            None => self.over = true,
            Some(Update::Frame(frame)) => {
                let gap = self.gaps.observe(frame.epoch, frame.received_at);
                self.totals.frame(frame.body_bytes, gap);
                let own = self.client.welcome().entity;
                let now = Instant::now();
                let shown = self.client.world().drawn(own).map(|drawn| drawn.pose.position.metres());
                self.hiccups.frame(now, frame.epoch, shown);
                self.totals.hiccup(self.hiccups.applied(now, frame.progress.applied));
                if let Some(runner) = &mut self.runner {
                    let ways = self.totals.ways();
                    runner.steps.frame(frame.epoch, frame.tick, self.checker.pictures(), &ways);
                }
                if !self.totals.is_quiet() {
                    self.totals.references().take(self.checker.look(own));
                }
            }
            Some(Update::Event(event)) => self.handle_event(&event),
            Some(Update::Resync { tick, .. }) => {
                debug!(%tick, "a crash was announced");
                self.restart_meters();
                self.checker.forgive();
                self.totals.count(|sum| sum.resyncs += 1);
            }
            Some(Update::Disconnected { why, resuming }) => {
                warn!(player = %self.client.welcome().player, why, resuming, "disconnected");
                self.restart_meters();
                self.hiccups.disconnected(Instant::now());
                self.totals.count(|sum| sum.disconnects += 1);
            }
            Some(Update::Resumed { anew, abandoned, .. }) => {
                self.hiccups.resumed(Instant::now());
                self.totals.count(|sum| {
                    sum.resumes += 1;
                    sum.inputs_lost += u64::from(abandoned);
                });
                if anew {
                    self.chain = Chain::default();
                    self.numbers.restart();
                }
            }
            Some(Update::Progress(progress)) => {
                self.totals.hiccup(self.hiccups.applied(Instant::now(), progress.applied));
            }
            Some(Update::Closing(_)) => {}
        }
    }

    /// What comes next does not follow what came before.
    fn restart_meters(&mut self) {
        self.gaps.restart();
        if let Some(runner) = &mut self.runner {
            runner.steps.restart();
        }
    }

    fn handle_event(&mut self, event: &Event) {
        self.numbers.observe(event.number);
        self.totals.count(|sum| sum.events += 1);
        match (event.namespace.as_str(), event.event.as_str()) {
            ("ledger", "report") => match event.read(self.client.spelling()) {
                Ok(report) => self.report = Some(report),
                Err(error) => warn!(%error, "the report cannot be read"),
            },
            ("movement", "corrected") => self.totals.count(|sum| sum.corrections += 1),
            _ => {}
        }
    }

    /// Asks for the report, compares it, says goodbye.
    async fn leave(mut self) {
        self.totals.hiccup(self.hiccups.end());
        let deadline = Instant::now() + REPORT_PATIENCE;
        let mut asked = false;
        while !self.over && self.report.is_none() {
            asked = asked || self.send("ledger", "report", &json!({})).is_some();
            match timeout_at(deadline, self.client.next_with(&mut self.checker)).await {
                Ok(update) => self.handle(update),
                Err(_) => break,
            }
        }
        let audit = self.report.take().map(|report| {
            let audit = self.chain.audit(&report);
            if audit != crate::ledger::Audit::default() {
                warn!(player = %self.client.welcome().player, ?audit, ?report, own = self.chain.count(), "inputs");
            }
            audit
        });
        self.totals.audited(audit);
        if let Some(runner) = self.runner.take() {
            self.totals.stepped(runner.steps.end());
        }
        self.totals.session_ended(self.checker.faults(), self.numbers);
        self.client.close().await;
    }
}

/// How a player's messages are written, by its number among the bots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpellingChoice {
    /// All in binary.
    Binary,
    /// All in JSON.
    Json,
    /// In turn.
    Mixed,
}

impl SpellingChoice {
    /// For bot number `n`.
    pub const fn of(self, n: u64) -> Spelling {
        match self {
            Self::Binary => Spelling::Binary,
            Self::Json => Spelling::Json,
            Self::Mixed if n.is_multiple_of(2) => Spelling::Binary,
            Self::Mixed => Spelling::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_route_lies_around_its_pitch_and_marks_jumps() {
        let sample = |ms: u64, x: f64| Sample {
            at: Duration::from_millis(ms),
            position: [x, 1.0, 0.5],
            yaw: 0.0,
            velocity: [0.0; 3],
        };
        let samples = vec![sample(4000, 0.0), sample(4100, 2.0), sample(4200, 30.0)];
        let route = Route::Recorded { samples, centre: [100.0, -50.0] };
        assert_eq!(route.start(), [100.0, -49.0, 0.5]);
        let waypoints: Vec<_> = route.waypoints().collect();
        assert_eq!(waypoints.iter().map(|w| w.at.as_millis()).collect::<Vec<_>>(), [0, 100, 200]);
        assert_eq!(waypoints.iter().map(|w| w.jump).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(waypoints[1].pose.position.metres(), [102.0, -49.0, 0.5]);
    }
}
