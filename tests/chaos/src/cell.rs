//! The matrix: which fault at which step of a crossing, where it is placed, and what it may cost.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::world::{LEASE, STORE_FORGETS, Store};

/// What goes wrong. A is the region server that gives the player, B the one that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A is killed.
    AKill,
    /// A stands still for longer than its lease, then goes on.
    AStop,
    /// B is killed.
    BKill,
    /// B stands still, then goes on: at S2 and S3 before anybody takes over from it, otherwise after.
    BStop,
    /// A's tick thread panics.
    APanic,
    /// B's tick thread panics.
    BPanic,
    /// A's disk is full. Who goes on all the same is killed a second later.
    ADiskFull,
    /// B's disk is full, as A's.
    BDiskFull,
    /// Atlas is killed and started again.
    AtlasKill,
    /// Players' sockets are reset.
    ClientReset,
    /// Players' sockets fall silent without an end.
    ClientSilent,
    /// The store is killed and started again.
    StoreKill,
    /// The store stands still for 5 s.
    StoreStop5,
    /// The store stands still for 12 s.
    StoreStop12,
    /// The store is killed and begins again with its files of a second ago.
    StoreOlder,
    /// A and B do not hear each other for a while.
    CutAB,
    /// A does not reach the store for a while.
    CutAStore,
    /// B does not reach the store for a while.
    CutBStore,
    /// A does not hear Atlas, which hears A, for a while.
    CutAtlasA,
    /// B does not hear Atlas, which hears B, for a while.
    CutAtlasB,
    /// Atlas does not hear A, which hears Atlas, for a while.
    CutAAtlas,
    /// Atlas does not hear B, which hears Atlas, for a while.
    CutBAtlas,
    /// A message comes again, after much else.
    Repeated,
    /// A message comes late, after much else.
    Late,
    /// Every road loses, repeats and reorders datagrams.
    BadRoads,
    /// A gift from region to region comes again.
    PostRepeated,
    /// A gift comes late, after much else.
    PostLate,
    /// Players carry more than a capsule may hold.
    TooLarge,
    /// Players move to and fro by a metre, on the border.
    Jitter,
    /// Players cross every second.
    PingPong,
    /// A plugin panics in every input of a player on the border: while its state is written at A, which gives, or read
    /// at B, which has taken.
    PluginPanics,
}

/// When: handoff.md, "If somebody stops here".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Step {
    /// Offered, and copies on their way.
    S1,
    /// Frozen, not flushed.
    S2,
    /// The final state is on its way.
    S3,
    /// The move is being decided.
    S4,
    /// Committed, and nobody told.
    S5,
    /// Attached.
    S6,
}

/// One place in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// When.
    pub step: Step,
}

/// Which of the processes a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    A,
    B,
}

const FAULTS: [(Fault, &str); 31] = [
    (Fault::AKill, "a-kill"),
    (Fault::AStop, "a-stop"),
    (Fault::BKill, "b-kill"),
    (Fault::BStop, "b-stop"),
    (Fault::APanic, "a-panic"),
    (Fault::BPanic, "b-panic"),
    (Fault::ADiskFull, "a-disk-full"),
    (Fault::BDiskFull, "b-disk-full"),
    (Fault::AtlasKill, "atlas-kill"),
    (Fault::ClientReset, "client-reset"),
    (Fault::ClientSilent, "client-silent"),
    (Fault::StoreKill, "store-kill"),
    (Fault::StoreStop5, "store-stop-5s"),
    (Fault::StoreStop12, "store-stop-12s"),
    (Fault::StoreOlder, "store-older"),
    (Fault::CutAB, "cut-a-b"),
    (Fault::CutAStore, "cut-a-store"),
    (Fault::CutBStore, "cut-b-store"),
    (Fault::CutAtlasA, "cut-atlas-to-a"),
    (Fault::CutAtlasB, "cut-atlas-to-b"),
    (Fault::CutAAtlas, "cut-a-to-atlas"),
    (Fault::CutBAtlas, "cut-b-to-atlas"),
    (Fault::Repeated, "repeated"),
    (Fault::Late, "late"),
    (Fault::BadRoads, "bad-roads"),
    (Fault::PostRepeated, "post-repeated"),
    (Fault::PostLate, "post-late"),
    (Fault::TooLarge, "too-large"),
    (Fault::Jitter, "jitter"),
    (Fault::PingPong, "ping-pong"),
    (Fault::PluginPanics, "plugin-panics"),
];

