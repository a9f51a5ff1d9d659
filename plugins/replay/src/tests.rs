//! The path between samples, and the balls that follow it.

use horizon_plugin_api::testing::Bench;
use horizon_plugin_api::{CoreEvent, EntityId, RegionId};

use super::*;

const MATCH: &str = "t_ms,id,x,y,z,yaw,vx,vy,vz\n\
    0,0,0,0,1,0,10,0,0\n\
    0,1,5,5,5,0,0,0,0\n\
    100,0,1,0,1,0,10,0,0\n\
    200,0,2,0,1,0,10,0,0\n\
    300,0,20,0,1,0,0,0,0\n\
    1000,0,20,0,1,0,0,0,0\n";

#[test]
fn between_samples_the_path_is_straight_and_jumps_are_not_drawn() {
    let trace = Trace::parse(MATCH).unwrap();
    assert_eq!(trace.at(50.0).position, [0.5, 0.0, 1.0]);
    assert_eq!(trace.at(250.0).position, [2.0, 0.0, 1.0], "it waits for the jump");
    assert_eq!(trace.at(300.0).position, [20.0, 0.0, 1.0]);
}

#[test]
fn errors_say_who_must_do_what() {
    assert_eq!(Trace::parse("t_ms\n1,2,3\n"), Err(TraceError::Line(2)));
    assert_eq!(Trace::parse("t_ms\n"), Err(TraceError::Empty));
    let missing = Bench::new::<Replay>(r#"{"trace": "/nowhere/match.csv"}"#).err().unwrap().to_string();
    assert!(missing.contains("/nowhere/match.csv") && missing.contains("put the file there"), "{missing}");
}

#[test]
fn without_a_configuration_nothing_happens() {
    let bench = Bench::new::<Replay>("").unwrap();
    assert!(bench.registration().handlers.is_empty());
    assert_eq!(bench.registration().objects[0].name, "ball");
}

fn bench(name: &str) -> Bench {
    let path = std::env::temp_dir().join(format!("horizon-replay-{}-{name}.csv", std::process::id()));
    std::fs::write(&path, MATCH).unwrap();
    let config = format!(r#"{{"trace": {path:?}, "pitches": [[50, 50], [-50, 50]]}}"#);
    let bench = Bench::new::<Replay>(&config);
    std::fs::remove_file(&path).unwrap();
    bench.expect("replay registers")
}

fn start(bench: &mut Bench, fresh: bool) {
    let (low, high) = ([0.0, 0.0, f64::NEG_INFINITY], [100.0, 100.0, f64::INFINITY]);
    let event = RegionStartedEvent { region: RegionId(0), fresh, low, high };
    bench.core(&CoreEvent::RegionStarted(event)).unwrap();
}

fn step(bench: &mut Bench, tick: u64) {
    bench.world.tick = Tick(tick);
    let event = ServerTickEvent { tick: Tick(tick), sim_time_s: 0.0, step_s: 1.0 / 30.0 };
    bench.core(&CoreEvent::ServerTick(event)).unwrap();
}

fn x(bench: &Bench, ball: EntityId) -> f64 {
    bench.world.poses[&ball].position.metres()[0]
}

#[test]
fn a_region_spawns_its_own_pitch_once_and_its_ball_follows_the_match() {
    let mut bench = bench("follows");
    start(&mut bench, false);
    assert!(bench.world.objects.is_empty(), "a recovered region has its balls already");
    bench.world.tick = Tick(600);
    start(&mut bench, true);
    let ball = *bench.world.objects.keys().next().expect("the pitch at 50, 50 begins here");
    assert_eq!(bench.world.objects.len(), 1);
    step(&mut bench, 603);
    assert!((x(&bench, ball) - 50.5).abs() < 1e-3);
    assert_eq!(bench.world.snaps[&ball], 0);
    step(&mut bench, 620);
    assert!((x(&bench, ball) - 70.0).abs() < 1e-3);
    assert_eq!(bench.world.snaps[&ball], 1, "the respawn of the ball is a jump");
    step(&mut bench, 663);
    assert!((x(&bench, ball) - 50.5).abs() < 1e-3, "the match begins again");
    assert_eq!(bench.world.snaps[&ball], 2);
}

#[test]
fn a_ball_on_its_way_is_left_alone() {
    let mut bench = bench("leaves");
    start(&mut bench, true);
    let ball = *bench.world.objects.keys().next().unwrap();
    bench.world.ghosts.push(ball);
    step(&mut bench, 606);
    assert!((x(&bench, ball) - 50.0).abs() < 1e-3);
}
