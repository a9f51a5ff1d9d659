//! An observer that goes on in another region's instance.
//!
//! ```text
//!   region 0 (owns the objects) ──bodies for region 1, a step later──▶ region 1 (ghosts)
//!        └── frames ──▶ client ◀── frames ──┘ from the crossing on, with the view of region 0
//! ```

use gorc::grid::Isa;
use gorc::{
    Anchor, DecodeError, Decoder, Enter, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec, Update,
    Visitor,
};
use horizon_model::{
    Cell, ChannelSpec, EntityId, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick, TickRate,
};

use super::run::RunError;
use super::world::observer;
use crate::client::{Client, entity};
use crate::gauge::{Classes, Eye, Found, Gauge};
use crate::movement::{History, Movement, Movers, Square, Truth};
use crate::outcome::{Outcome, rounded, wire};

const HZ: u64 = 30;
const OBJECTS: usize = 300;
const OBSERVERS: usize = 20;
/// Steps before the first crossing, in which clients come to hold everything.
const SETTLED: u64 = 150;
/// Steps from one observer's crossing to the next one's.
const APART: u64 = 10;
/// An observer's frames are normal ones this many steps before its crossing, and again as many after it,
/// when all is told anew.
const NORMAL: u64 = 60;
/// Metres that the region sees further than its clients.
const MARGIN_METRES: f64 = 8.0;
const FIRST_TICK: u64 = 6_000;
/// The region that is crossed into, among the observers.
const NEIGHBOUR: ObserverId = ObserverId(1 << 32);

/// What one observer got, in bytes.
#[derive(Debug, Default, Clone)]
struct Frames {
    before: Vec<u64>,
    first: u64,
    after: Vec<u64>,
}

/// Runs the scene: twenty observers cross one after the other, on seconds of their own.
///
/// # Errors
///
/// [`RunError`].
pub fn crossing(name: &str) -> Result<Outcome, RunError> {
    let mut here = Regions::new();
    let mut now = vec![Truth::default(); OBJECTS];
    let mut history = History::new(here.step_ticks);
    let eye = |number: usize| [-25.0 + 2.5 * number as f64, -40.0 + 4.0 * number as f64, 0.0];
    let mut gauges: Vec<Gauge> = (0..OBSERVERS)
        .map(|number| Gauge::new(Client::new(&CHANNELS, rate(), OBJECTS), Eye::Place(eye(number)), OBJECTS))
        .collect();
    for number in 0..OBSERVERS {
        here.from.add_observer(observer(number), client_at(eye(number)));
    }
    let crosses_at = |number: usize| SETTLED + number as u64 * APART;
    let steps = crosses_at(OBSERVERS) + 2 * NORMAL;
    let mut frames = vec![Frames::default(); OBSERVERS];
    let (mut found, mut bytes, mut on_wire, mut seconds) = (Found::default(), 0, 0, 0.0);
    let mut previous_held = [0; OBSERVERS];
    let mut dropped = 0;
    for step in 0..steps {
        let tick = Tick(FIRST_TICK + step * here.step_ticks);
        here.movement.step(&mut now);
        for number in (0..OBSERVERS).filter(|number| crosses_at(*number) == step) {
            here.cross(number, client_at(eye(number)));
            gauges[number].client.count_anew();
        }
        history.push(tick.0, &now);
        let bodies = here.step(tick, &now).map_err(|error| failed(name, tick, error))?;
        for (number, body) in bodies {
            frames[number].add(body.len() as u64, step, crosses_at(number));
            gauges[number].client.take(tick, &body).map_err(|error| failed(name, tick, error))?;
            if step >= SETTLED {
                bytes += body.len() as u64;
                on_wire += wire::bytes(body.len() as u64);
                seconds += 1.0 / HZ as f64;
            }
        }
        for (gauge, held) in gauges.iter_mut().zip(&mut previous_held) {
            let now_held = gauge.client.held_count();
            if step >= SETTLED {
                dropped += usize::from(now_held + 5 < *held);
                let reach = CHANNELS[3].radius_metres;
                gauge.measure(tick, &history, Classes::Metres([50.0, 150.0]), reach, 0, &mut found);
            }
            *held = now_held;
        }
    }
    let told = gauges.iter().map(|gauge| gauge.client.told());
    let (enters, repeated, strays) = told.fold((0, 0, 0), |sum, told| {
        (sum.0 + told.enters, sum.1 + told.repeated_enters, sum.2 + told.strays)
    });
    let flips = gauges.iter().map(|gauge| gauge.client.flips().1).max().unwrap_or(0);
    let [near, _, far] = &found.errors;
    let outcome = Outcome {
        scene: name.to_owned(),
        isa: Isa::detect().name(),
        players: OBSERVERS,
        objects: OBJECTS,
        hz: HZ,
        payload_bytes_per_client_s: Some(bytes as f64 / seconds),
        wire_bytes_per_client_s: Some(on_wire as f64 / seconds),
        error_near_p99_m: near.percentile(0.99),
        error_far_p99_m: far.percentile(0.99),
        oldest_update_s_max: Some(found.untold_ticks as f64 / 60.0),
        ..Outcome::default()
    };
    Ok(outcome
        .with("enters_sent_again", repeated)
        .with("enters_after_crossing", enters)
        .with("strays", strays)
        .with("first_frame_ratio", rounded(Some(ratio(&frames, |frames| &frames.before)), 2))
        .with("first_frame_ratio_to_later", rounded(Some(ratio(&frames, |frames| &frames.after)), 2))
        .with("objects_lost_at_once", dropped)
        .with("flips_per_pair_s_max", flips)
        .with("error_near_max_m", near.max()))
}