const STEPS: [(Step, &str); 6] = [
    (Step::S1, "s1"),
    (Step::S2, "s2"),
    (Step::S3, "s3"),
    (Step::S4, "s4"),
    (Step::S5, "s5"),
    (Step::S6, "s6"),
];

/// Those of the short run: each kind of fault where it can do the most harm.
const QUICK: [(Fault, Step); 16] = [
    (Fault::AKill, Step::S2),
    (Fault::AKill, Step::S5),
    (Fault::AStop, Step::S2),
    (Fault::BKill, Step::S3),
    (Fault::BKill, Step::S5),
    (Fault::BStop, Step::S3),
    (Fault::AtlasKill, Step::S5),
    (Fault::ClientReset, Step::S4),
    (Fault::StoreKill, Step::S4),
    (Fault::StoreStop5, Step::S3),
    (Fault::CutAB, Step::S3),
    (Fault::Repeated, Step::S3),
    (Fault::Late, Step::S6),
    (Fault::PostRepeated, Step::S1),
    (Fault::PluginPanics, Step::S2),
    (Fault::TooLarge, Step::S1),
];

impl Cell {
    /// Every cell that there is.
    pub fn full() -> Vec<Self> {
        let all = FAULTS
            .iter()
            .flat_map(|(fault, _)| STEPS.iter().map(|(step, _)| Self { fault: *fault, step: *step }));
        all.filter(|cell| cell.order().is_some()).collect()
    }

    /// The short run.
    pub fn quick() -> Vec<Self> {
        QUICK.iter().map(|&(fault, step)| Self { fault, step }).collect()
    }

