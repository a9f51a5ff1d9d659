//! How far pictures are from the truth, counted by the millimetre.

/// Millimetres that are told apart; what is further off counts as this.
const MOST_MM: usize = 100_000;

/// Distances between what is drawn and what is true.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    /// By millimetres, rounded up.
    counts: Vec<u64>,
    total: u64,
}

impl Errors {
    /// One more.
    pub fn add(&mut self, metres: f64) {
        let mm = ((metres * 1000.0).ceil() as usize).min(MOST_MM);
        if self.counts.len() <= mm {
            self.counts.resize(mm + 1, 0);
        }
        self.counts[mm] += 1;
        self.total += 1;
    }

    /// Those of another, too.
    pub fn add_all(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Metres that `share` of them do not exceed, to the millimetre; `None` of nothing.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let mm = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        mm.map(|mm| mm as f64 / 1000.0)
    }

    /// The largest in metres, to the millimetre.
    pub fn max(&self) -> Option<f64> {
        self.counts.len().checked_sub(1).map(|mm| mm as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_sums() {
        let mut errors = Errors::default();
        assert_eq!((errors.percentile(0.99), errors.max()), (None, None));
        for mm in 1..=100 {
            errors.add(f64::from(mm) / 1000.0 - 0.0005);
        }
        assert_eq!((errors.percentile(0.99), errors.max()), (Some(0.099), Some(0.1)));
        let mut both = Errors::default();
        both.add(1e9);
        both.add_all(&errors);
        assert_eq!((both.total(), both.percentile(0.5), both.max()), (101, Some(0.051), Some(100.0)));
    }
}
