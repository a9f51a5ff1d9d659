//! Fights, pickups and trades between players whom different regions own, with a coin that crosses while hands
//! reach for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

#[cfg(feature = "faults")]
use horizon_handoff::mutant::Mutant;
use horizon_model::{PlayerId, RegionId};
use horizon_protocol::client::Spelling;
use serde_json::{Value, json};

use crate::build;
use crate::chance::{Delays, Dice};
use crate::harness::Harness;

/// One who jumps to and fro between two corners of the world, and one who stands in each of them.
const JUMPER: PlayerId = PlayerId(1);
const GUARDS: [PlayerId; 2] = [PlayerId(2), PlayerId(3)];
const CORNERS: [[f64; 3]; 2] = [[-50.0, -50.0, 1.0], [50.0, 50.0, 1.0]];
/// Longer than a message takes that is lost and sent again, and a region that is killed.
const PATIENCE: Duration = Duration::from_secs(12);

struct Game {
    world: Harness,
    dice: Dice,
    asked: u32,
    /// Coins of each player by what outcomes said, where nothing is wrong.
    purses: BTreeMap<PlayerId, Vec<u64>>,
    faults: Vec<String>,
    kills: bool,
}

impl Game {
    fn begin(plugins: &Path, seed: u64, kills: bool, prepare: impl FnOnce(&mut Harness)) -> Self {
        let mut world = Harness::new(plugins, 2, 30, seed, Delays::SHORT);
        world.looks_up = true;
        prepare(&mut world);
        for (player, [x, y, z]) in [(JUMPER, CORNERS[0]), (GUARDS[0], CORNERS[0]), (GUARDS[1], CORNERS[1])] {
            world.join(player.0, [x + player.0 as f64, y, z], Spelling::Json);
        }
        world.run_until(world.now + Duration::from_secs(1));
        let mut game = Self {
            world,
            dice: Dice::new(seed),
            asked: 0,
            purses: BTreeMap::new(),
            faults: Vec::new(),
            kills,
        };
        for player in [JUMPER, GUARDS[0], GUARDS[1]] {
            let coins = game.report(player);
            game.purses.insert(player, coins);
        }
        game
    }

    fn send(&mut self, player: PlayerId, event: &str, mut payload: Value) -> u32 {
        self.asked += 1;
        payload["id"] = self.asked.into();
        self.world.send(player, "arena", event, payload.to_string().as_bytes());
        self.asked
    }

    /// Lets time pass until the sender is told what became of it; null where nothing did in time.
    fn outcome(&mut self, player: PlayerId, id: u32) -> Value {
        let until = self.world.now + PATIENCE;
        while self.world.now < until {
            let events = self.world.clients[&player].events.iter();
            let mut told = events.filter(|(name, value)| name == "arena/outcome" && value["id"] == id);
            if let Some((_, value)) = told.next_back() {
                return value.clone();
            }
            self.pass();
        }
        self.faults.push(format!("{player} was not told of {id}: {:#?}", self.world.undelivered()));
        Value::Null
    }

    /// A hundredth of a second, in which a region may die.
    fn pass(&mut self) {
        if self.kills && self.dice.below(150) == 0 {
            let victim = self.dice.below(4) as u16;
            self.world.kill(RegionId(victim));
            self.world.clients.values_mut().for_each(crate::client::Client::forgive);
        }
        self.world.run_until(self.world.now + Duration::from_millis(10));
    }

    fn ask(&mut self, player: PlayerId, event: &str, payload: Value) -> Value {
        let id = self.send(player, event, payload);
        self.outcome(player, id)
    }

    fn expect(&mut self, what: &str, outcome: &Value, done: bool) {
        if outcome["done"] != done {
            self.faults.push(format!("{what}: {outcome}"));
        }
    }

    /// The jumper goes to the other corner and drops a coin there in one breath, so that the coin's region is not the
    /// one it lies in. Both who are there reach for it at once.
    fn round(&mut self, to: usize) {
        let (guard, other) = (GUARDS[to], GUARDS[1 - to]);
        let coin = self.purses[&JUMPER][0];
        let respawn = json!({ "position": CORNERS[to], "velocity": [0.0, 0.0, 0.0], "yaw": 0.0 });
        self.world.send(JUMPER, "movement", "respawn", respawn.to_string().as_bytes());
        let dropped = self.ask(JUMPER, "drop", json!({ "coin": coin }));
        self.expect("a drop", &dropped, true);
        let object = json!({ "coin": dropped["object"] });
        // Now the coin is on its way, or about to be, or has arrived.
        for _ in 0..self.dice.below(60) {
            self.pass();
        }
        let far = self.send(other, "pick", object.clone());
        let hands = [JUMPER, guard].map(|hand| (hand, self.send(hand, "pick", object.clone())));
        let got: Vec<bool> =
            hands.into_iter().map(|(hand, id)| self.outcome(hand, id)["done"] == true).collect();
        let too_far = self.outcome(other, far);
        self.expect("a hand too far away", &too_far, false);
        if got[0] == got[1] {
            self.faults.push(format!("of two hands, {got:?} got the coin"));
        }
        if got[1] {
            // They swap: the guard offers it for one that the jumper has.
            let give = self.purses[&JUMPER][1];
            let asked = json!({ "with": guard.to_string(), "give": give, "want": coin });
            let refused = self.ask(JUMPER, "trade", asked.clone());
            self.expect("a trade without an offer", &refused, false);
            let offered = self.ask(guard, "offer", json!({ "coin": coin, "to": JUMPER.to_string() }));
            self.expect("an offer", &offered, true);
            let traded = self.ask(JUMPER, "trade", asked);
            self.expect("a trade", &traded, true);
            self.purses.get_mut(&JUMPER).expect("plays").retain(|held| *held != give);
            self.purses.get_mut(&guard).expect("plays").push(give);
            // And the jumper hands one back, over the ground.
            let back = self.purses[&guard][0];
            let dropped = self.ask(guard, "drop", json!({ "coin": back }));
            let picked = self.ask(JUMPER, "pick", json!({ "coin": dropped["object"] }));
            self.expect("a pick", &picked, true);
            self.purses.get_mut(&guard).expect("plays").retain(|held| *held != back);
            self.purses.get_mut(&JUMPER).expect("plays").push(back);
        }
        let hit = self.ask(guard, "hit", json!({ "target": JUMPER.to_string() }));
        self.expect("a hit", &hit, true);
        let target = json!({ "target": JUMPER.to_string() });
        let volley: Vec<u32> = (0..4).map(|_| self.send(other, "hit", target.clone())).collect();
        for id in volley {
            let missed = self.outcome(other, id);
            self.expect("a hit from far away", &missed, false);
        }
    }