const CHANNELS: [ChannelSpec; 4] = ChannelSpec::DEFAULT;

fn failed(scene: &str, tick: Tick, error: DecodeError) -> RunError {
    RunError { scene: scene.to_owned(), tick, error }
}

impl Frames {
    fn add(&mut self, bytes: u64, step: u64, crosses_at: u64) {
        if step == crosses_at {
            self.first = bytes;
        } else if step < crosses_at && step + NORMAL >= crosses_at {
            self.before.push(bytes);
        } else if step >= crosses_at + NORMAL {
            self.after.push(bytes);
        }
    }
}

/// First frames after crossings by the mean of normal ones.
fn ratio(frames: &[Frames], normal: fn(&Frames) -> &Vec<u64>) -> f64 {
    let normal = frames.iter().flat_map(normal);
    let (sum, count) = normal.fold((0, 0_u64), |(sum, count), bytes| (sum + bytes, count + 1));
    let first: u64 = frames.iter().map(|frames| frames.first).sum();
    first as f64 / frames.len() as f64 / (sum as f64 / count.max(1) as f64)
}

fn client_at(metres: [f64; 3]) -> ObserverSpec {
    ObserverSpec::client(Position::from_metres(metres).unwrap_or_default())
}

fn rate() -> TickRate {
    TickRate::from_hz(HZ).expect("it divides the grid")
}

/// Two regions side by side.
struct Regions {
    from: Gorc,
    to: Gorc,
    movement: Movers,
    link: Decoder,
    /// What the first region tells the second one, on its way, with its tick.
    under_way: Option<(Tick, Vec<u8>)>,
    ghosts: Vec<Pose>,
    step_ticks: u64,
}

impl Regions {
    fn new() -> Self {
        let rate = rate();
        let gorc = || Gorc::new(rate, ObjectSchema { channels: CHANNELS, ..ObjectSchema::named("player") });
        let mut from = gorc();
        let low = Cell { x: 0, y: -4, z: 0 };
        let anchor = Anchor::Hull { low, high: Cell { x: 3, y: 3, z: 0 }, beyond: Vec::new() };
        from.add_observer(NEIGHBOUR, ObserverSpec::region(anchor, MARGIN_METRES));
        Self {
            from,
            to: gorc(),
            // All on the side of the first region.
            movement: Movers::new(0xc05, OBJECTS, Square { low: [-150.0, -75.0], edge: 150.0 }, HZ),
            link: Decoder::new(),
            under_way: None,
            ghosts: vec![Pose::default(); OBJECTS],
            step_ticks: rate.step(),
        }
    }

    fn cross(&mut self, number: usize, spec: ObserverSpec) {
        let id = observer(number);
        if let Some(view) = self.from.view(id) {
            self.from.remove_observer(id);
            self.to.add_observer(id, spec);
            self.to.adopt_view(id, &view);
        }
    }

    /// One step of both; the second one hears what the first one said a step ago.
    fn step(&mut self, tick: Tick, now: &[Truth]) -> Result<Vec<(usize, Vec<u8>)>, DecodeError> {
        for (number, truth) in now.iter().enumerate() {
            let (entity, pose) = (entity(number), truth.pose());
            if tick.0 == FIRST_TICK {
                let player = Some(PlayerId(number as u128 + 1));
                let type_id = ObjectTypeId::PLAYER;
                let fields = Vec::new();
                self.from.spawn(NewObject { entity, type_id, player, ghost: false, tick, pose, fields });
            } else {
                self.from.sample(entity, tick, &pose, truth.snap);
            }
        }
        if let Some((said_at, body)) = self.under_way.take() {
            let mut ghosts = Ghosts { gorc: &mut self.to, poses: &mut self.ghosts };
            self.link.decode(&body, said_at, &mut ghosts)?;
        }
        let mut bodies = Vec::new();
        let under_way = &mut self.under_way;
        self.from.step(tick, &mut |_| true, &mut |id, body| {
            if id == NEIGHBOUR {
                *under_way = Some((tick, body.to_vec()));
            } else {
                bodies.push(((id.0 - 1) as usize, body.to_vec()));
            }
        });
        self.to.step(tick, &mut |_| true, &mut |id, body| bodies.push(((id.0 - 1) as usize, body.to_vec())));
        Ok(bodies)
    }
}

/// The second region's copies.
struct Ghosts<'a> {
    gorc: &'a mut Gorc,
    poses: &'a mut [Pose],
}

impl Visitor for Ghosts<'_> {
    fn reset(&mut self) {}

    fn enter(&mut self, enter: Enter<'_>) {
        self.poses[crate::client::number(enter.entity)] = enter.pose;
        self.gorc.spawn(NewObject::ghost(&enter, 0));
    }

    fn update(&mut self, update: Update<'_>) {
        let pose = &mut self.poses[crate::client::number(update.entity)];
        pose.yaw = update.yaw.unwrap_or(pose.yaw);
        pose.velocity = update.velocity.unwrap_or(pose.velocity);
        if let Some(position) = update.position {
            pose.position = position;
            self.gorc.sample(update.entity, update.tick, pose, update.snap);
        }
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        self.gorc.despawn(entity, reason);
    }
}
