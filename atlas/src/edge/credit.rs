//! When credit for state frames goes back to the region.

use std::time::Duration;

use super::outbox::CREDIT;

/// Regions send at most this many frames a second: nothing is held back then.
const UNPACED_HZ: u32 = 60;

/// Credit that came free and is due later, so that a client gets at most so many frames a second.
#[derive(Debug)]
pub struct CreditPace {
    period: Option<Duration>,
    owed: u8,
    next_at: Duration,
}

impl CreditPace {
    /// At most `frames_per_second` frames, from `now` on.
    pub fn new(now: Duration, frames_per_second: u32) -> Self {
        let paced = frames_per_second < UNPACED_HZ;
        let period = paced.then(|| Duration::from_secs(1) / frames_per_second.max(1));
        Self { period, owed: 0, next_at: now }
    }

    /// `frames` frames are with the client.
    pub fn freed(&mut self, frames: u8) {
        self.owed = self.owed.saturating_add(frames);
    }

    /// What goes back to the region at `now`.
    pub fn due(&mut self, now: Duration) -> u8 {
        let Some(period) = self.period else { return std::mem::take(&mut self.owed) };
        if self.owed == 0 || now < self.next_at {
            return 0;
        }
        self.owed = (self.owed - 1).min(CREDIT);
        self.next_at = self.next_at.max(now) + period;
        1
    }

    /// When to ask again.
    pub fn deadline(&self) -> Option<Duration> {
        (self.owed > 0).then_some(self.next_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn credit_goes_back_at_once_unless_frames_are_few() {
        let mut free = CreditPace::new(ms(0), 60);
        free.freed(2);
        assert_eq!((free.due(ms(0)), free.deadline()), (2, None));

        let mut paced = CreditPace::new(ms(0), 2);
        paced.freed(2);
        let given: Vec<u64> = (0..=1500).step_by(100).filter(|&at| paced.due(ms(at)) > 0).collect();
        assert_eq!(given, [0, 500]);
        assert_eq!(paced.deadline(), None, "everything went back");
        paced.freed(1);
        assert_eq!(paced.due(ms(5000)), 1);
        paced.freed(1);
        assert_eq!((paced.due(ms(5400)), paced.deadline()), (0, Some(ms(5500))));
    }
}
