//! One seed from its beginning to its verdict: misfortunes first, then healing, then the reckoning.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::EntityKey;
use horizon_history::{Event, Report, Who};
use horizon_model::{PlayerId, WorkerId};

use crate::options::Options;
use crate::payload::TOKENS;
use crate::reference;
use crate::store::who;
use crate::world::World;

/// After the last fault everything must be well within this time.
const HEALING: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The options that follow from it, in words.
    pub profile: String,
    /// Moves that the store has written.
    pub handoffs: u64,
    /// Arrivals of a vehicle, as its riders were told of them.
    pub rides: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The checkers' verdict.
    pub report: Report,
    /// What no checker of histories is for: promises by number, with a sentence each.
    pub broken: Vec<(&'static str, String)>,
    /// The same for the same seed and build.
    pub fingerprint: u64,
    /// Virtual time.
    pub lasted: Duration,
}

impl Outcome {
    /// The violations, in words.
    pub fn sentences(&self) -> impl Iterator<Item = String> + '_ {
        let told = self.report.violations.iter();
        let told = told.map(|found| format!("{} at {}: {}", found.invariant, found.at, found.sentence));
        told.chain(self.broken.iter().map(|(promise, sentence)| format!("{promise}: {sentence}")))
    }

    /// Everything that must not be.
    pub fn violations(&self) -> u64 {
        self.report.total() + self.broken.len() as u64
    }
}

/// Runs one seed.
pub fn run(options: Options) -> Outcome {
    let seed = options.seed;
    let mut world = World::new(options);
    let began = world.now;
    let profile = world.profile.to_string();
    world.say(|| format!("SEED={seed} OPTIONS={profile}"));
    world.found();
    world.run_until(world.safety_until);
    world.heal();
    let deadline = world.now + HEALING;
    loop {
        world.run_until(world.now + LOOK_EVERY);
        let unwell = world.unwell();
        world.say(|| format!("unwell: {unwell:?}"));
        if unwell.is_empty() {
            break;
        }
        if world.now >= deadline {
            for words in world.undelivered() {
                world.say(|| words.clone());
            }
            for sentence in unwell {
                world.broke("I8", sentence);
            }
            break;
        }
    }
    world.take_stock();
    world.compare();
    let lasted = world.now - began;
    let broken = std::mem::take(&mut world.broken);
    let fingerprint = world.fingerprint();
    let World { history, faults, handoffs, rides, .. } = world;
    Outcome { seed, profile, handoffs, rides, faults, report: history.finish(), broken, fingerprint, lasted }
}

impl World {
    /// A promise is broken that is not read from the history.
    pub(crate) fn broke(&mut self, promise: &'static str, sentence: String) {
        if self.options.trace {
            eprintln!("{:?} BROKEN {promise}: {sentence}", self.now);
        }
        self.broken.push((promise, sentence));
    }

    /// What is not well yet, in words.
    fn unwell(&mut self) -> Vec<String> {
        let mut unwell = Vec::new();
        let players: Vec<PlayerId> = self.clients.keys().copied().collect();
        let everybody = players.iter().all(|player| {
            self.clients.get(player).is_some_and(|client| client.present && client.pending() == 0)
        });
        // The ledger is asked last, because every question is an input of its own.
        let apart = match (self.options.riders, everybody) {
            (false, _) => None,
            (true, true) => self.riders_apart(),
            (true, false) => Some("somebody is away, or has sent what is not durable".to_owned()),
        };
        if let Some(apart) = apart {
            return vec![apart];
        }
        // Whoever asks before others have given all they meant to give asks too early.
        for player in players {
            if !everybody && self.clients[&player].report.is_none() || !self.ask_for_reports(player) {
                let client = &self.clients[&player];
                unwell.push(format!(
                    "{player}: present {}, {} inputs are not durable, report {:?}",
                    client.present,
                    client.pending(),
                    client.report
                ));
            }
        }
        if unwell.is_empty() && !self.tokens_are_found() {
            // A gift may be on its way still: ask again.
            unwell.push("the purses do not hold all tokens".to_owned());
            for client in self.clients.values_mut() {
                client.forget_reports();
            }
        }
        let owners = self.owners();
        for player in self.clients.keys() {
            let key = EntityKey::Player(*player);
            let count = owners.iter().filter(|(owned, ..)| *owned == key).count();
            if count != 1 {
                unwell.push(format!("{player} has {count} owners"));
            }
        }
        unwell
    }

    /// Who owns what, of all processes that live and hold the region's newest lease.
    fn owners(&self) -> Vec<(EntityKey, WorkerId, horizon_model::RegionId, horizon_model::Epoch)> {
        let mut owners = Vec::new();
        for (id, worker) in &self.workers {
            if let Some(serving) = &worker.serving {
                let region = serving.lease.region;
                for (key, epoch, decided) in serving.region.owned() {
                    if decided {
                        owners.push((key, *id, region, epoch));
                    }
                }
            }
        }
        owners
    }

    /// Whether as many tokens are in purses as were made.
    fn tokens_are_found(&self) -> bool {
        let held = self.clients.values().filter_map(|client| client.inventory.as_ref());
        let count: usize = held.map(|(_, tokens)| tokens.len()).sum();
        count == self.minted.len() * TOKENS as usize
    }

    /// The same inputs in a world of one region in which nothing fails lead to the same ledgers.
    fn compare(&mut self) {
        let spellings = self.clients.iter().map(|(player, client)| (*player, client.spelling)).collect();
        let ledgers = reference::ledgers(&self.options.plugins, &self.inputs, spellings);
        let differing: Vec<String> = self
            .clients
            .iter()
            .filter(|(player, client)| client.report.as_ref() != ledgers.get(player))
            .map(|(player, client)| {
                format!("{player}: {:?}, in the reference {:?}", client.report, ledgers.get(player))
            })
            .collect();
        for sentence in differing {
            self.broke("reference", sentence);
        }
    }

    /// Messages between regions that are on their way or wait.
    fn undelivered(&self) -> Vec<String> {
        let serving = self.workers.values().filter_map(|worker| worker.serving.as_deref());
        let words = serving.flat_map(|serving| {
            let region = serving.lease.region;
            serving.region.undelivered().into_iter().map(move |words| format!("{region}: {words}"))
        });
        words.collect()
    }

    /// The end: who owns what, and where the tokens are.
    fn take_stock(&mut self) {
        for (key, worker, region, epoch) in self.owners() {
            self.observe(&Event::Owns { who: who(key), worker, region, epoch });
        }
        let inventories: Vec<(PlayerId, Vec<u64>)> = self
            .clients
            .iter()
            .filter_map(|(player, client)| Some((*player, client.inventory.as_ref()?.1.clone())))
            .collect();
        for (player, tokens) in inventories {
            for token in tokens {
                self.observe(&Event::Found { token, with: Who::Player(player) });
            }
        }
    }
}
