use super::*;
use crate::chance::Chance;

fn run(movement: &mut dyn Movement, steps: usize) -> Vec<Vec<Truth>> {
    let step = |_| {
        let mut now = vec![Truth::default(); movement.count()];
        movement.step(&mut now);
        now
    };
    (0..steps).map(step).collect()
}

#[test]
fn walkers_keep_their_speed_stay_inside_and_turn() {
    let square = Square::centred(20.0);
    let steps = run(&mut Walkers::new(1, 50, square, 30), 300);
    let mut turns = 0;
    for pair in steps.windows(2) {
        for (before, now) in pair[0].iter().zip(&pair[1]) {
            assert!(now.metres.iter().all(|at| at.abs() <= 10.0));
            assert!(distance(before.metres, now.metres) <= 1.5 / 30.0 + 1e-9);
            turns += usize::from(before.yaw != now.yaw);
        }
    }
    assert!((200..600).contains(&turns), "50 walkers turned {turns} times in 10 s");
}

#[test]
fn movers_change_x_y_and_heading_at_every_step() {
    let steps = run(&mut Movers::new(2, 100, Square::centred(200.0), 30), 200);
    for pair in steps.windows(2) {
        for (before, now) in pair[0].iter().zip(&pair[1]) {
            assert!(now.metres[0] != before.metres[0] && now.metres[1] != before.metres[1]);
            assert!(now.yaw != before.yaw);
            let metres = distance(before.metres, now.metres);
            assert!(metres <= 5.0 / 30.0 + 1e-9, "{metres}");
        }
    }
}

#[test]
fn the_same_seed_moves_the_same_way() {
    let square = Square::centred(100.0);
    let run = |seed| run(&mut Movers::new(seed, 10, square, 30), 50);
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn zigzags_swing_over_their_radius() {
    let steps = run(&mut Zigzag::new(5, &[50.0, 150.0], 4, 30), 90);
    for object in 0..8 {
        let radius = if object < 4 { 50.0 } else { 150.0 };
        let metres = steps.iter().map(|now| distance(now[object].metres, [0.0; 3]) - radius);
        let (low, high) = metres.fold((f64::MAX, f64::MIN), |(low, high), m| (low.min(m), high.max(m)));
        assert!((-1.01..-0.8).contains(&low) && (0.8..1.01).contains(&high), "{low} {high}");
    }
}

#[test]
fn cars_are_where_they_were_recorded_and_respawn_with_a_snap() {
    let matches = [Match::sample()];
    let mut cars = Cars::pitches(&matches, 2, [1000.0, 0.0], 30);
    let steps = run(&mut cars, 30 * 50);
    let count = cars.count();
    assert_eq!(cars.parts().filter(|part| part.pitch == 1).count(), count / 2);
    assert!((0..count).map(|object| cars.recorded(object)).sum::<u64>() > 4000);
    let mut snaps = 0;
    for pair in steps.windows(2) {
        for (before, now) in
            pair[0].iter().zip(&pair[1]).filter(|(before, now)| before.present && now.present)
        {
            let metres = distance(before.metres, now.metres);
            assert!(now.snap || metres < 8.0, "{metres} m in a step");
            snaps += usize::from(now.snap);
        }
    }
    assert!((1..60).contains(&snaps), "{snaps} snaps");
    let second = steps[0].iter().skip(count / 2).filter(|truth| truth.present);
    assert!(second.map(|truth| truth.metres[0]).all(|x| (900.0..1100.0).contains(&x)));
}

#[test]
fn a_crowd_does_not_begin_again() {
    let matches = [Match::sample()];
    let steps = run(&mut Cars::crowd(&matches, 1, 100, 20.0, 30), 600);
    assert!(steps.iter().all(|now| now.iter().all(|truth| truth.metres[0].abs() < 60.0)));
    assert!(steps[0].iter().filter(|truth| truth.present).count() > 90);
}

#[test]
fn history_knows_the_last_second_and_what_lies_between_steps() {
    let mut history = History::new(2);
    let mut chance = Chance::seeded(9);
    let mut places = Vec::new();
    for step in 10..100_u64 {
        let place = [chance.unit(), chance.unit(), 0.0];
        places.push(place);
        let snap = step == 98;
        history.push(2 * step, &[Truth { metres: place, present: true, snap, ..Truth::default() }]);
    }
    let of = |step: usize| places[step - 10];
    assert_eq!(history.at(0, 198), Some(of(99)));
    assert_eq!(history.at(0, 138), Some(of(69)));
    assert_eq!(history.at(0, 20), None);
    assert_eq!(history.at(0, 200), None);
    assert_eq!(history.at(1, 198), None);
    let between = history.at(0, 193).expect("known");
    assert!((between[0] - (of(96)[0] + of(97)[0]) / 2.0).abs() < 1e-9);
    assert_eq!(history.at(0, 195), Some(of(97)), "nothing is drawn between a place and a jump away from it");
}
