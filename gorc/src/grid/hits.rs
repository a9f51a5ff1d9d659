//! What a query found.

use super::kernel::{FREE, LANES, PAGE, Span};

/// The hits of the latest query, in grid order. Keep it: it holds its memory, and queries neither clear
/// it nor allocate once it has been large enough.
#[derive(Debug, Default)]
pub struct Hits {
    len: usize,
    slots: Placed<u32>,
    squared: Placed<f32>,
    bands: Vec<u8>,
    /// Where the query looks.
    spans: Vec<Span>,
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
        &self.slots.all[self.slots.from..][..self.len]
    }

    /// How many of the limits the squared distance of each exceeds: 0 within the first.
    pub fn bands(&self) -> &[u8] {
        &self.bands[..self.len]
    }

    /// How far away each is, in square metres.
    pub fn squared(&self) -> &[f32] {
        &self.squared.all[self.squared.from..][..self.len]
    }

    pub(super) fn spans_mut(&mut self) -> &mut Vec<Span> {
        &mut self.spans
    }

    /// The first of the spans, and room for slots, squared distances and bands of all points of so many
    /// `blocks`, and of one block more.
    #[inline(always)]
    pub(super) fn room(
        &mut self,
        spans: usize,
        blocks: usize,
    ) -> (&[Span], &mut [u32], &mut [f32], &mut [u8]) {
        let room = (blocks + 1) * LANES;
        if self.bands.len() < room {
            self.grow(room);
        }
        let Self { slots, squared, bands, spans: all, .. } = self;
        (&all[..spans], &mut slots.all[slots.from..], &mut squared.all[squared.from..], bands)
    }

    /// So many were written.
    #[inline(always)]
    pub(super) fn finish(&mut self, found: usize) {
        self.len = found;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, room: usize) {
        let room = room.next_power_of_two();
        self.slots.grow(room);
        self.squared.grow(room);
        self.bands.resize(room, 0);
    }
}

/// Numbers of four bytes that begin where no point lies, see [`FREE`].
#[derive(Debug, Default)]
struct Placed<T> {
    all: Vec<T>,
    from: usize,
}

impl<T: Copy + Default> Placed<T> {
    fn grow(&mut self, room: usize) {
        self.all.resize(room + PAGE / size_of::<T>(), T::default());
        let begin = self.all.as_ptr().addr();
        self.from = FREE.wrapping_sub(begin) % PAGE / size_of::<T>();
    }
}
