//! Guards that a model leaves out, one at a time, and the properties that have to notice.
//!
//! Names are those of `handoff/src/mutant.rs` where the machines have the same guard.

/// One guard, named for what happens without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table below says it of each")]
#[non_exhaustive]
pub enum Mutant {
    ResumeWithoutCas,
    JournalNotFenced,
    PruneOnApplied,
    FinalBeforeFlush,
    RecoverWithoutBump,
    ActivateOnFinal,
    CopyInsteadOfFinal,
    NoTombstone,
    ResumeOnPromise,
    AnyRecordResumes,
    NoLeaseCheck,
    NeverReclaims,
    AsksOnce,
    GiveWhileFrozen,
    NoInboxMemory,
    TakenBeforeDurable,
    MembersOneByOne,
    LinksForeignMember,
    FreezesPartOfGroup,
    NoInboxDedup,
    HighWaterSkips,
    HighWaterStaysBehind,
    SentBeforeJournal,
    TakenInMemory,
    DropsOnSend,
    GenerationNotRaised,
    ReportsIgnored,
    LowestEpochWins,
    ServesAfterLoss,
    LeaseBeforeRecords,
    CasBeforeJournal,
    KeepBeforeJournal,
    ReadsBeforeLease,
    HashNotCompared,
    StepsBeyondSwitch,
    EffectsBeforeCommit,
    AcksBeforeCommit,
    KeepsAhead,
    NoCut,
    LastRecordWins,
    SkipLowerLease,
    AckWithoutConfirm,
    MoveWritesSession,
    NoNonce,
}

/// What is known of one mutant.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub mutant: Mutant,
    /// The model that is asked.
    pub model: &'static str,
    /// First words of the properties of which one must fail.
    pub killers: &'static [&'static str],
    /// What happens without the guard.
    pub about: &'static str,
}

const fn row(
    mutant: Mutant,
    model: &'static str,
    killers: &'static [&'static str],
    about: &'static str,
) -> Row {
    Row { mutant, model, killers, about }
}

