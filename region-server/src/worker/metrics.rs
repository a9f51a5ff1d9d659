//! What a region server counts.

use std::time::Duration;

use horizon_service::metrics::{Counter, Family, Gauge, Histogram, Metrics, SECONDS};

/// One histogram for each phase of a takeover.
type ByPhase = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// All of them.
pub(crate) struct WorkerMetrics {
    pub(super) step_seconds: Histogram,
    pub(super) overruns: Counter,
    pub(super) frames: Counter,
    pub(super) frame_bytes: Counter,
    pub(super) arrivals: Counter,
    pub(super) groups_split: Counter,
    pub(super) cas_calls: Counter,
    pub(super) cas_requests: Counter,
    pub(super) tick: Gauge,
    pub(super) enter_bytes: Counter,
    pub(super) update_bytes: Counter,
    pub(super) leave_bytes: Counter,
    pub(super) channel_bytes: [Counter; 4],
    pub(super) updates: Counter,
    pub(super) deferred: Counter,
    pub(super) load_level: Gauge,
    pub(super) degraded: Gauge,
    pub(super) stalled: Gauge,
    pub(super) stalls: Counter,
    pub(super) recovery: ByPhase,
}

impl WorkerMetrics {
    /// A phase of taking a region over took so long.
    pub(crate) fn recovered(&self, phase: &'static str, took: Duration) {
        self.recovery.get_or_create(&[("phase", phase)]).observe(took.as_secs_f64());
    }

    pub(crate) fn register(metrics: &Metrics) -> Self {
        let recovery = Family::new_with_constructor(in_seconds as fn() -> Histogram);
        metrics.register("region_recovery_seconds", "Taking a region over, by phase", recovery.clone());
        Self {
            recovery,
            degraded: metrics
                .gauge("region_degraded", "1 while the lease is not certain: nothing is durable"),
            stalled: metrics.gauge("region_stalled", "1 while no step has ended for three periods"),
            stalls: metrics.counter("region_stalls", "Times that no step ended for three periods"),
            step_seconds: metrics.histogram("region_step_seconds", "Work time of a step", &SECONDS),
            overruns: metrics.counter("region_step_overruns", "Steps that began late or took too long"),
            frames: metrics.counter("region_state_frames", "State frames made for clients"),
            frame_bytes: metrics
                .counter("region_state_bytes", "Bytes of state frames before the edge's header"),
            arrivals: metrics.counter("region_arrivals", "Entities that arrived by handoff"),
            groups_split: metrics.counter(
                "region_groups_split",
                "Members of groups that acted without what they are attached to: a defect",
            ),
            cas_calls: metrics.counter("region_cas_calls", "Calls of the store with compare-and-sets"),
            cas_requests: metrics.counter("region_cas_requests", "Compare-and-sets in them"),
            tick: metrics.gauge("region_tick", "World tick of the last step"),
            enter_bytes: metrics.counter("gorc_enter_bytes", "Bytes that told of objects that appeared"),
            update_bytes: metrics.counter("gorc_update_bytes", "Bytes that told of objects that changed"),
            leave_bytes: metrics.counter("gorc_leave_bytes", "Bytes that told of objects that went"),
            channel_bytes: ["critical", "detailed", "cosmetic", "metadata"].map(|channel| {
                metrics.counter(&format!("gorc_{channel}_bytes"), "State bytes on this channel")
            }),
            updates: metrics.counter("gorc_updates", "Updates told, to clients and neighbours"),
            deferred: metrics.counter("gorc_deferred", "Entries that waited a step for bytes"),
            load_level: metrics
                .gauge("region_load_level", "How much less is told because steps take too long, 0 to 8"),
        }
    }
}

fn in_seconds() -> Histogram {
    Histogram::new(SECONDS.iter().copied())
}
