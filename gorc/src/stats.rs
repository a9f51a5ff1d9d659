//! What a region sent, counted.

/// What was sent since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes by channel; leaves count as metadata.
    pub channel_bytes: [u64; 4],
    /// Enters told.
    pub enters: u64,
    /// Updates told.
    pub updates: u64,
    /// Leaves told.
    pub leaves: u64,
}
