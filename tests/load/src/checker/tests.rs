//! The checker against good runs, and against one fault of every kind.

use horizon_client::Progress;
use horizon_model::Pose;

use super::*;
use crate::references::References;

const CAR: EntityId = match EntityId::from_bits(7) {
    Some(id) => id,
    None => panic!("not zero"),
};
const OTHER: EntityId = match EntityId::from_bits(8) {
    Some(id) => id,
    None => panic!("not zero"),
};
const ADA: PlayerId = PlayerId(1);

/// A checker in a 30 Hz region, and the frames and entries it is shown.
struct Scene(Checker);

impl Scene {
    fn new() -> Self {
        let mut scene = Self(Checker::new(30));
        scene.frame(100).enter(CAR, 100, 0);
        scene
    }

    fn frame(&mut self, tick: u64) -> &mut Self {
        let frame = Frame {
            epoch: Epoch::new(1, 1),
            tick: Tick(tick),
            progress: Progress::default(),
            received_at: Instant::now(),
            body_bytes: 0,
        };
        self.0.frame(&frame, &[ObjectSchema::named("player")]);
        self
    }

    fn enter_as(&mut self, entity: EntityId, tick: u64, channel: u8, again: bool) -> &mut Self {
        self.0.enter(&EnterEntry {
            entity,
            type_id: ObjectTypeId::PLAYER,
            player: Some(ADA),
            tick: Tick(tick),
            pose: Pose::default(),
            channel,
            again,
            fields: &[],
        });
        self
    }

    fn enter(&mut self, entity: EntityId, tick: u64, channel: u8) -> &mut Self {
        self.enter_as(entity, tick, channel, false)
    }

    /// A knot at `knot` of something that moves along x.
    fn knot(&mut self, knot: u64, channel: u8, metres: f64, mps: f32, snap: bool) -> &mut Self {
        self.0.update(&UpdateEntry {
            entity: CAR,
            tick: Tick(knot),
            channel,
            position: Position::from_metres([metres, 0.0, 0.0]),
            velocity: Some([mps, 0.0, 0.0]),
            yaw: None,
            snap,
            complete: false,
            fields: &[],
        });
        self
    }

    /// Six metres a second.
    fn step(&mut self, tick: u64, channel: u8) -> &mut Self {
        self.frame(tick).knot(tick, channel, tick as f64 / 10.0, 6.0, false)
    }

    fn leave(&mut self, reason: LeaveReason) -> &mut Self {
        self.0.leave(CAR, reason);
        self
    }

    #[track_caller]
    fn expect(&self, flickers: u64, strays: u64) {
        assert_eq!(self.0.faults(), Faults { flickers, strays });
    }
}

#[test]
fn a_good_run_has_no_faults() {
    let mut scene = Scene::new();
    for tick in (102..200).step_by(2) {
        scene.step(tick, 0);
    }
    for tick in (204..300).step_by(4) {
        scene.step(tick, 1);
    }
    scene.expect(0, 0);
}

/// Where the car is, and how fast: forth until tick 400, and back.
fn road(tick: u64) -> (f64, f32) {
    let forth = tick.min(400) as f64 / 10.0;
    let back = tick.saturating_sub(400) as f64 / 10.0;
    (forth - back, if tick < 400 { 6.0 } else { -6.0 })
}

/// What the observer is told in one frame: a knot's tick, channel, metres, metres per second, snap.
type Told = Option<(u64, u8, f64, f32, bool)>;

/// The owner of the car is told all; the observer what `tell` says. Comparisons, and how many were astray.
fn drive(tell: impl Fn(u64) -> Told) -> (u64, u64) {
    let (mut owner, mut observer, references) = (Scene::new(), Scene::new(), References::default());
    for tick in (102..=600).step_by(2) {
        let (metres, mps) = road(tick);
        owner.frame(tick).knot(tick, 0, metres, mps, false);
        observer.frame(tick);
        if let Some((knot, channel, metres, mps, snap)) = tell(tick) {
            observer.knot(knot, channel, metres, mps, snap);
        }
        // Whichever comes first waits for the other.
        if tick.is_multiple_of(4) {
            references.take(owner.0.look(CAR));
            references.take(observer.0.look(OTHER));
        } else {
            references.take(observer.0.look(OTHER));
            references.take(owner.0.look(CAR));
        }
    }
    let found = references.comparisons();
    (found.compared, found.astray)
}

fn told(tick: u64, channel: u8) -> Told {
    let (metres, mps) = road(tick);
    Some((tick, channel, metres, mps, false))
}

#[test]
fn whoever_is_told_in_time_draws_right_however_seldom_that_is() {
    assert_eq!(drive(|tick| told(tick, 0)), (78, 0));
    let (compared, astray) = drive(|tick| if tick.is_multiple_of(4) { told(tick, 1) } else { None });
    assert!(compared > 70 && astray == 0, "{compared}, {astray}");
    // A straight line is told once, and its turn within the delay of twenty ticks.
    let (compared, astray) = drive(|tick| match tick {
        102 => told(102, 2),
        416 => told(400, 2),
        _ => None,
    });
    assert!(compared > 70 && astray == 0, "{compared}, {astray}");
}

