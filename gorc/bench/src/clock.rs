//! What this thread has cost, and how to tell many costs in one number.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this thread so far. Other programs on the same core do not count.
pub fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Processor time of `work` on this thread.
pub fn timed(work: impl FnOnce()) -> Duration {
    let from = thread_time();
    work();
    thread_time().saturating_sub(from)
}

/// Nanoseconds that one of `each` takes when `work` does them all: the best of `rounds`, since whatever
/// disturbs makes it slower.
pub fn best_ns(rounds: usize, each: usize, mut work: impl FnMut()) -> f64 {
    let best = (0..rounds).map(|_| timed(&mut work)).min().unwrap_or_default();
    best.as_nanos() as f64 / each.max(1) as f64
}

/// The value below which `share` of `values` lie, by nearest rank; `None` of nothing.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(100.0));
        assert_eq!(percentile(&values, 0.99), Some(198.0));
        assert_eq!(percentile(&values[..1], 0.99), Some(200.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