    /// `FAULT/STEP`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.fault.name(), self.step.name())
    }

    /// What is armed at the region servers; `None` where the fault has no such step. With `hold` the test does the
    /// rest, otherwise the process does it by itself.
    pub(crate) fn order(&self) -> Option<String> {
        use Step::{S1, S2, S3, S4, S5, S6};
        let (step, role) = match (self.fault, self.step) {
            (Fault::Repeated | Fault::Late, S1) => ("presync", "source"),
            (Fault::Repeated | Fault::Late, S3) => ("final", "source"),
            (Fault::Repeated | Fault::Late, S6) => ("attached", "target"),
            (Fault::Repeated | Fault::Late, _) => return None,
            (Fault::PostRepeated | Fault::PostLate, S1) => ("post", "source"),
            (Fault::PostRepeated | Fault::PostLate, _) => return None,
            (Fault::PluginPanics, S1 | S3 | S4 | S5) => return None,
            (Fault::TooLarge, S1) => ("presync", "source"),
            (Fault::TooLarge, S2 | S3 | S4 | S5) => return None,
            (Fault::Jitter | Fault::PingPong, S1 | S2 | S3 | S4 | S5) => return None,
            (Fault::StoreOlder, S1 | S2 | S3) => return None,
            (Fault::APanic | Fault::ADiskFull, S1) => ("presync", "source"),
            (Fault::APanic | Fault::ADiskFull, S2) => ("frozen", "source"),
            (Fault::APanic | Fault::ADiskFull, S3) => ("final", "source"),
            (Fault::APanic | Fault::ADiskFull, S6) => ("attached", "source"),
            (Fault::APanic | Fault::ADiskFull, _) => return None,
            (Fault::BPanic | Fault::BDiskFull, S2) => return None,
            (_, S1) => ("presync", "target"),
            (_, S2) => ("frozen", "source"),
            (_, S3) => ("final", "target"),
            (Fault::BKill | Fault::BStop | Fault::BPanic, S4) => ("answered", "target"),
            (_, S4) => ("asked", "target"),
            (_, S5) => ("owner", "target"),
            (_, S6) => ("attached", "target"),
        };
        let nth = if step == "presync" { 3 } else { 1 };
        let action = match self.fault {
            // Within the shortest stay, so that the source has taken the player back and does not offer it anew.
            Fault::Late if self.step == S3 => "late=350",
            // By then the player has crossed back.
            Fault::Repeated if self.step == S6 => "repeat=2500",
            Fault::Late if self.step == S6 => "late=10000",
            Fault::Repeated | Fault::PostRepeated => "repeat=1500",
            Fault::Late | Fault::PostLate => "late=1500",
            Fault::TooLarge => "large=4000",
            Fault::APanic | Fault::BPanic => "panic",
            Fault::ADiskFull | Fault::BDiskFull => "disk-full",
            _ => "hold",
        };
        Some(format!("{step}:{role}:{nth}:{action}"))
    }

    /// Configuration of plugins.
    pub(crate) const fn plugins(&self) -> &'static str {
        match (self.fault, self.step) {
            (Fault::PluginPanics, Step::S2) => "[plugin.drill]\npanics = \"giving\"\n",
            (Fault::PluginPanics, _) => "[plugin.drill]\npanics = \"taking\"\n",
            _ => "",
        }
    }

    /// Whom the armed point is reached by.
    pub(crate) fn reached_by(&self) -> Party {
        let order = self.order().unwrap_or_default();
        if order.contains(":source:") { Party::A } else { Party::B }
    }

    /// How long it lasts.
    pub(crate) fn lasts(&self) -> Duration {
        let beyond_the_lease = LEASE * 5 / 2;
        match self.fault {
            Fault::AStop => beyond_the_lease,
            Fault::BStop if matches!(self.step, Step::S2 | Step::S3) => Duration::from_millis(350),
            Fault::BStop => beyond_the_lease,
            Fault::ClientSilent => Duration::from_secs(7),
            Fault::StoreStop5 => Duration::from_secs(5),
            Fault::StoreStop12 => Duration::from_secs(12),
            Fault::CutAStore | Fault::CutBStore => LEASE * 2,
            Fault::Repeated if self.step == Step::S6 => LEASE * 3 / 2,
            // Nothing else moves the player away: until the link is given up, so that what was on its way is lost.
            Fault::CutAtlasA if self.step == Step::S1 => LEASE * 3,
            Fault::CutAtlasA | Fault::CutAtlasB | Fault::CutAAtlas | Fault::CutBAtlas => LEASE * 3 / 2,
            Fault::CutAB | Fault::Repeated | Fault::Late | Fault::PostRepeated | Fault::PostLate => LEASE,
            Fault::BadRoads | Fault::TooLarge => Duration::from_secs(4),
            Fault::Jitter | Fault::PingPong => Duration::from_secs(5),
            Fault::ADiskFull | Fault::BDiskFull => Duration::from_secs(1),
            // Time enough for one crossing that is lost at least.
            Fault::StoreOlder => Duration::from_millis(2500),
            _ => Duration::ZERO,
        }
    }

    /// The guard whose absence this fault shows.
    pub(crate) fn guard(&self, store: Store) -> &'static str {
        use Step::{S1, S2, S3, S4, S5, S6};
        match (self.fault, self.step) {
            (Fault::AKill, S5) => "recovery-ignores-record",
            (Fault::BKill | Fault::BPanic | Fault::BStop, S4 | S5) => "move-without-state",
            (Fault::ADiskFull | Fault::BDiskFull, _) => "failed-write-counts",
            (Fault::AKill | Fault::BKill | Fault::APanic | Fault::BPanic | Fault::AStop, _) => {
                "ack-before-write"
            }
            (Fault::BStop, S1 | S6) => "ack-before-write",
            (Fault::StoreKill | Fault::StoreOlder, _) if store == Store::Redis => STORE_FORGETS,
            (Fault::StoreOlder, _) => "reports-unheard",
            (Fault::StoreKill, _) => "ack-before-commit",
            // The state must not leave before it is durable, and nobody resumes by itself: each of two guards is enough.
            (Fault::CutAStore | Fault::StoreStop5 | Fault::StoreStop12, S1 | S2) => {
                "final-before-flush+resume-without-cas"
            }
            // Whoever is not heard resumes only by the store's leave, however long it is away.
            (
                Fault::BStop
                | Fault::StoreStop5
                | Fault::StoreStop12
                | Fault::CutAB
                | Fault::CutAStore
                | Fault::CutBStore
                | Fault::BadRoads,
                _,
            ) => "resume-without-cas",
            // What was not called durable comes again, from the edge or from the client.
            (Fault::AtlasKill | Fault::ClientReset | Fault::ClientSilent, _) => "nothing-again",
            (Fault::CutAtlasA | Fault::CutAtlasB | Fault::CutAAtlas | Fault::CutBAtlas, _) => "nothing-again",
            (Fault::Repeated, S3) => "no-tombstone",
            (Fault::Late, S3 | S6) => "resume-without-cas",
            (Fault::Repeated, S6) => "any-hint-counts",
            (Fault::Repeated | Fault::Late, _) => "copy-instead-of-final",
            (Fault::PostRepeated, _) => "repeat-posts",
            (Fault::PostLate, _) => "skip-posts",
            (Fault::PluginPanics, _) => "failure-ends-delivery",
            (Fault::TooLarge, _) => "any-size-crosses",
            (Fault::Jitter, _) => "no-hysteresis",
            (Fault::PingPong, _) => "copy-instead-of-final",
        }
    }

    /// A region server's life ends, or is taken for ended, so that players may be told to go back.
    pub(crate) const fn may_resync(&self) -> bool {
        !matches!(
            self.fault,
            Fault::AtlasKill
                | Fault::ClientReset
                | Fault::ClientSilent
                | Fault::StoreKill
                | Fault::StoreStop5
                | Fault::StoreStop12
                | Fault::StoreOlder
                | Fault::CutAB
                | Fault::Repeated
                | Fault::Late
                | Fault::BadRoads
                | Fault::PostRepeated
                | Fault::PostLate
                | Fault::PluginPanics
                | Fault::TooLarge
                | Fault::Jitter
                | Fault::PingPong
        )
    }

    /// Sockets end because the process at their other end does, or because they are what fails.
    pub(crate) const fn may_disconnect(&self) -> bool {
        matches!(self.fault, Fault::AtlasKill | Fault::ClientReset | Fault::ClientSilent)
    }

    /// ERROR lines that this fault must cause, by a part of them.
    pub(crate) const fn expected_error(&self) -> Option<&'static str> {
        match self.fault {
            Fault::APanic | Fault::BPanic | Fault::PluginPanics => Some("panic"),
            Fault::ADiskFull | Fault::BDiskFull => Some("journal"),
            _ => None,
        }
    }

    /// Longest time without a frame that is within the promise (I7), with the slack of an unoptimised build on a
    /// busy machine.
    pub(crate) fn longest_stall(&self) -> Duration {
        let slack = Duration::from_millis(1500);
        match self.fault {
            // Seen to end: recovery alone.
            Fault::AKill
            | Fault::BKill
            | Fault::APanic
            | Fault::BPanic
            | Fault::ADiskFull
            | Fault::BDiskFull => Duration::from_secs(2) + slack,
            // Not seen to end: taken over before it goes on.
            Fault::AStop | Fault::BStop => Duration::from_secs(3) + slack,
            Fault::AtlasKill => Duration::from_secs(2) + slack,
            Fault::ClientSilent => Duration::from_secs(7) + slack,
            // A frozen player waits for the store.
            Fault::StoreKill | Fault::StoreOlder | Fault::StoreStop5 | Fault::StoreStop12 => {
                self.lasts() + Duration::from_secs(1) + slack
            }
            Fault::CutAStore | Fault::CutBStore => self.lasts() + Duration::from_secs(2) + slack,
            Fault::CutAtlasA | Fault::CutAtlasB | Fault::CutAAtlas | Fault::CutBAtlas => {
                self.lasts() + Duration::from_secs(2) + slack
            }
            Fault::ClientReset
            | Fault::CutAB
            | Fault::Repeated
            | Fault::Late
            | Fault::BadRoads
            | Fault::PostRepeated
            | Fault::PostLate
            | Fault::PluginPanics
            | Fault::TooLarge
            | Fault::Jitter
            | Fault::PingPong => Duration::from_millis(500) + slack,
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Fault {
    /// As results call it.
    pub fn name(self) -> &'static str {
        FAULTS.iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| name)
    }
}

impl Step {
    /// As results call it.
    pub fn name(self) -> &'static str {
        STEPS.iter().find(|(step, _)| *step == self).map_or("", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_run_is_part_of_the_long_one() {
        let full = Cell::full();
        assert!(Cell::quick().iter().all(|cell| full.contains(cell)));
        assert!(full.len() > 100, "{} cells", full.len());
    }
}
