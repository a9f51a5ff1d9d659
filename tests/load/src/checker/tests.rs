//! The checker against good runs, and against one fault of every kind.

use horizon_client::{Precision, Progress};
use horizon_model::Pose;

use super::*;

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
            precision: Precision::Cm5,
            again,
            fields: &[],
        });
        self
    }

    fn enter(&mut self, entity: EntityId, tick: u64, channel: u8) -> &mut Self {
        self.enter_as(entity, tick, channel, false)
    }

    fn at(&mut self, tick: u64, channel: u8, metres: f64, complete: bool) -> &mut Self {
        self.0.update(&UpdateEntry {
            entity: CAR,
            tick: Tick(tick),
            channel,
            precision: Precision::Cm5,
            position: Position::from_metres([metres, 0.0, 0.0]),
            velocity: None,
            yaw: None,
            snap: false,
            complete,
            fields: &[],
        });
        self
    }

    /// Moves a metre a tick.
    fn step(&mut self, tick: u64, channel: u8) -> &mut Self {
        self.frame(tick).at(tick, channel, tick as f64, false)
    }

    fn leave(&mut self, reason: LeaveReason) -> &mut Self {
        self.0.leave(CAR, reason);
        self
    }

    #[track_caller]
    fn expect(&self, stalls: u64, double_steps: u64, flickers: u64, strays: u64) {
        assert_eq!(self.0.faults(), Faults { stalls, double_steps, flickers, strays });
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
    scene.expect(0, 0, 0, 0);
}

#[test]
fn a_missing_update_is_a_stall_unless_nothing_moved_or_the_channel_changed() {
    Scene::new().step(102, 0).step(106, 0).expect(1, 0, 0, 0);
    Scene::new().step(102, 1).step(106, 1).step(114, 1).expect(1, 0, 0, 0);
    Scene::new().step(102, 0).frame(140).at(140, 0, 102.0, false).expect(0, 0, 0, 0);
    Scene::new().step(102, 0).step(108, 1).expect(0, 0, 0, 0);
}

#[test]
fn the_same_tick_twice_is_a_double_step_unless_it_is_a_repetition() {
    Scene::new().step(102, 0).step(102, 0).expect(0, 1, 0, 0);
    Scene::new().step(104, 1).step(102, 1).expect(0, 1, 0, 0);
    Scene::new().step(102, 0).at(102, 0, 102.0, true).expect(0, 0, 0, 0);
}

#[test]
fn coming_back_at_once_is_a_flicker_and_later_is_not() {
    let out = LeaveReason::OutOfRange;
    Scene::new().frame(110).leave(out).frame(200).enter(CAR, 200, 0).expect(0, 0, 1, 0);
    Scene::new().frame(110).leave(out).frame(240).enter(CAR, 240, 0).expect(0, 0, 0, 0);
    Scene::new().frame(110).leave(LeaveReason::Teleported).frame(112).enter(CAR, 112, 0).expect(0, 0, 0, 0);
}

#[test]
fn entering_twice_is_a_flicker_unless_it_is_a_repetition() {
    Scene::new().frame(102).enter(CAR, 102, 0).expect(0, 0, 1, 0);
    Scene::new().frame(102).enter_as(CAR, 102, 0, true).expect(0, 0, 0, 0);
}

#[test]
fn a_player_keeps_its_id() {
    Scene::new().frame(102).enter(OTHER, 102, 0).expect(0, 0, 1, 0);
    Scene::new().frame(102).leave(LeaveReason::Gone).frame(104).enter(OTHER, 104, 0).expect(0, 0, 1, 0);
    Scene::new().frame(102).leave(LeaveReason::Gone).frame(300).enter(OTHER, 300, 0).expect(0, 0, 0, 0);
}

#[test]
fn a_reset_starts_anew_and_updates_of_nothing_are_strays() {
    let mut scene = Scene::new();
    scene.step(102, 0).0.reset();
    scene.frame(130).enter(CAR, 130, 0).step(132, 0).expect(0, 0, 0, 0);
    scene.0.reset();
    scene.step(134, 0).expect(0, 0, 0, 1);
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
