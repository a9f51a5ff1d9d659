//! How one coordinate becomes the number of a column or of a row.

/// Cells along one axis.
///
/// Any numbering is right that never falls while the coordinate rises: a query looks from the number of
/// one end of its reach to that of the other and misses nothing, whatever was rounded.
#[derive(Debug, Default)]
pub(super) struct Axis {
    line: Line,
    count: u32,
    /// Where lines without anyone are left out: the steps of the lattice that someone stands on, rising.
    steps: Vec<f32>,
}

/// A scale without gaps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    /// Metres at which cell 0 begins.
    origin: f32,
    /// Cells per metre.
    pub(super) inverse: f32,
    /// Number of the last cell; never above [`Axis::MAX`].
    last: f32,
}

impl Line {
    /// Where a coordinate lies, in cells.
    #[inline(always)]
    pub(super) fn measure(self, at: f32) -> f32 {
        (at - self.origin) * self.inverse
    }

    /// How many cells there are.
    #[inline(always)]
    pub(super) fn count(self) -> f32 {
        self.last + 1.0
    }

    /// The cell at a measure, which may be outside. What is not a number is in the first cell.
    #[inline(always)]
    pub(super) fn cell_or_first(self, at: f32) -> u32 {
        let at = if at > 0.0 { at } else { 0.0 };
        let at = if at < self.last { at } else { self.last };
        // SAFETY: from zero to 2^24.
        unsafe { at.to_int_unchecked::<i32>() as u32 }
    }

    /// The same, but what is not a number is in the last cell.
    #[inline(always)]
    pub(super) fn cell_or_last(self, at: f32) -> u32 {
        let at = if at < self.last { at } else { self.last };
        let at = if at > 0.0 { at } else { 0.0 };
        // SAFETY: from zero to 2^24.
        unsafe { at.to_int_unchecked::<i32>() as u32 }
    }
}

impl Axis {
    /// The most cells there can be: numbers up to it are exact in `f32`.
    pub(super) const MAX: u32 = 1 << 24;

    /// Numbers the cells from the lowest coordinate to the highest, and tells whether they are no more
    /// than [`Self::MAX`]. If not, fit or squeeze again.
    pub(super) fn fit(&mut self, low: f32, high: f32, inverse: f32) -> bool {
        self.steps.clear();
        self.line = Line { origin: low, inverse, last: 0.0 };
        // Even if it is infinite: the cast goes up to the largest integer.
        let last = self.line.measure(high) as u32;
        self.line.last = last.min(Self::MAX) as f32;
        self.count = last.saturating_add(1);
        self.count <= Self::MAX
    }

    /// Numbers those cells of the lattice through zero that one of `coordinates` lies in.
    pub(super) fn squeeze(&mut self, coordinates: impl Iterator<Item = f32>, inverse: f32) {
        self.line = Line { origin: 0.0, inverse, last: 0.0 };
        self.steps.clear();
        self.steps.extend(coordinates.map(|at| (at * inverse).floor()));
        self.steps.sort_unstable_by(f32::total_cmp);
        self.count_steps();
    }

    /// Makes cells twice as wide after [`Self::squeeze`].
    pub(super) fn widen(&mut self) {
        self.line.inverse *= 0.5;
        for at in &mut self.steps {
            *at = (*at * 0.5).floor();
        }
        self.count_steps();
    }

    fn count_steps(&mut self) {
        self.steps.dedup();
        self.count = u32::try_from(self.steps.len()).expect("no more steps than slots");
    }

    /// How many cells there are.
    #[inline(always)]
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether lines without anyone are left out.
    #[inline(always)]
    pub(super) fn has_gaps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// After [`Self::fit`], what measures coordinates: the whole part is the number of a cell.
    #[inline(always)]
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// After [`Self::squeeze`], the cell that a coordinate lies in or above, or the first.
    pub(super) fn rank(&self, at: f32) -> u32 {
        let at = (at * self.line.inverse).floor();
        (self.steps.partition_point(|&step| step <= at) as u32).saturating_sub(1)
    }
}
