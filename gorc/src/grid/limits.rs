//! The distances a query sorts its hits by.

/// Why radii are no [`Limits`]. The caller's configuration is wrong.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LimitsError {
    /// None, or more than eight.
    #[error("{0} radii; one to eight are possible")]
    Count(usize),
    /// Negative, not a number, or below the one before.
    #[error("radius {at}, of {metres} m, is negative, not a number or below the one before")]
    Radius {
        /// Its place, from 0.
        at: usize,
        /// What it is.
        metres: f32,
    },
}

/// One to eight radii around an observer, rising. Worth keeping between queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// What lies behind the last one is infinite.
    squared: [f32; Self::MAX],
    count: usize,
    reach: f32,
}

impl Limits {
    /// The most radii there can be.
    pub const MAX: usize = 8;

    /// The bands within these radii, in metres, each no less than the one before. Radii whose square is
    /// too large for `f32`, from 1.8e19 m, are infinite.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if there are no radii or more than [`Self::MAX`], or if they do not rise from zero.
    pub fn new(radii: &[f32]) -> Result<Self, LimitsError> {
        let Some(&last) = radii.last().filter(|_| radii.len() <= Self::MAX) else {
            return Err(LimitsError::Count(radii.len()));
        };
        let mut squared = [f32::INFINITY; Self::MAX];
        let mut before = 0.0;
        for (at, (&metres, squared)) in radii.iter().zip(&mut squared).enumerate() {
            if metres.is_nan() || metres < before {
                return Err(LimitsError::Radius { at, metres });
            }
            *squared = metres * metres;
            before = metres;
        }
        // Rounding a difference and its square moves a distance by less than a millionth of itself, and
        // the square of less than 1e-19 m may vanish. Nothing beyond this can be a hit; unless all are.
        let near = last * (1.0 + 1e-6) + 1e-18;
        let reach = if (last * last).is_finite() { near } else { f32::INFINITY };
        Ok(Self { squared, count: radii.len(), reach })
    }

    /// The squared radii, in square metres.
    pub fn squared(&self) -> &[f32] {
        &self.squared[..self.count]
    }

    /// The squared radii without the last, which no hit exceeds.
    pub(super) fn inner(&self) -> &[f32] {
        &self.squared[..self.count - 1]
    }

    /// Square metres up to which a distance is a hit.
    pub(super) fn outer(&self) -> f32 {
        self.squared[self.count - 1]
    }

    /// Metres along any axis beyond which nothing is a hit.
    pub(super) fn reach(&self) -> f32 {
        self.reach
    }
}
