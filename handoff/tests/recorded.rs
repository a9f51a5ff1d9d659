//! How well prediction and readiness serve recorded movement: matches of a car-football game, played
//! where four regions meet at the centre of the pitch.
//!
//! Plays the built-in 75 seconds, or every recording in the folder `HORIZON_TRACES`. The figures are
//! printed: `cargo test -p horizon-handoff --test recorded -- --nocapture`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use horizon_handoff::predict::{DEFAULT_PREPARE_WITHIN, Need, Policy, Predictor, Wanted};
use horizon_handoff::source::{CROSSING_METRES, Input, Near, Output, Source, StepEnd};
use horizon_handoff::{EntityKey, LeaseGuard};
use horizon_model::{
    Epoch, GridMap, HandoffId, PlayerId, Pose, Position, RegionId, RegionMap, Tick, WorkerId,
};

/// A body that is this far from where it was a sample before was put somewhere else.
const JUMP_METRES: f64 = 8.0;
/// Regions step every other tick.
const STEP_TICKS: u64 = 2;
/// A forecast counts when it came this long before the entity was due.
const EARLY_ENOUGH: Duration = Duration::from_millis(250);

/// Milliseconds since the match began, metres from its centre, metres per second.
type Sample = (f64, [f64; 3], [f64; 2]);

/// Every body from one jump to the next.
fn stretches(text: &str) -> Vec<Vec<Sample>> {
    let mut bodies: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<_> = line.split(',').collect();
        let number = |at: usize| columns[at].parse::<f64>().unwrap();
        let sample = (number(0), [number(2), number(3), number(4)], [number(6), number(7)]);
        bodies.entry(columns[1]).or_default().push(sample);
    }
    let near = |a: &Sample, b: &Sample| (a.1[0] - b.1[0]).hypot(a.1[1] - b.1[1]) <= JUMP_METRES;
    bodies.values().flat_map(|body| body.chunk_by(near)).map(<[Sample]>::to_vec).collect()
}

fn recordings() -> Vec<String> {
    let built_in =
        || vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/load/sample/match.csv.gz")];
    let paths = std::env::var_os("HORIZON_TRACES").map_or_else(built_in, |folder| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect()
    });
    let read = |path: &PathBuf| {
        let mut text = String::new();
        let file = std::fs::File::open(path).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    paths.iter().map(read).collect()
}

/// Who begins offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Forecast,
    Nearness,
    Both,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    seconds: f64,
    crossings: u32,
    /// Not ready when the entity was 2 m beyond.
    late: u32,
    /// The edge's forecast was early enough.
    forecast: u32,
    offers: u32,
    full: u32,
    deltas: u32,
    /// Forecast wishes that began, crossed or not.
    wishes: u32,
}

/// One body on its way through the regions, each of which answers within a step.
struct Walk<'a> {
    map: &'a RegionMap,
    by: By,
    home: RegionId,
    source: Source,
    predictor: Predictor,
    wanted: Wanted,
    /// Since when a forecast stands for a region, and when it was last said.
    wishes: BTreeMap<RegionId, (Duration, Duration)>,
    due_since: Option<Duration>,
    tick: Tick,
    nonces: u128,
    answers: Vec<Input>,
    figures: &'a mut Figures,
}

const KEY: EntityKey = EntityKey::Player(PlayerId(1));

fn owner(home: RegionId, epoch: u64, now: Duration) -> Source {
    let me = LeaseGuard { region: home, worker: WorkerId(1), lease: Epoch(1) };
    Source::new(KEY, me, Epoch(epoch), now)
}

