//! Whether the store answers, for people: a gauge, one line in the log at each change, the status and the page.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use horizon_service::metrics::Gauge;

/// What this process knows of its store.
#[derive(Debug)]
pub struct StoreStanding {
    up: Gauge,
    /// The last answer, where that is too long ago.
    away_since: Mutex<Option<Instant>>,
}

impl StoreStanding {
    /// One that answers; `up` follows from now on.
    pub fn new(up: Gauge) -> Self {
        up.set(1);
        Self { up, away_since: Mutex::new(None) }
    }

    /// For how long it has not answered; `None` while it does.
    pub fn away(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    /// It answered.
    pub fn answered(&self) {
        let Some(since) = self.since().take() else { return };
        self.up.set(1);
        let away_seconds = since.elapsed().as_secs_f64();
        tracing::info!(
            away_seconds,
            "the store is back: players can join again, and regions go on handing over"
        );
    }

    /// Nothing was answered since then, for too long.
    pub fn silent(&self, since: Instant) {
        let mut away = self.since();
        if away.is_none() {
            *away = Some(since);
            self.up.set(0);
            tracing::warn!(
                "the store is out of reach: play goes on, nothing becomes durable, nobody joins or is handed over"
            );
        }
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.away_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_follows_and_the_time_counts_from_the_last_answer() {
        let up = Gauge::default();
        let standing = StoreStanding::new(up.clone());
        assert_eq!((up.get(), standing.away()), (1, None));
        let asked = Instant::now();
        standing.silent(asked);
        standing.silent(asked + Duration::from_secs(60));
        assert_eq!(up.get(), 0);
        assert!(standing.away().is_some_and(|away| away <= asked.elapsed()), "the first one counts");
        standing.answered();
        assert_eq!((up.get(), standing.away()), (1, None));
    }
}
