//! Guards that a test may switch off, one at a time, to show that a property notices.
//!
//! Outside tests and the feature `mutants` no guard can be switched off: its switch is a
//! constant `false` that the compiler removes.

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
        self.broken == Some(guard)
    }

    #[cfg(not(any(test, feature = "mutants")))]
    #[allow(clippy::unused_self, reason = "same shape as in the tested build")]
    pub(crate) const fn off(self, _guard: Mutant) -> bool {
        false
    }
}
