//! How one coordinate becomes the number of a column or of a row.

/// Cells along one axis.
///
/// Correct is any numbering that never falls while the coordinate rises: a query then looks from the
/// number of one end of its reach to that of the other and misses nothing, whatever was rounded.
#[derive(Debug, Default)]
pub(super) struct Axis {
    /// Metres at which cell 0 begins; zero where there are gaps.
    pub(super) origin: f32,
    /// Cells per metre.
    pub(super) inverse: f32,
    /// Cells, at most 2^24, so that each number is a float.
    pub(super) count: u32,
    /// The lowest and the highest coordinate there is.
    pub(super) low: f32,
    pub(super) high: f32,
    /// Where there are gaps, the steps of the lattice that someone stands on, rising.
    steps: Vec<f32>,
}

impl Axis {
    /// Numbers the cells of an axis without gaps, from the lowest coordinate to the highest.
    pub(super) fn fit(&mut self, low: f32, high: f32, inverse: f32) {
        self.steps.clear();
        (self.low, self.high) = (low, high);
        (self.origin, self.inverse) = (low, inverse);
        self.count = self.number(high).saturating_add(1);
    }

    /// Numbers those cells of the lattice through zero that one of `coordinates` lies in.
    pub(super) fn squeeze(&mut self, coordinates: impl Iterator<Item = f32>, inverse: f32) {
        (self.origin, self.inverse) = (0.0, inverse);
        self.steps.clear();
        self.steps.extend(coordinates.map(|at| step(at * inverse)));
        self.steps.sort_unstable_by(f32::total_cmp);
        self.steps.dedup();
        self.count = self.steps.len() as u32;
    }

    /// Makes cells twice as wide after [`Self::squeeze`].
    pub(super) fn widen(&mut self) {
        self.inverse *= 0.5;
        for at in &mut self.steps {
            *at = step(*at * 0.5);
        }
        self.steps.dedup();
        self.count = self.steps.len() as u32;
    }

    /// Whether cells without anyone are left out.
    pub(super) fn has_gaps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The cell of a coordinate from the lowest to the highest.
    #[inline(always)]
    pub(super) fn number(&self, at: f32) -> u32 {
        ((at - self.origin) * self.inverse) as u32
    }

    /// The cell of any coordinate, or the last below it, or the first.
    pub(super) fn rank(&self, at: f32) -> u32 {
        let at = step(at * self.inverse);
        (self.steps.partition_point(|&step| step <= at) as u32).saturating_sub(1)
    }
}

/// The whole number at or below; never the negative zero, which would sort as another number.
fn step(at: f32) -> f32 {
    at.floor() + 0.0
}
