//! Groups on virtual time: a vehicle and its riders cross in one commit, or stay where they are.

use std::time::Duration;

use horizon_model::PlayerId;
use horizon_protocol::client::Spelling;
use serde_json::{Value, json};

use crate::build;
use crate::chance::Delays;
use crate::client::{Client, Faults};
use crate::harness::{Harness, Moment};

const ADA: PlayerId = PlayerId(1);
/// All of ADA, BOB and the others, who stand around the corner where four regions meet.
const PLACES: [[f64; 3]; 4] = [[-6.0, -6.0, 1.0], [-9.0, -6.0, 1.0], [3.0, -5.0, 1.0], [1.5, 2.0, 1.0]];
/// Over each border, and over the corner.
const TRIPS: [[f64; 2]; 6] =
    [[30.0, -20.0], [30.0, 30.0], [-30.0, 25.0], [-25.0, -30.0], [28.0, 28.0], [-20.0, -20.0]];

/// A world, and what everybody in it sits on.
struct Ride {
    world: Harness,
    vehicle: Value,
}

fn riders() -> impl Iterator<Item = PlayerId> {
    (1..=PLACES.len() as u128).map(PlayerId)
}

impl Ride {
    /// Everybody sits on one vehicle, wherever they came from.
    fn begin(plugins: &std::path::Path, hz: u64, seed: u64, delays: Delays) -> Self {
        let mut world = Harness::new(plugins, 2, hz, seed, delays);
        for (number, place) in PLACES.into_iter().enumerate() {
            world.join(number as u128 + 1, place, Spelling::Json);
        }
        let mut ride = Self { world, vehicle: Value::Null };
        ride.pass(Duration::from_secs(1));
        ride.say(ADA, "call", &json!({}));
        ride.vehicle = ride.wait(ADA, "called", 1)["vehicle"].clone();
        // Neighbours have to hear of it before somebody from there can get on.
        ride.pass(Duration::from_secs(1));
        for (seat, player) in riders().enumerate() {
            let vehicle = ride.vehicle.clone();
            ride.say(player, "enter", &json!({ "vehicle": vehicle, "seat": seat }));
        }
        for player in riders() {
            assert_eq!(ride.wait(player, "entered", 1)["vehicle"], ride.vehicle);
        }
        ride
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        self.world.run_until(end);
    }

    fn say(&mut self, player: PlayerId, event: &str, payload: &Value) {
        self.world.send(player, "vehicles", event, payload.to_string().as_bytes());
    }

    fn heard(&self, player: PlayerId, event: &str) -> Vec<Value> {
        let name = format!("vehicles/{event}");
        let events = self.world.clients[&player].events.iter();
        events.filter(|(of, _)| *of == name).map(|(_, value)| value.clone()).collect()
    }

    /// The `number`-th event of a name, once it is there.
    fn wait(&mut self, player: PlayerId, event: &str, number: usize) -> Value {
        for _ in 0..600 {
            if let Some(value) = self.heard(player, event).get(number - 1) {
                return value.clone();
            }
            self.pass(Duration::from_millis(50));
        }
        panic!("{player} heard {:?} and not {event} {number}", self.world.clients[&player].events);
    }

    /// Drives the trips `rounds` times; before each `each` is called with its number. Every rider hears of every
    /// arrival with all the others.
    fn drive(&mut self, rounds: usize, mut each: impl FnMut(&mut Harness, usize)) {
        let everybody: Vec<Value> = riders().map(|rider| json!(rider.to_string())).collect();
        let trips = TRIPS.iter().cycle().take(rounds * TRIPS.len());
        for (number, to) in trips.enumerate() {
            let driver = PlayerId(number as u128 % PLACES.len() as u128 + 1);
            self.say(driver, "drive", &json!({ "to": to, "speed": 24.0 }));
            self.pass(Duration::from_millis(700));
            each(&mut self.world, number);
            for rider in riders() {
                let arrived = self.wait(rider, "arrived", number + 1);
                assert_eq!(arrived["riders"], json!(everybody), "trip {number} of {rider}");
                assert_eq!(json!([arrived["at"][0], arrived["at"][1]]), json!(to));
            }
        }
    }
}

#[test]
fn a_vehicle_and_its_riders_cross_as_one() {
    let plugins = build::own_plugins(&["movement", "vehicles"]);
    for (seed, hz) in [(41, 30), (42, 60), (43, 20)] {
        let mut ride = Ride::begin(plugins.path(), hz, seed, Delays::SHORT);
        ride.world.clients.values_mut().for_each(Client::forgive);
        let boarded: u32 = ride.world.clients.values().map(|client| client.crossings).sum();
        ride.drive(3, |_, _| {});
        assert_eq!(ride.world.groups_split(), 0, "seed {seed}");
        for client in ride.world.clients.values() {
            assert_eq!(client.faults.gaps, Faults::default().gaps, "seed {seed}, player {}", client.player);
            assert_eq!(client.faults.flickers, Faults::default().flickers, "seed {seed}");
        }
        let crossings: u32 = ride.world.clients.values().map(|client| client.crossings).sum();
        let apart = (crossings - boarded) / PLACES.len() as u32;
        assert!(apart >= 12 && (crossings - boarded).is_multiple_of(PLACES.len() as u32), "{crossings}");
        assert_eq!(
            u64::from(apart),
            ride.world.object_arrivals,
            "the vehicle crosses as often as each rider"
        );
    }
}

#[test]
fn a_group_stays_whole_when_regions_die() {
    let plugins = build::own_plugins(&["movement", "vehicles"]);
    for seed in 51..57 {
        let mut ride = Ride::begin(plugins.path(), 30, seed, Delays::SHORT);
        ride.drive(2, |world, number| {
            if number % 3 == 1 {
                let victim = world.clients[&ADA].route.expect("attached");
                world.kill(victim);
                world.clients.values_mut().for_each(Client::forgive);
            }
        });
        assert_eq!(ride.world.groups_split(), 0, "seed {seed}");
    }
}

#[test]
fn a_target_that_dies_leaves_nobody_behind() {
    let plugins = build::own_plugins(&["movement", "vehicles"]);
    for moment in [Moment::Staging, Moment::Staged, Moment::Decided, Moment::Activated] {
        let mut ride = Ride::begin(plugins.path(), 30, 61, Delays::SHORT);
        ride.world.kill_target_at = Some(moment);
        ride.drive(2, |_, _| {});
        assert!(ride.world.killed_target.is_some(), "{moment:?}");
        assert_eq!(ride.world.groups_split(), 0, "{moment:?}");
    }
}

/// Control: where the store is asked for one member after the other, members act alone.
#[test]
fn members_that_are_committed_one_by_one_are_split() {
    let plugins = build::own_plugins(&["movement", "vehicles"]);
    let split = |seed| {
        let mut ride = Ride::begin(plugins.path(), 60, seed, Delays::SHORT);
        ride.world.one_by_one = true;
        let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ride.drive(2, |_, _| {})));
        driven.is_err() || ride.world.groups_split() > 0
    };
    assert!((71..75).any(split), "a group is split");
}
