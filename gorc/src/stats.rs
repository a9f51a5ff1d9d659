//! What a region sent, counted.

/// What was sent since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Bytes by channel; leaves count as metadata.
    pub channel_bytes: [u64; 4],
    /// Bytes of enters.
    pub enter_bytes: u64,
    /// Bytes of updates.
    pub update_bytes: u64,
    /// Bytes of leaves.
    pub leave_bytes: u64,
    /// Enters told.
    pub enters: u64,
    /// Updates told.
    pub updates: u64,
    /// Leaves told.
    pub leaves: u64,
    /// Entries that had to wait for a later frame, counted once per step that they waited.
    pub deferred: u64,
}
