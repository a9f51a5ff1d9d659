//! Players who ride one vehicle over every border: a group that no misfortune may split.

use std::time::Duration;

use horizon_model::{PlayerId, WorkerId};
use serde_json::{Value, json};

use crate::walk::Walk;
use crate::world::World;

/// How many of the first players ride.
const RIDERS: u64 = 4;
/// Nobody waits longer for an answer about the vehicle.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where the vehicle drives: over each border, and over the corner.
const STOPS: [[f64; 2]; 6] =
    [[25.0, -15.0], [25.0, 25.0], [-25.0, 20.0], [-20.0, -25.0], [22.0, 22.0], [-15.0, -15.0]];

/// What one of them is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rider {
    /// It was told that it sits, and has not left the world since.
    pub(crate) sits: bool,
    asked_at: Option<Duration>,
    /// Its newest ride, in reply to a question after everything was well.
    told: Option<Value>,
    asks: bool,
    stops: usize,
}

impl World {
    /// Whether this player is to ride.
    pub(crate) const fn is_rider(&self, number: u64) -> bool {
        self.options.riders && number < RIDERS
    }

    /// Those who ride stay near the vehicle until they sit on it.
    pub(crate) const fn rider_walk(number: u64) -> Walk {
        Walk::Ring { around: [0.0, 0.0], radius: 3.0 + number as f64 * 0.5, speed: 3.0 }
    }

    /// What a rider does of its own accord, before anything else.
    pub(crate) fn ride(&mut self, player: PlayerId) {
        let now = self.now;
        let vehicle = self.vehicle.clone();
        let Some(client) = self.clients.get(&player).filter(|client| client.present) else { return };
        let Some(rider) = &client.rider else { return };
        if client.is_calm() || rider.asked_at.is_some_and(|at| now < at + PATIENCE) {
            return;
        }
        let first = player == PlayerId(1);
        let done = match (vehicle, rider.sits) {
            (None, _) if first => self.act(player, "vehicles", "call", &json!({})),
            (None, _) => None,
            (Some(vehicle), false) => {
                let enter = json!({ "vehicle": vehicle, "seat": player.0 as u64 - 1 });
                self.act(player, "vehicles", "enter", &enter)
            }
            (Some(_), true) if first => {
                let to = STOPS[rider.stops % STOPS.len()];
                self.act(player, "vehicles", "drive", &json!({ "to": to, "speed": 18.0 }))
            }
            (Some(_), true) => None,
        };
        if done.is_some()
            && let Some(rider) = self.clients.get_mut(&player).and_then(|client| client.rider.as_mut())
        {
            rider.asked_at = Some(now);
        }
    }

    /// What a rider is told.
    pub(crate) fn ride_event(&mut self, player: PlayerId, event: &str, value: &Value) {
        let Some(rider) = self.clients.get_mut(&player).and_then(|client| client.rider.as_mut()) else {
            return;
        };
        rider.asked_at = None;
        match event {
            "called" => {
                self.vehicle.get_or_insert(value["vehicle"].clone());
            }
            "entered" => rider.sits = true,
            "arrived" => {
                rider.stops += 1;
                self.rides += 1;
            }
            "ride" => (rider.told, rider.asks) = (Some(value.clone()), false),
            _ => {}
        }
    }

    /// Once all is well whoever was told to sit sits, together with all the others. What is wrong with that, in
    /// words; they are asked again until it is right, or time is over.
    pub(crate) fn riders_apart(&mut self) -> Option<String> {
        let sits = |rider: &&Rider| rider.sits;
        let riders = self.clients.iter().filter(|(_, client)| client.rider.as_ref().filter(sits).is_some());
        let sitting: Vec<PlayerId> = riders.map(|(player, _)| *player).collect();
        let names: Vec<Value> = sitting.iter().map(|player| json!(player.to_string())).collect();
        let mut apart = None;
        for player in sitting {
            let rider = self.clients.get_mut(&player).and_then(|client| client.rider.as_mut());
            let told = rider.and_then(|rider| rider.told.clone());
            let beside =
                told.as_ref().and_then(|told| told["riders"].as_array().cloned()).unwrap_or_default();
            if names.iter().all(|name| beside.contains(name)) {
                continue;
            }
            apart.get_or_insert(format!("{player} sits with {beside:?}, and not with {names:?}"));
            if told.is_some() || !self.clients[&player].rider.as_ref().is_some_and(|rider| rider.asks) {
                self.act(player, "vehicles", "ride", &json!({}));
                if let Some(rider) = self.clients.get_mut(&player).and_then(|client| client.rider.as_mut()) {
                    (rider.told, rider.asks) = (None, true);
                }
            }
            self.transmit(player);
        }
        apart
    }

    /// Whoever leaves the world gets off.
    pub(crate) fn gets_off(&mut self, player: PlayerId) {
        if let Some(client) = self.clients.get_mut(&player)
            && client.rider.is_some()
        {
            client.rider = Some(Rider::default());
        }
    }

    /// That no member of a group acts without what it is attached to.
    pub(crate) fn look_for_split_groups(&mut self, id: WorkerId) {
        let serving = self.workers.get_mut(&id).and_then(|worker| worker.serving.as_deref_mut());
        let split = serving.map_or(0, |serving| std::mem::take(&mut serving.region.stats().groups_split));
        if split > 0 {
            self.broke("I16", format!("{split} members of a group act without it at {id}"));
        }
    }
}