#[test]
fn a_wrong_place_is_astray() {
    let (_, astray) = drive(|tick| {
        let (knot, channel, metres, mps, snap) = told(tick, 0)?;
        let shift = if (300..360).contains(&tick) { 0.5 } else { 0.0 };
        Some((knot, channel, metres + shift, mps, snap))
    });
    assert!((9..=11).contains(&astray), "{astray}");
}

#[test]
fn a_frozen_curve_is_astray_from_the_turn_on() {
    let (_, astray) = drive(|tick| if tick < 300 { told(tick, 0) } else { None });
    assert!((30..=33).contains(&astray), "{astray}");
    let (_, astray) = drive(|tick| told(tick.min(300), 0).map(|told| (told.0, 0, told.2, 0.0, false)));
    assert!(astray > 40, "{astray}");
}

#[test]
fn a_knot_later_than_the_delay_is_astray() {
    let turn = |at: u64| {
        drive(move |tick| match tick {
            102 => told(102, 1),
            _ if tick == at => told(400, 1),
            _ => None,
        })
    };
    assert_eq!(turn(408).1, 0);
    assert!(turn(440).1 >= 4);
}

#[test]
fn jumps_and_changes_of_channel_are_granted_half_a_second() {
    let jump = |snap: bool, ticks: u64| {
        drive(move |tick| {
            let (knot, channel, metres, mps, _) = told(tick, 0)?;
            let jumped = (300..300 + ticks).contains(&tick);
            Some((knot, channel, if jumped { metres + 9.0 } else { metres }, mps, snap && tick == 300))
        })
    };
    assert_eq!(jump(true, 20).1, 0);
    assert!(jump(true, 60).1 > 0);
    assert!(jump(false, 20).1 > 0);
    let change = |wrong: f64, channel: u8| {
        drive(move |tick| match tick {
            ..300 => told(tick, 0),
            300..330 => told(tick, channel).map(|told| (told.0, told.1, told.2 + wrong, told.3, false)),
            _ => told(tick, channel),
        })
    };
    assert_eq!(change(9.0, 1).1, 0);
    assert!(change(9.0, 0).1 > 0);
}

#[test]
fn each_frame_is_looked_at_once() {
    let mut scene = Scene::new();
    scene.step(204, 0);
    assert_eq!(scene.0.look(CAR).len(), 1);
    assert_eq!(scene.0.look(CAR).len(), 0);
    scene.step(206, 0);
    assert_eq!(scene.0.look(CAR).len(), 0, "six does not divide 200");
}

#[test]
fn coming_back_at_once_is_a_flicker_and_later_is_not() {
    let out = LeaveReason::OutOfRange;
    Scene::new().frame(110).leave(out).frame(200).enter(CAR, 200, 0).expect(1, 0);
    Scene::new().frame(110).leave(out).frame(240).enter(CAR, 240, 0).expect(0, 0);
    Scene::new().frame(110).leave(LeaveReason::Teleported).frame(112).enter(CAR, 112, 0).expect(0, 0);
}

#[test]
fn entering_twice_is_a_flicker_unless_it_is_a_repetition() {
    Scene::new().frame(102).enter(CAR, 102, 0).expect(1, 0);
    Scene::new().frame(102).enter_as(CAR, 102, 0, true).expect(0, 0);
}

#[test]
fn a_player_keeps_its_id() {
    Scene::new().frame(102).enter(OTHER, 102, 0).expect(1, 0);
    Scene::new().frame(102).leave(LeaveReason::Gone).frame(104).enter(OTHER, 104, 0).expect(1, 0);
    Scene::new().frame(102).leave(LeaveReason::Gone).frame(300).enter(OTHER, 300, 0).expect(0, 0);
}

#[test]
fn a_reset_starts_anew_and_updates_of_nothing_are_strays() {
    let mut scene = Scene::new();
    scene.step(102, 0).0.reset();
    scene.frame(130).enter(CAR, 130, 0).step(132, 0).expect(0, 0);
    scene.0.reset();
    scene.step(134, 0).expect(0, 1);
}

#[test]
fn gaps_count_whole_periods_and_know_their_kind() {
    let (mut meter, start) = (GapMeter::new(30), Instant::now());
    let mut at = |epoch: u64, ms: u64| meter.observe(Epoch::new(1, epoch), start + Duration::from_millis(ms));
    assert_eq!(at(1, 0), None);
    assert_eq!(at(1, 33), Some(Gap { ticks: 0, crossing: false }));
    assert_eq!(at(1, 66), Some(Gap { ticks: 0, crossing: false }));
    assert_eq!(at(2, 133), Some(Gap { ticks: 2, crossing: true }));
    meter.restart();
    assert_eq!(meter.observe(Epoch::new(1, 3), start + Duration::from_secs(9)), None);
}

#[test]
fn event_numbers_are_contiguous() {
    let mut numbers = EventNumbers::default();
    for number in [1, 2, 4, 4, 5] {
        numbers.observe(number);
    }
    assert_eq!((numbers.lost, numbers.duplicated), (1, 1));
}