impl Walk<'_> {
    fn step(&mut self, tick: Tick, pose: &Pose) {
        let now = tick.since_origin();
        self.tick = tick;
        for input in std::mem::take(&mut self.answers) {
            self.feed(now, input);
        }
        self.predict(tick, pose);
        let near = match self.by {
            By::Forecast => Near::NOBODY,
            _ => Near::around(self.map, self.home, self.map.regions(), &pose.position),
        };
        let beyond_metres = self.map.distance(self.home, &pose.position);
        if beyond_metres < CROSSING_METRES {
            self.due_since = None;
        } else {
            self.due_since.get_or_insert(now);
        }
        let owner = self.map.owner_of(&pose.position);
        let fresh_handoff = self.nonce();
        let step_ticks = STEP_TICKS;
        let step = StepEnd {
            tick,
            step_ticks,
            owner,
            beyond_metres,
            near,
            healthy: true,
            swift: true,
            crowded: false,
            held: false,
            fresh_handoff,
        };
        self.feed(now, Input::StepEnd(step));
    }

    fn nonce(&mut self) -> HandoffId {
        self.nonces += 1;
        HandoffId(self.nonces)
    }

    fn predict(&mut self, tick: Tick, pose: &Pose) {
        let now = tick.since_origin();
        let policy = Policy { prepare_within: DEFAULT_PREPARE_WITHIN, place_within: Duration::from_secs(3) };
        self.predictor.observe(tick, pose);
        let forecasts = self.predictor.forecast(self.map, self.home, policy.horizon());
        for need in self.wanted.update(now, self.home, &forecasts, &policy) {
            let Need::Prepare { region: target } = need else { continue };
            let fresh = (now, now);
            let wish = self.wishes.entry(target).or_insert((now, Duration::ZERO));
            if wish.1 + Duration::from_millis(400) < now {
                *wish = fresh;
                self.figures.wishes += 1;
            }
            wish.1 = now;
            let handoff = self.nonce();
            if self.by != By::Nearness {
                self.answers.push(Input::Prepare { target, handoff });
            }
        }
    }

    fn feed(&mut self, now: Duration, input: Input) {
        for output in self.source.handle(now, input) {
            match output {
                Output::SendOffer { handoff, .. } => {
                    self.figures.offers += 1;
                    self.answers.push(Input::Accepted { handoff, lease: Epoch(1), worker: WorkerId(2) });
                }
                Output::SendPresync { handoff, base, .. } => {
                    *(if base.is_some() { &mut self.figures.deltas } else { &mut self.figures.full }) += 1;
                    self.answers.push(Input::PresyncAck { handoff, tick: self.tick });
                }
                Output::Flush { tick } => return self.feed(now, Input::Durable { tick }),
                Output::SendFinal { to, late, .. } => return self.cross(now, to, late),
                _ => {}
            }
        }
    }

    fn cross(&mut self, now: Duration, to: RegionId, late: bool) {
        let due = self.due_since.take().unwrap();
        let early = self.wishes.get(&to).is_some_and(|(since, _)| *since + EARLY_ENOUGH <= due);
        self.figures.crossings += 1;
        self.figures.late += u32::from(late);
        self.figures.forecast += u32::from(early);
        self.source = owner(to, self.source.epoch().0 + 1, now);
        self.home = to;
        self.answers.clear();
        self.wishes.clear();
    }
}

fn play(matches: &[Vec<Vec<Sample>>], by: By) -> Figures {
    let grid = GridMap::new([-200.0, -200.0], 200.0, 2, 2).unwrap();
    let map = RegionMap { map_epoch: 1, grid };
    let mut figures = Figures::default();
    let place = |at: [f64; 3]| Position::from_metres(at).unwrap();
    for stretch in matches.iter().flatten().filter(|stretch| stretch.len() > 1) {
        let home = map.owner_of(&place(stretch[0].1)).unwrap();
        let mut walk = Walk {
            map: &map,
            by,
            home,
            source: owner(home, 1, Duration::ZERO),
            predictor: Predictor::new(),
            wanted: Wanted::new(),
            wishes: BTreeMap::new(),
            due_since: None,
            tick: Tick(0),
            nonces: 0,
            answers: vec![],
            figures: &mut figures,
        };
        let (first, last) = (stretch[0].0, stretch[stretch.len() - 1].0);
        let (mut tick, mut at) = (Tick::at(Duration::from_secs_f64(first / 1000.0 + 60.0)), 0);
        loop {
            tick = tick + STEP_TICKS;
            let ms = (tick.since_origin().as_secs_f64() - 60.0) * 1000.0;
            if ms > last {
                break;
            }
            while stretch[at + 1].0 < ms {
                at += 1;
            }
            let ((t0, a, va), (t1, b, _)) = (stretch[at], stretch[at + 1]);
            let part = if t1 > t0 { ((ms - t0) / (t1 - t0)).clamp(0.0, 1.0) } else { 1.0 };
            let position = place([0, 1, 2].map(|axis| a[axis] + (b[axis] - a[axis]) * part));
            let pose = Pose { velocity: [va[0] as f32, va[1] as f32, 0.0], ..Pose::at(position) };
            walk.step(tick, &pose);
        }
        figures.seconds += (last - first) / 1000.0;
    }
    figures
}

#[test]
fn a_crossing_finds_its_target_ready() {
    let matches: Vec<_> = recordings().iter().map(|text| stretches(text)).collect();
    for by in [By::Forecast, By::Nearness, By::Both] {
        let Figures { seconds, crossings, late, forecast, offers, full, deltas, wishes } = play(&matches, by);
        let of = |n: u32| 100.0 * f64::from(n) / f64::from(crossings);
        println!(
            "{by:?}: {seconds:.0} s of bodies, {crossings} crossings, {:.2} % late, {:.1} % forecast 250 ms \
             ahead; per crossing {:.2} wishes, {:.2} offers, {:.2} complete states, {:.1} deltas",
            of(late),
            of(forecast),
            of(wishes) / 100.0,
            of(offers) / 100.0,
            of(full) / 100.0,
            of(deltas) / 100.0,
        );
        assert!(crossings > 50, "the recordings hardly went anywhere");
        assert!(of(late) < 0.5, "{late} of {crossings} late");
        assert!(of(forecast) > 90.0, "{forecast} of {crossings} forecast");
    }
}
