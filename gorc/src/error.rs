//! What is wrong with a body.

/// A body that does not follow the specification: the sender is broken or hostile. What was visited
/// before the fault stands, so drop the sender or ask it for a reset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Ends too early.
    #[error("ends inside a value at byte {at}")]
    Truncated {
        /// Offset in the body.
        at: usize,
    },
    /// A number too large for its place, or not in its shortest form.
    #[error("the number at byte {at} is too large or not in its shortest form")]
    Varint {
        /// Offset in the body.
        at: usize,
    },
    /// A bit or byte that has no meaning there.
    #[error("a reserved bit is set at byte {at}")]
    Reserved {
        /// Offset in the body.
        at: usize,
    },
    /// No entries, or more than the rest of the body can hold.
    #[error("an impossible count at byte {at}")]
    Count {
        /// Offset in the body.
        at: usize,
    },
    /// Entity zero, beyond 64 bits, or not above the one before.
    #[error("entity ids do not rise at byte {at}")]
    Id {
        /// Offset in the body.
        at: usize,
    },
    /// A tick before the world began or after it ends.
    #[error("a tick outside the world's time at byte {at}")]
    Tick {
        /// Offset in the body.
        at: usize,
    },
    /// A position outside its cell.
    #[error("a position outside its cell at byte {at}")]
    Place {
        /// Offset in the body.
        at: usize,
    },
    /// Not JSON, or an entry without what it needs.
    #[error("not a state body: {0}")]
    Json(String),
}
