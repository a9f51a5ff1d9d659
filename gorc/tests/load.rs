//! A region that runs late tells less, the outer channels first, and what it tells stays right.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Receiver, Said, client, delay, entity, object, place, pose, rate, schema, step};
use gorc::{Gorc, MAX_LEVEL, ObserverId};
use horizon_model::{ChannelSpec, Pose, Tick};

const ME: u64 = 4;
/// Metres from the observer, one ring for each channel.
const RINGS: [f64; 4] = [20.0, 100.0, 220.0, 600.0];
const EACH: u64 = 12;
const TICKS: u64 = 1_800;
/// From here on everything stands.
const STOP: u64 = 1_200;
/// What bounds are multiplied by, by level and channel.
const WIDE: [[f64; 4]; MAX_LEVEL as usize + 1] = [
    [1.0, 1.0, 1.0, 1.0],
    [1.0, 1.0, 1.0, 2.0],
    [1.0, 1.0, 1.0, 4.0],
    [1.0, 1.0, 2.0, 4.0],
    [1.0, 1.0, 4.0, 4.0],
    [1.0, 2.0, 4.0, 4.0],
    [1.0, 4.0, 4.0, 4.0],
    [2.0, 4.0, 4.0, 4.0],
    [2.0, 4.0, 4.0, 4.0],
];

/// Round and round, 6 metres a second.
fn way(n: u64, tick: u64) -> Pose {
    let ring = RINGS[(n % 4) as usize];
    let around = n as f64;
    let t = tick.min(STOP) as f64 / 60.0 * 2.0 + around;
    pose(ring * around.cos() + 3.0 * t.sin(), ring * around.sin() + 3.0 * t.cos(), 0.0)
}

/// Knots told on each channel at a level, fields told, and the worst error at a drawn tick by channel.
struct Told {
    bodies: u32,
    knots: [u32; 4],
    fields: [u32; 4],
    worst: [f64; 4],
}

fn run(level: u8) -> Told {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.set_load(level);
    for n in 1..=4 * EACH {
        gorc.spawn(object(n, 0, way(n, 0)));
    }
    gorc.add_observer(ObserverId(ME), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    let mut told = Told { bodies: 0, knots: [0; 4], fields: [0; 4], worst: [0.0; 4] };
    let mut newest = 0;
    for tick in (2..TICKS).step_by(2) {
        for n in 1..=4 * EACH {
            gorc.sample(entity(n), Tick(tick), &way(n, tick), false);
            if tick < STOP {
                for field in 0..4 {
                    gorc.set_field(entity(n), field, format!("\"{field} at {tick}\"").as_bytes());
                }
            }
        }
        let heard = step(&mut gorc, tick, ME, &mut receiver);
        if heard.is_some() {
            told.bodies += 1;
            newest = tick;
        }
        for said in heard.unwrap_or_default() {
            if let Said::Update { channel, position, fields, .. } = said {
                told.knots[usize::from(channel)] += u32::from(position.is_some());
                fields.iter().for_each(|(field, _)| told.fields[usize::from(*field)] += 1);
            }
        }
        for n in (1..=4 * EACH).filter(|_| newest > 0) {
            let channel = receiver.held[&entity(n)].channel;
            assert_eq!(u64::from(channel), n % 4, "rings keep to their channels");
            let drawn = newest.saturating_sub(delay(channel, rate()));
            if drawn > 0 {
                let apart = receiver.error(entity(n), drawn, &way(n, drawn).position);
                let worst = &mut told.worst[usize::from(channel)];
                *worst = worst.max(apart);
            }
        }
    }
    for (id, held) in &receiver.held {
        for field in held.channel..4 {
            assert_eq!(held.fields.get(&field).map(Vec::as_slice), gorc.field(*id, field), "{id} {field}");
        }
    }
    told
}

#[test]
fn outer_channels_fall_first_and_the_innermost_has_a_floor() {
    let levels: Vec<Told> = (0..=MAX_LEVEL).map(run).collect();
    for (level, pair) in levels[..8].windows(2).enumerate() {
        let channel = [3, 3, 2, 2, 1, 1, 0][level];
        for other in 0..4 {
            let (before, after) = (pair[0].knots[other], pair[1].knots[other]);
            if other == channel {
                assert!(after < before, "level {}: {before} knots, {after} on channel {other}", level + 1);
            } else {
                assert_eq!(before, after, "level {} and channel {other}", level + 1);
            }
            assert!(pair[1].fields[other] <= pair[0].fields[other], "level {}, field {other}", level + 1);
        }
    }
    let bodies: Vec<u32> = levels.iter().map(|told| told.bodies).collect();
    assert_eq!(bodies[..8], [899; 8], "a body in each step");
    assert!((449..=450).contains(&bodies[8]), "every second step at the highest level: {bodies:?}");
    let (least, all) = (&levels[usize::from(MAX_LEVEL)], &levels[0]);
    let of = |told: u32, of: u32| f64::from(told) / f64::from(of);
    for (channel, expected) in [0.5, 0.25, 0.25, 0.25].into_iter().enumerate() {
        let share = of(levels[7].fields[channel], all.fields[channel]);
        assert!((share - expected).abs() < 0.1, "fields: {share} on {channel}");
        assert!(least.fields[channel] <= levels[7].fields[channel], "and no more at the highest level");
        let share = of(least.knots[channel], all.knots[channel]);
        assert!(share < 0.85, "knots: {share} on {channel}");
    }
    assert!(of(least.knots[0], all.knots[0]) > 0.4, "the innermost channel has a floor");
}

#[test]
fn pictures_keep_within_the_bounds_of_their_level() {
    for level in 0..=MAX_LEVEL {
        let told = run(level);
        for (channel, spec) in ChannelSpec::DEFAULT.iter().enumerate() {
            let bound = f64::from(spec.precision_cm) / 100.0 * WIDE[usize::from(level)][channel];
            let worst = told.worst[channel];
            assert!(
                worst < bound * 1.2 + 0.05,
                "{worst:.2} m of {bound:.2} m, level {level}, channel {channel}"
            );
        }
    }
}

#[test]
fn bounds_that_were_widened_show() {
    // The control: by the bounds of no load at all the pictures of the highest level would be wrong.
    let told = run(MAX_LEVEL);
    let wrong = ChannelSpec::DEFAULT
        .iter()
        .zip(told.worst)
        .filter(|(spec, worst)| *worst > f64::from(spec.precision_cm) / 100.0 * 1.2 + 0.05);
    assert!(wrong.count() >= 2, "{:?}", told.worst);
}
