//! What a run is made of: everything follows from the seed.

use std::fmt;
use std::path::PathBuf;

use horizon_handoff::mutant::Mutant;

use crate::dice::Dice;
use crate::faults::Fault;

/// A guard that a run does without, to show that the checkers notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// One of the handoff's own; needs the feature `mutants`.
    Machine(Mutant),
    /// The disk calls durable what it has not written.
    LyingDisk,
    /// The journal acknowledges without asking whether the lease is still its own.
    NoFence,
    /// The edge believes frames and attaches of any epoch.
    NoEpochCheck,
}

impl Broken {
    /// All that can be named, with their names.
    pub const ALL: [(&'static str, Self); 14] = [
        ("resume-without-cas", Self::Machine(Mutant::ResumeWithoutCas)),
        ("final-before-flush", Self::Machine(Mutant::FinalBeforeFlush)),
        ("activate-on-final", Self::Machine(Mutant::ActivateOnFinal)),
        ("no-tombstone", Self::Machine(Mutant::NoTombstone)),
        ("copy-instead-of-final", Self::Machine(Mutant::CopyInsteadOfFinal)),
        ("cas-before-staged", Self::Machine(Mutant::CasBeforeStaged)),
        ("any-record-resumes", Self::Machine(Mutant::AnyRecordResumes)),
        ("apply-twice", Self::Machine(Mutant::ApplyTwice)),
        ("repeat-posts", Self::Machine(Mutant::RepeatPosts)),
        ("give-while-frozen", Self::Machine(Mutant::GiveWhileFrozen)),
        ("members-one-by-one", Self::Machine(Mutant::MembersOneByOne)),
        ("lying-disk", Self::LyingDisk),
        ("no-fence", Self::NoFence),
        ("no-epoch-check", Self::NoEpochCheck),
    ];

    /// Whether this build can do without it.
    pub const fn is_possible(self) -> bool {
        cfg!(feature = "mutants") || !matches!(self, Self::Machine(_))
    }

    /// The guard of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, broken)| *broken)
    }
}

/// One run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Folder with the libraries of the plugins.
    pub plugins: PathBuf,
    /// A recording for the ball, as plain text; none without.
    pub ball: Option<PathBuf>,
    /// Some of the players ride a vehicle.
    pub riders: bool,
    /// The guard that is missing.
    pub broken: Option<Broken>,
    /// Says on standard error what happens.
    pub trace: bool,
}

/// What the seed says about the world and its misfortunes.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) hz: u64,
    pub(crate) players: u64,
    /// Players who repeat a recording; the others go to and fro over borders.
    pub(crate) recorded: u64,
    pub(crate) safety_s: u64,
    /// Mean time between two faults; `None` for a calm run.
    pub(crate) every_ms: Option<u64>,
    pub(crate) kinds: Vec<Fault>,
    /// Delays in microseconds, least and most.
    pub(crate) link: (u64, u64),
    pub(crate) disk: (u64, u64),
    pub(crate) store: (u64, u64),
    pub(crate) socket: (u64, u64),
    /// Messages of a thousand that come twice.
    pub(crate) repeated: u64,
    /// And of ten thousand, that come once more seconds later.
    pub(crate) echoed: u64,
    /// And of ten thousand, that hold up their lane.
    pub(crate) held_up: u64,
    /// Calls of the store of a thousand whose question or answer is lost.
    pub(crate) unanswered: u64,
    /// Batches of state of ten thousand that are given up.
    pub(crate) given_up: u64,
    /// How far the clocks of workers are apart at most, in microseconds.
    pub(crate) skew_us: u64,
}

impl Profile {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let calm = dice.chance(60);
        let columns = if dice.chance(300) { 3 } else { 2 };
        let mut kinds: Vec<Fault> = Fault::ALL.into_iter().filter(|_| !calm && dice.chance(600)).collect();
        if kinds.is_empty() && !calm {
            kinds.push(dice.pick(&Fault::ALL));
        }
        let wild = if dice.chance(150) { 60_000 } else { 5000 };
        let rare = |dice: &mut Dice, most: u64| if !calm && dice.chance(500) { dice.below(most) } else { 0 };
        Self {
            columns,
            rows: 2,
            hz: if dice.chance(200) { 60 } else { 30 },
            players: 8 + dice.below(13),
            recorded: dice.below(4),
            safety_s: 20 + dice.below(15),
            every_ms: (!calm).then(|| 400 + dice.below(3000)),
            kinds,
            link: (100, 300 + dice.below(1500)),
            disk: (200, 500 + dice.below(4000)),
            store: (100, 300 + dice.below(2000)),
            socket: (1000, 5000 + dice.below(40_000)),
            repeated: rare(dice, 40),
            echoed: rare(dice, 40),
            held_up: rare(dice, 20),
            unanswered: rare(dice, 20),
            given_up: rare(dice, 50),
            skew_us: if calm { 2000 } else { 1000 + dice.below(wild) },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        write!(
            f,
            "{}x{}@{}Hz players={}+{} safety_s={} every_ms={} kinds={} link={:?} disk={:?} store={:?} \
             repeated={} echoed={} held_up={} unanswered={} given_up={} skew_us={}",
            self.columns,
            self.rows,
            self.hz,
            self.players,
            self.recorded,
            self.safety_s,
            self.every_ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string()),
            if kinds.is_empty() { "none".to_owned() } else { kinds.join(",") },
            self.link,
            self.disk,
            self.store,
            self.repeated,
            self.echoed,
            self.held_up,
            self.unanswered,
            self.given_up,
            self.skew_us,
        )
    }
}
