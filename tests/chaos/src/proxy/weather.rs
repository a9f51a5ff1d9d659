//! What a road does to what passes.

use std::time::Duration;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the dialler to the target.
    Up,
    /// From the target to the dialler.
    Down,
}

/// One way or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// Only this one.
    Only(Direction),
    /// Both.
    Both,
}

/// What happens to datagrams and bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weather {
    /// Datagrams of a hundred that are lost.
    pub loss_percent: f64,
    /// Datagrams of a hundred that arrive twice.
    pub duplicate_percent: f64,
    /// Everything arrives this much later.
    pub delay: Duration,
    /// A datagram arrives up to this much later still, so that they overtake each other. Of no effect on streams.
    pub jitter: Duration,
    /// Nothing arrives.
    pub cut: bool,
}

impl Direction {
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Up => 0,
            Self::Down => 1,
        }
    }
}

impl Directions {
    /// Each of them.
    pub(crate) fn each(self) -> impl Iterator<Item = Direction> {
        let both = [Direction::Up, Direction::Down];
        both.into_iter().filter(move |direction| match self {
            Self::Only(only) => only == *direction,
            Self::Both => true,
        })
    }
}

impl Weather {
    /// Everything arrives, once, at once.
    pub const FAIR: Self = Self {
        loss_percent: 0.0,
        duplicate_percent: 0.0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        cut: false,
    };

    /// Nothing arrives.
    pub const CUT: Self = Self { cut: true, ..Self::FAIR };
}