    fn report(&mut self, player: PlayerId) -> Vec<u64> {
        let reports = |world: &Harness| {
            let events = world.clients[&player].events.iter();
            events
                .filter(|(name, _)| name == "arena/report")
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
        };
        let before = reports(&self.world).len();
        self.world.send(player, "arena", "report", b"{}");
        let until = self.world.now + PATIENCE;
        while self.world.now < until && reports(&self.world).len() == before {
            self.world.run_until(self.world.now + Duration::from_millis(10));
        }
        let report = reports(&self.world).pop().unwrap_or_default();
        serde_json::from_value(report["coins"].clone()).unwrap_or_default()
    }

    /// What is wrong at the end, in words.
    fn end(mut self) -> Vec<String> {
        self.kills = false;
        self.world.run_until(self.world.now + Duration::from_secs(3));
        for (player, mut expected) in self.purses.clone() {
            let mut coins = self.report(player);
            expected.sort_unstable();
            coins.sort_unstable();
            if coins != expected {
                self.faults.push(format!("{player} has {coins:?} and not {expected:?}"));
            }
        }
        for (player, client) in &self.world.clients {
            let mut told: BTreeMap<u64, u32> = BTreeMap::new();
            for (_, value) in client.events.iter().filter(|(name, _)| name == "arena/outcome") {
                *told.entry(value["id"].as_u64().unwrap_or(0)).or_default() += 1;
            }
            let again: Vec<_> = told.into_iter().filter(|(_, times)| *times > 1).collect();
            if !again.is_empty() {
                self.faults.push(format!("{player} was told more than once: {again:?}"));
            }
        }
        self.faults
    }
}

/// Plays rounds, and returns how many coins crossed and what was wrong.
fn play(
    plugins: &Path,
    seed: u64,
    rounds: usize,
    kills: bool,
    prepare: impl FnOnce(&mut Harness),
) -> (u64, Vec<String>) {
    let mut game = Game::begin(plugins, seed, kills, prepare);
    for round in 1..=rounds {
        game.round(round % 2);
        // One who does without a guard may have lost everything there is to play for.
        if !game.faults.is_empty() {
            break;
        }
    }
    (game.world.object_arrivals, game.end())
}

#[test]
fn what_happens_across_borders_happens_once() {
    let plugins = build::own_plugins(&["movement", "arena"]);
    let mut coins = 0;
    for seed in 1..5 {
        let (crossed, faults) = play(plugins.path(), seed, 20, false, |_| {});
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
        coins += crossed;
    }
    assert!(coins > 0, "no coin crossed under anybody's hand");
}

/// Messages between regions get lost or come twice, and any region is killed at any moment.
#[test]
fn what_happens_across_borders_happens_once_whoever_dies() {
    let plugins = build::own_plugins(&["movement", "arena"]);
    for seed in 11..17 {
        let (_, faults) = play(plugins.path(), seed, 20, true, |world| world.rough_posts = true);
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
    }
}

/// A question about what nobody has, or who nobody is, has an answer.
#[test]
fn nobody_waits_for_what_is_not_there() {
    let plugins = build::own_plugins(&["movement", "arena"]);
    let mut game = Game::begin(plugins.path(), 21, false, |_| {});
    for coin in ["0000000100ffffff", "0003000100ffffff", "ffff000100000001"] {
        let outcome = game.ask(JUMPER, "pick", json!({ "coin": coin }));
        game.expect(coin, &outcome, false);
        assert_eq!(outcome["why"], "it is gone");
    }
    let nobody = PlayerId(99).to_string();
    let outcome = game.ask(JUMPER, "hit", json!({ "target": nobody }));
    assert_eq!(outcome["why"], "there is nobody of that id");
    let give = game.purses[&JUMPER][0];
    let outcome = game.ask(JUMPER, "trade", json!({ "with": nobody, "give": give, "want": 1 }));
    game.expect("a trade with nobody", &outcome, false);
    assert_eq!(game.end(), Vec::<String>::new());
}

/// Controls: one guard is off, and the same eyes see it.
#[cfg(feature = "faults")]
#[test]
fn messages_that_are_taken_twice_or_skipped_are_noticed() {
    let plugins = build::own_plugins(&["movement", "arena"]);
    for guard in [Mutant::RepeatPosts, Mutant::SkipPosts] {
        let noticed = (11..15).find_map(|seed| {
            let (_, faults) = play(plugins.path(), seed, 20, false, |world| {
                world.rough_posts = true;
                world.break_guard(guard);
            });
            faults.first().cloned()
        });
        eprintln!("without {guard:?}: {noticed:?}");
        assert!(noticed.is_some(), "{guard:?} is off and nobody notices");
    }
}
