//! A region on a processor that is too slow for it: how many of its steps it keeps, with and without the levels of
//! load that make it tell less.
//!
//! Steps are run one after the other on a clock of their own: each begins when it is due or when the one before has
//! ended, and takes the processor time that it really took. One that would begin eight periods late is left out, as
//! a region does it.

use gorc::{Load, MAX_LEVEL};
use serde_json::{Value, json};

use crate::clock::percentile;
use crate::outcome::rounded;
use crate::scene::{Scene, World};

/// Steps that may be made up for.
const MAX_LATE: f64 = 8.0;
/// How many times too slow the processor is.
const TOO_SLOW: [f64; 4] = [1.0, 1.1, 1.25, 1.5];

/// Runs `scene` with periods in which a share of a usual step fits, with and without levels of load.
pub fn overload(scene: &Scene, seconds: f64) -> Value {
    let steps = scene.steps(seconds);
    let usual = usual_ms(scene);
    eprintln!("{}: a step takes {usual:.2} ms", scene.name);
    let mut rows = Vec::new();
    for factor in TOO_SLOW {
        for with_levels in [false, true] {
            let row = run(scene, steps, usual / factor, with_levels);
            eprintln!("{factor} times too slow, levels {with_levels}: {row}");
            rows.push(json!({ "too_slow": factor, "levels": with_levels, "found": row }));
        }
    }
    json!({ "scene": scene.name, "usual_step_ms": rounded(Some(usual), 3), "seconds": seconds, "rows": rows })
}

/// The median step with nothing given up, milliseconds.
fn usual_ms(scene: &Scene) -> f64 {
    let mut world = World::new(scene, &scene.eyes);
    world.run(scene.steps(scene.warm_up_seconds));
    let costs: Vec<f64> = (0..150).map(|_| world.run(1).time.as_secs_f64() * 1000.0).collect();
    percentile(&costs, 0.5).unwrap_or_default()
}

fn run(scene: &Scene, due: usize, period_ms: f64, with_levels: bool) -> Value {
    let mut world = World::new(scene, &scene.eyes);
    world.run(scene.steps(scene.warm_up_seconds));
    let mut load = Load::default();
    let (mut kept, mut in_time, mut bytes, mut levels) = (0_u32, 0_u32, 0_u64, 0_u64);
    let mut free_at = 0.0_f64;
    for step in 0..due {
        world.advance();
        let due_at = step as f64 * period_ms;
        let late = (free_at - due_at).max(0.0);
        if late > MAX_LATE * period_ms {
            continue;
        }
        let cost = world.replicate(&mut |_, body| bytes += body.len() as u64);
        let work = cost.time.as_secs_f64() * 1000.0;
        free_at = due_at + late + work;
        kept += 1;
        in_time += u32::from(late <= period_ms / 2.0 && work <= period_ms);
        if with_levels {
            world.gorc.set_load(load.observe((work / period_ms) as f32));
        }
        levels += u64::from(load.level());
    }
    let share = |of: u32| rounded(Some(f64::from(of) / due as f64), 3);
    let client_seconds = scene.eyes.len() as f64 * due as f64 / scene.hz as f64;
    json!({
        "steps_kept_share": share(kept),
        "steps_in_time_share": share(in_time),
        "level_mean": rounded(Some(levels as f64 / f64::from(kept.max(1))), 2),
        "level_most": MAX_LEVEL,
        "payload_bytes_per_client_s": rounded(Some(bytes as f64 / client_seconds), 0),
    })
}
