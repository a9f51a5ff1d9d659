//! What a query found.

use super::kernel::LANES;
use super::span::Span;

/// The hits of the latest query, in grid order. Keep it: it holds its memory, and queries neither clear
/// it nor allocate once it has been large enough.
#[derive(Debug, Default)]
pub struct Hits {
    pub(super) len: usize,
    // Each as long as the room there is, of which the first `len` are hits.
    pub(super) slots: Vec<u32>,
    pub(super) squared: Vec<f32>,
    pub(super) bands: Vec<u8>,
    // Where the query looked.
    pub(super) spans: Vec<Span>,
}

impl Hits {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Who was hit.
    pub fn slots(&self) -> &[u32] {
        &self.slots[..self.len]
    }

    /// How many of the limits the squared distance of each exceeds: 0 within the first.
    pub fn bands(&self) -> &[u8] {
        &self.bands[..self.len]
    }

    /// How far away each is, in square metres.
    pub fn squared(&self) -> &[f32] {
        &self.squared[..self.len]
    }

    /// Makes room for as many hits as there are `candidates`, and for a whole vector behind the last.
    pub(super) fn reserve(&mut self, candidates: usize) {
        let room = candidates + LANES;
        if self.slots.len() < room {
            let room = room.next_power_of_two();
            self.slots.resize(room, 0);
            self.squared.resize(room, 0.0);
            self.bands.resize(room, 0);
        }
    }
}
