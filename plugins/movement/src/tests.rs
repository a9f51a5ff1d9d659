//! Who is believed, who is corrected, and what is remembered.

use horizon_plugin_api::testing::Bench;
use horizon_plugin_api::{CoreEvent, EntityId, SessionId};

use super::*;

const ADA: PlayerId = PlayerId(1);

fn bench(config: &str) -> (Bench, EntityId) {
    let mut bench = Bench::new::<Movement>(config).expect("movement registers");
    bench.world.tick = Tick(600);
    let entity = bench.world.join(ADA, "Ada", [0.0; 3]);
    let (name, session) = ("Ada".to_owned(), SessionId(1));
    let spawn = Some([100.0, 50.0, 0.0]);
    let event = PlayerConnectedEvent { player_id: ADA, entity, name, session, spawn, fresh: true };
    bench.core(&CoreEvent::PlayerConnected(event)).expect("connected");
    (bench, entity)
}

/// Claims `x` metres east of the spawn at `tick`, as the region reaches that tick.
fn claim_at(bench: &mut Bench, tick: u64, x: f64) {
    bench.world.tick = Tick(tick);
    let position = [100.0 + x, 50.0, 0.0];
    let sample = MovementSample { tick: Tick(tick), position, velocity: [1.0, 0.0, 0.0], yaw: 0.5 };
    bench.movement(ADA, &sample).expect("a verdict is no error");
}

fn x(bench: &Bench, entity: EntityId) -> f64 {
    bench.world.poses[&entity].position.metres()[0] - 100.0
}

#[test]
fn a_guest_appears_where_it_asked() {
    let (bench, entity) = bench("");
    assert!(x(&bench, entity).abs() < 1e-3);
    assert_eq!(bench.world.snaps[&entity], 1);
}

#[test]
fn a_car_that_jitters_is_believed() {
    let (mut bench, entity) = bench("");
    for step in 1..300_u64 {
        // 23 m/s on average; every other sample is 0.6 m early, which implies 41 m/s to the next.
        let jitter = if step % 2 == 0 { 0.6 } else { 0.0 };
        claim_at(&mut bench, 600 + step * 2, step as f64 * 23.0 / 30.0 + jitter);
    }
    assert!(bench.world.take_sent("movement", "corrected").is_empty());
    assert!(x(&bench, entity) > 200.0);
}

#[test]
fn twice_the_speed_is_not() {
    let (mut bench, entity) = bench("");
    for step in 1..300_u64 {
        claim_at(&mut bench, 600 + step * 2, step as f64 * 60.0 / 30.0);
    }
    let corrections = bench.world.take_sent("movement", "corrected");
    assert!(x(&bench, entity) < 0.75 * 600.0, "{}", x(&bench, entity));
    assert!((1..=10).contains(&corrections.len()), "at most one a second, not {}", corrections.len());
    let told = corrections[0].read::<Corrected>().position;
    assert!(told[0] < 130.0, "the correction says where the body is");
}

#[test]
fn standing_still_saves_nothing_up_for_a_jump() {
    let (mut bench, entity) = bench("");
    claim_at(&mut bench, 600 + 60 * 60, 200.0);
    assert!(x(&bench, entity).abs() < 1e-3);
    claim_at(&mut bench, 600 + 60 * 60 + 2, 20.0);
    assert!((x(&bench, entity) - 20.0).abs() < 1e-3);
}

#[test]
fn a_clock_far_ahead_and_numbers_that_are_none_change_nothing() {
    let (mut bench, entity) = bench("");
    let sample =
        MovementSample { tick: Tick(900), position: [110.0, 50.0, 0.0], velocity: [0.0; 3], yaw: 0.0 };
    bench.movement(ADA, &sample).unwrap();
    bench.movement(ADA, &MovementSample { tick: Tick(601), position: [f64::NAN; 3], ..sample }).unwrap();
    bench.movement(ADA, &MovementSample { tick: Tick(601), yaw: f32::INFINITY, ..sample }).unwrap();
    assert!(x(&bench, entity).abs() < 1e-3);
    bench.movement(ADA, &MovementSample { tick: Tick(602), velocity: [3e3, 4e3, 0.0], ..sample }).unwrap();
    let velocity = bench.world.poses[&entity].velocity;
    assert!((velocity[0] - 18.0).abs() < 1e-3 && (velocity[1] - 24.0).abs() < 1e-3, "{velocity:?}");
}

#[test]
fn a_respawn_jumps_and_starts_a_new_window() {
    let (mut bench, entity) = bench("");
    claim_at(&mut bench, 620, 5.0);
    let respawn = Respawn { position: [400.0, 50.0, 0.0], velocity: [0.0; 3], yaw: 1.0, tick: None };
    bench.input(ADA, "movement", "respawn", &respawn).unwrap();
    assert_eq!(bench.world.snaps[&entity], 2);
    claim_at(&mut bench, 622, 301.0);
    assert!((x(&bench, entity) - 301.0).abs() < 1e-3);
    assert!(bench.world.take_sent("movement", "corrected").is_empty());
}

#[test]
fn a_world_may_forbid_respawns() {
    let (mut bench, entity) = bench(r#"{"allow_respawn": false}"#);
    let respawn = Respawn { position: [400.0, 50.0, 0.0], velocity: [0.0; 3], yaw: 1.0, tick: None };
    bench.input(ADA, "movement", "respawn", &respawn).unwrap();
    assert!(x(&bench, entity).abs() < 1e-3);
    assert_eq!(bench.world.take_sent("movement", "refused").len(), 1);
}

#[test]
fn a_wrong_configuration_names_the_key() {
    let refused = Bench::new::<Movement>(r#"{"max_speed": 3}"#).err().expect("no such key");
    assert!(refused.to_string().contains("max_speed"), "{refused}");
    assert!(Bench::new::<Movement>(r#"{"max_speed_mps": 0}"#).is_err());
}
