//! Figures of a process, as Prometheus reads them.
//!
//! Names begin with the part that counts (`atlas_sessions`), carry base units (`_seconds`,
//! `_bytes`) and have no ids in labels. Counters get their `_total` from the encoding.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::text;
pub use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::{Metric, Registry};

/// Upper bounds in seconds for the time of a step or a request, 100 µs to 10 s.
pub const SECONDS: [f64; 16] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 1.6e-2, 2.5e-2, 3.3e-2, 5e-2, 0.1, 0.25, 1.0, 2.5, 10.0];

/// A gauge of something that is not counted in whole numbers.
pub type FractionGauge = Gauge<f64, AtomicU64>;

/// All figures of one process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<RwLock<Registry>>,
}

impl Metrics {
    /// No figures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `metric` under `name`. Keep a clone of it to count with.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// A new counter; `name` without `_total`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.register(name, help, counter.clone());
        counter
    }

    /// A new gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.register(name, help, gauge.clone());
        gauge
    }

    /// A new gauge of fractions.
    pub fn fraction_gauge(&self, name: &str, help: &str) -> FractionGauge {
        let gauge = FractionGauge::default();
        self.register(name, help, gauge.clone());
        gauge
    }

    /// A new histogram with these upper bounds, such as [`SECONDS`].
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let histogram = Histogram::new(bounds.iter().copied());
        self.register(name, help, histogram.clone());
        histogram
    }

    /// The OpenMetrics text of all figures.
    pub fn encode(&self) -> String {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a string does not fail");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_encoded_as_they_stand() {
        let metrics = Metrics::new();
        let sessions = metrics.gauge("atlas_sessions", "Open sessions");
        let handoffs = metrics.counter("region_handoffs", "Finished handoffs");
        metrics.histogram("region_tick_seconds", "Work of one step", &SECONDS).observe(0.002);
        sessions.set(3);
        handoffs.inc();
        let text = metrics.encode();
        for line in
            ["atlas_sessions 3", "region_handoffs_total 1", "region_tick_seconds_bucket{le=\"0.0025\"} 1"]
        {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