/// All of them.
pub const MUTANTS: &[Row] = &[
    row(Mutant::ResumeWithoutCas, "crossing", &["I1c", "I5"], "a source that hears nothing simply goes on"),
    row(
        Mutant::JournalNotFenced,
        "crossing",
        &["I3", "I5"],
        "a journal takes what a superseded holder writes",
    ),
    row(
        Mutant::PruneOnApplied,
        "crossing",
        &["I3"],
        "a client forgets inputs that were applied, not durable",
    ),
    row(
        Mutant::FinalBeforeFlush,
        "crossing",
        &["I3", "I5"],
        "the final leaves before the journal is durable",
    ),
    row(Mutant::RecoverWithoutBump, "crossing", &["I1", "I1b"], "a successor begins at the old epoch"),
    row(Mutant::ActivateOnFinal, "crossing", &["I1", "I1b", "I1c"], "a target acts on the final message"),
    row(Mutant::CopyInsteadOfFinal, "crossing", &["I3"], "a target commits its older copy"),
    row(Mutant::NoTombstone, "crossing", &["I1c"], "a target forgets which epochs it has seen"),
    row(
        Mutant::ResumeOnPromise,
        "crossing",
        &["I3", "I5", "I1c"],
        "a source goes on because the target said no",
    ),
    row(
        Mutant::AnyRecordResumes,
        "corner",
        &["I1", "I1b", "I1c"],
        "a source takes any newer record for its own",
    ),
    row(
        Mutant::NoLeaseCheck,
        "liveness",
        &["I8", "I8b", "I8c"],
        "the store takes a commit of a superseded holder",
    ),
    row(Mutant::NeverReclaims, "liveness", &["I8"], "a frozen source waits for ever"),
    row(Mutant::AsksOnce, "liveness", &["I8"], "a target whose commit got lost does not ask again"),
    row(Mutant::GiveWhileFrozen, "effects", &["I5", "I9"], "a frozen player is given something"),
    row(Mutant::NoInboxMemory, "effects", &["I5"], "a post that comes twice counts twice"),
    row(
        Mutant::TakenBeforeDurable,
        "effects",
        &["I5"],
        "the outbox is emptied before the receiver is durable",
    ),
    row(Mutant::MembersOneByOne, "group", &["I16"], "the store changes the members' records one by one"),
    row(Mutant::LinksForeignMember, "group", &["I16", "I1"], "a rider gets on who is owned elsewhere"),
    row(Mutant::FreezesPartOfGroup, "group", &["I16"], "a vehicle is frozen without its rider"),
    row(Mutant::NoInboxDedup, "transfer", &["I4", "I5"], "a coin that comes twice counts twice"),
    row(Mutant::HighWaterSkips, "transfer", &["I4", "I5"], "a number above the next one is applied"),
    row(
        Mutant::HighWaterStaysBehind,
        "transfer",
        &["I4", "I5"],
        "what a receiver has had is not in its capsule",
    ),
    row(
        Mutant::SentBeforeJournal,
        "transfer",
        &["I15", "I5"],
        "a coin is sent before the sender's journal is durable",
    ),
    row(Mutant::TakenInMemory, "transfer", &["I5"], "the outbox is emptied before the receiver is durable"),
    row(Mutant::DropsOnSend, "transfer", &["I5"], "the outbox is emptied when its coin is sent"),
    row(
        Mutant::GenerationNotRaised,
        "generation",
        &["I1", "I2"],
        "a recovered store goes on in its old generation",
    ),
    row(Mutant::ReportsIgnored, "generation", &["I3"], "a recovered store believes its own records"),
    row(
        Mutant::LowestEpochWins,
        "generation",
        &["I3"],
        "of two that speak of a player the lower epoch counts",
    ),
    row(Mutant::ServesAfterLoss, "generation", &["I1", "I2", "I3"], "a store on older data serves at once"),
    row(
        Mutant::LeaseBeforeRecords,
        "generation",
        &["I3"],
        "a new lease counts before the region knows what it owns",
    ),
    row(Mutant::CasBeforeJournal, "hashes", &["I3"], "a target commits a hash whose capsule is not durable"),
    row(
        Mutant::KeepBeforeJournal,
        "hashes",
        &["I3"],
        "a source keeps a state that its journal does not have",
    ),
    row(
        Mutant::ReadsBeforeLease,
        "hashes",
        &["I3", "I3b"],
        "a successor reads before it has raised the lease",
    ),
    row(Mutant::HashNotCompared, "hashes", &["I4"], "a target commits what it put together, unproven"),
    row(Mutant::StepsBeyondSwitch, "switch", &["I7"], "the source lives a tick that is the target's"),
    row(Mutant::EffectsBeforeCommit, "switch", &["I7", "I7b"], "the target shows a tick before it has won"),
    row(Mutant::AcksBeforeCommit, "switch", &["I3"], "the target acknowledges before it has won"),
    row(
        Mutant::KeepsAhead,
        "switch",
        &["I3", "I7", "I7b"],
        "a target that lost begins again with what it did ahead",
    ),
    row(Mutant::NoCut, "journal", &["I3", "I5"], "whoever reads a journal believes all of it"),
    row(Mutant::LastRecordWins, "journal", &["I3", "I5"], "no cut, and the last record counts"),
    row(
        Mutant::SkipLowerLease,
        "journal",
        &["I3", "I5"],
        "no cut, and a lower lease is passed over after a higher",
    ),
    row(
        Mutant::AckWithoutConfirm,
        "journal",
        &["I3", "I5"],
        "an acknowledgement leaves after the sync alone",
    ),
    row(Mutant::MoveWritesSession, "session", &["I2", "I8"], "a move writes the session epoch of the freeze"),
    row(Mutant::NoNonce, "session", &["I8"], "a resume that is repeated is a stranger's"),
];

impl Mutant {
    /// As in reports and on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}
