//! Why bytes from the other side are not a message.

/// Bytes or text that are no valid message. The peer is at fault: count it, and close a connection that
/// keeps sending such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field}, byte {at}: {problem}")]
pub struct DecodeError {
    /// Which message, as `hello`; `message` where not even that can be told.
    pub message: &'static str,
    /// Which field of it, as in `docs/protocol.md`.
    pub field: &'static str,
    /// Offset of the offending byte. In the text spelling, where the parser stopped, or 0 where a
    /// well-formed value breaks a limit.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The message ends inside the field.
    #[error("ends here")]
    Truncated,
    /// Bytes follow the last field.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// A number that does not fit the field or is not among its allowed values.
    #[error("{0} is not allowed here")]
    Value(u64),
    /// Longer or more than the limit.
    #[error("{found} exceeds the limit of {max}")]
    TooLong {
        /// What the message says.
        found: usize,
        /// The limit, in bytes or items.
        max: usize,
    },
    /// A text that is not UTF-8.
    #[error("is not UTF-8")]
    Utf8,
    /// NaN or infinite, or a position outside the lattice.
    #[error("is not a finite number within the world")]
    NotFinite,
    /// A hello of another protocol version; answer with a refusal that names both.
    #[error("speaks version {theirs}, this build {}", super::VERSION)]
    Version {
        /// What the peer speaks.
        theirs: u16,
    },
    /// A text that is not the JSON we expect; the parser's own words.
    #[error("{0}")]
    Json(String),
}
