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
    /// A section twice, or after one that it must precede.
    #[error("a section out of its order at byte {at}")]
    Order {
        /// Offset in the body.
        at: usize,
    },
    /// No entries, or more than the rest of the body can hold.
    #[error("an impossible count at byte {at}")]
    Count {
        /// Offset in the body.
        at: usize,
    },
    /// An alias above 65535.
    #[error("an alias above 65535 at byte {at}")]
    Alias {
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
    /// A position outside the world.
    #[error("a position outside the world at byte {at}")]
    Place {
        /// Offset in the body.
        at: usize,
    },
    /// A velocity above the limit, or said although it is zero.
    #[error("a velocity above the limit, or said although it is zero, at byte {at}")]
    Velocity {
        /// Offset in the body.
        at: usize,
    },
    /// Cells of the density layer that do not rise, lie outside the world, or are empty.
    #[error("an impossible cell of the density layer at byte {at}")]
    Density {
        /// Offset in the body.
        at: usize,
    },
    /// Not JSON, or an entry without what it needs.
    #[error("not a state body: {0}")]
    Json(String),
}
