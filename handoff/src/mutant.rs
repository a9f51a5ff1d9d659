//! Guards that a test may switch off, one at a time, to show that a property notices.
//!
//! Outside tests and the feature `mutants` no guard can be switched off: its switch is a
//! constant `false` that the compiler removes. Machines of a test have their own switches; a whole process
//! has one, [`switch_off`], which tests of real processes use and which reaches the guards of shells too.

#[cfg(feature = "mutants")]
use std::sync::OnceLock;

/// The guards that are off in this whole process.
#[cfg(feature = "mutants")]
static EVERYWHERE: OnceLock<Vec<Mutant>> = OnceLock::new();

/// One guard of the protocol, named for what happens without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutant {
    /// A source that hears nothing simply goes on, with no compare-and-set won.
    ResumeWithoutCas,
    /// The final state leaves before the journal is durable.
    FinalBeforeFlush,
    /// A target acts on the final message, with no compare-and-set won.
    ActivateOnFinal,
    /// A target forgets which epochs it has seen.
    NoTombstone,
    /// A target commits its own older copy in place of the final state.
    CopyInsteadOfFinal,
    /// A target asks for the record before the state is durable in its journal.
    CasBeforeStaged,
    /// A source takes any newer record for its own success.
    AnyRecordResumes,
    /// An input that was applied already is applied again.
    ApplyTwice,
    /// A source takes any hint for news.
    AnyHintCounts,
    /// Shell: a journal record counts as durable without asking whether the lease is still ours.
    JournalNotFenced,
    /// Shell: a journal record counts as durable before it is written.
    AckBeforeWrite,
    /// Shell: what could not be written counts as durable, and the process goes on.
    FailedWriteCounts,
    /// Shell: a successor takes back what its journal knows, whatever the store says of it.
    RecoveryIgnoresRecord,
    /// Shell: a region that was superseded plays on.
    NeverSilent,
    /// Shell: a region hands over, and takes, while its lease is not certain.
    CrossesDegraded,
    /// Store: a compare-and-set counts under any lease.
    NoLeaseCheck,
    /// Store: what was asked is answered before it is committed.
    AckBeforeCommit,
    /// Store: one that was started again decides at once and hears no reports.
    ReportsUnheard,
    /// Shell: a move is asked for, and the state that it names is written nowhere.
    MoveWithoutState,
    /// Edge: frames and attaches of any epoch pass.
    AnyEpochPasses,
    /// Edge: inputs that a region misses do not come again.
    NothingAgain,
    /// A message of another region that was taken already is taken again.
    RepeatPosts,
    /// What others do to a frozen entity changes it here.
    GiveWhileFrozen,
    /// A message of another region is taken before those with lower numbers.
    SkipPosts,
    /// Shell: a plugin that fails is the last that hears of an input.
    FailureEndsDelivery,
    /// Shell: an entity is offered and taken that no record can hold.
    AnySizeCrosses,
    /// A source freezes whoever is beyond the border, however little.
    NoHysteresis,
    /// One of a group is frozen while another one is not ready.
    FreezesPartOfGroup,
    /// Target and store: the members of a group are committed one by one.
    MembersOneByOne,
}

/// Every guard by the name that `HORIZON_MUTANT` has for it.
#[cfg(feature = "mutants")]
const NAMES: [(&str, Mutant); 27] = [
    ("resume-without-cas", Mutant::ResumeWithoutCas),
    ("final-before-flush", Mutant::FinalBeforeFlush),
    ("activate-on-final", Mutant::ActivateOnFinal),
    ("no-tombstone", Mutant::NoTombstone),
    ("copy-instead-of-final", Mutant::CopyInsteadOfFinal),
    ("any-record-resumes", Mutant::AnyRecordResumes),
    ("apply-twice", Mutant::ApplyTwice),
    ("any-hint-counts", Mutant::AnyHintCounts),
    ("journal-not-fenced", Mutant::JournalNotFenced),
    ("ack-before-write", Mutant::AckBeforeWrite),
    ("failed-write-counts", Mutant::FailedWriteCounts),
    ("recovery-ignores-record", Mutant::RecoveryIgnoresRecord),
    ("never-silent", Mutant::NeverSilent),
    ("crosses-degraded", Mutant::CrossesDegraded),
    ("no-lease-check", Mutant::NoLeaseCheck),
    ("ack-before-commit", Mutant::AckBeforeCommit),
    ("reports-unheard", Mutant::ReportsUnheard),
    ("move-without-state", Mutant::MoveWithoutState),
    ("any-epoch-passes", Mutant::AnyEpochPasses),
    ("nothing-again", Mutant::NothingAgain),
    ("repeat-posts", Mutant::RepeatPosts),
    ("skip-posts", Mutant::SkipPosts),
    ("failure-ends-delivery", Mutant::FailureEndsDelivery),
    ("any-size-crosses", Mutant::AnySizeCrosses),
    ("no-hysteresis", Mutant::NoHysteresis),
    ("freezes-part-of-group", Mutant::FreezesPartOfGroup),
    ("members-one-by-one", Mutant::MembersOneByOne),
];

/// Switches guards off in this process, for good: one by its name, or several with `+` between where each would be enough.
///
/// # Panics
///
/// Where there is no guard of this name, or others are off already: such a test would show nothing.
#[cfg(feature = "mutants")]
pub fn switch_off(names: &str) {
    let find = |name: &str| {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no guard is called {name:?}")).1
    };
    let guards: Vec<Mutant> = names.split('+').map(find).collect();
    assert!(
        *EVERYWHERE.get_or_init(|| guards.clone()) == guards,
        "guards of a process are switched off once"
    );
}

/// Whether a guard is off in this whole process.
#[cfg(feature = "mutants")]
pub fn is_off(guard: Mutant) -> bool {
    EVERYWHERE.get().is_some_and(|guards| guards.contains(&guard))
}

/// Whether a guard is off in this whole process: never, in this build.
#[cfg(not(feature = "mutants"))]
pub const fn is_off(_guard: Mutant) -> bool {
    false
}

/// Which guard of one machine is off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Switch {
    #[cfg(any(test, feature = "mutants"))]
    broken: Option<Mutant>,
}

impl Switch {
    #[cfg(any(test, feature = "mutants"))]
    pub(crate) const fn without(mutant: Mutant) -> Self {
        Self { broken: Some(mutant) }
    }

    #[cfg(any(test, feature = "mutants"))]
    pub(crate) fn off(self, guard: Mutant) -> bool {
        self.broken == Some(guard) || is_off(guard)
    }

    #[cfg(not(any(test, feature = "mutants")))]
    #[allow(clippy::unused_self, reason = "same shape as in the tested build")]
    pub(crate) const fn off(self, _guard: Mutant) -> bool {
        false
    }
}
