//! Where a query looks.

/// Neighbouring points, by their places in grid order: from `start` up to but not with `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}
