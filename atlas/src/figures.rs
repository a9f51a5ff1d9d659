//! What an Atlas process counts.

use horizon_protocol::client::{ClosingReason, RefusedReason};
use horizon_service::metrics::{Counter, Family, FractionGauge, Gauge, Histogram, Metrics, SECONDS};

/// Overhang: little above the 2 m at which handoffs begin, or for as long as nobody is ready.
const METRES: [f64; 10] = [1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 25.0, 100.0, 1_000.0];

/// One label: the word of a reason.
type Reason = [(&'static str, &'static str); 1];

/// All figures. Clones share them.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Open sessions.
    pub sessions: Gauge,
    /// Connections refused before TLS.
    pub turned_away: Counter,
    refused: Family<Reason, Counter>,
    closed: Family<Reason, Counter>,
    decisions: Family<Reason, Counter>,
    /// Reliable inputs of clients.
    pub inputs: Counter,
    /// Messages of clients that could not be read.
    pub invalid_messages: Counter,
    /// Reliable events from regions.
    pub events: Counter,
    /// State frames from regions.
    pub state_frames: Counter,
    /// Frames that a region sent beyond its credit.
    pub frames_beyond_credit: Counter,
    /// Frames that never came, each answered with a complete picture.
    pub frames_missing: Counter,
    /// Bytes of messages to clients, before TLS.
    pub sent_bytes: Counter,
    /// Registered workers.
    pub workers: Gauge,
    /// Served regions.
    pub regions: Gauge,
    /// Served regions that stand still.
    pub stalled: Gauge,
    /// Leases that were ended because their region server had ended or was not heard any more.
    pub evictions: Counter,
    /// Regions placed because somebody was expected.
    pub spawned_by_prediction: Gauge,
    /// Bodies near a border.
    pub predicted_bodies: Gauge,
    /// Finished handoffs.
    pub handoffs: Counter,
    /// Handoffs whose target was not ready when it was needed.
    pub late_handoffs: Counter,
    /// Freeze to activation.
    pub handoff_seconds: Histogram,
    /// How far beyond the border whoever crossed was at the freeze, metres; jumps left out.
    pub handoff_overhang: Histogram,
    /// How far beyond a border somebody is now whom the region before still owns, metres.
    pub overhang: FractionGauge,
}

impl Figures {
    /// Registers every figure.
    pub fn new(metrics: &Metrics) -> Self {
        let (refused, closed, decisions) = (Family::default(), Family::default(), Family::default());
        metrics.register(
            "atlas_director_decisions",
            "What the director decided, by kind; with dry_run what it would have done",
            Family::clone(&decisions),
        );
        metrics.register("atlas_refused", "Hellos refused, by reason", Family::clone(&refused));
        metrics.register(
            "atlas_closed",
            "Connections closed by the server, by reason",
            Family::clone(&closed),
        );
        Self {
            sessions: metrics.gauge("atlas_sessions", "Open sessions"),
            turned_away: metrics.counter("atlas_turned_away", "Connections refused before TLS"),
            refused,
            closed,
            decisions,
            inputs: metrics.counter("atlas_inputs", "Reliable inputs of clients"),
            invalid_messages: metrics
                .counter("atlas_invalid_messages", "Client messages that cannot be read"),
            events: metrics.counter("atlas_events", "Reliable events from regions"),
            state_frames: metrics.counter("atlas_state_frames", "State frames from regions"),
            frames_beyond_credit: metrics.counter(
                "atlas_frames_beyond_credit",
                "State frames dropped because a region ignored credit",
            ),
            frames_missing: metrics.counter("atlas_frames_missing", "State frames that never came"),
            sent_bytes: metrics.counter("atlas_sent_bytes", "Bytes of messages to clients, before TLS"),
            workers: metrics.gauge("atlas_workers", "Registered region servers"),
            regions: metrics.gauge("atlas_regions", "Served regions"),
            stalled: metrics.gauge("atlas_stalled_regions", "Served regions that stand still"),
            evictions: metrics
                .counter("atlas_evictions", "Leases ended because their holder ended or fell silent"),
            spawned_by_prediction: metrics
                .gauge("atlas_spawned_by_prediction", "Regions placed because somebody was expected"),
            predicted_bodies: metrics.gauge("atlas_predicted_bodies", "Bodies near a border"),
            handoffs: metrics.counter("atlas_handoffs", "Finished handoffs"),
            late_handoffs: metrics
                .counter("atlas_late_handoffs", "Handoffs whose target was not ready in time"),
            handoff_seconds: metrics.histogram("atlas_handoff_seconds", "Freeze to activation", &SECONDS),
            handoff_overhang: metrics.histogram(
                "atlas_handoff_overhang_metres",
                "How far beyond the border those who crossed were at the freeze, jumps left out",
                &METRES,
            ),
            overhang: metrics.fraction_gauge(
                "atlas_overhang_metres",
                "How far beyond a border somebody is whom the region before still owns",
            ),
        }
    }

    /// Counts a refused hello.
    pub fn refused(&self, reason: RefusedReason) {
        self.refused.get_or_create(&[("reason", reason.word())]).inc();
    }

    /// Counts a decision of the director.
    pub fn decided(&self, decision: &'static str) {
        self.decisions.get_or_create(&[("decision", decision)]).inc();
    }

    /// Counts a connection that was closed on purpose.
    pub fn closed(&self, reason: ClosingReason) {
        self.closed.get_or_create(&[("reason", reason.word())]).inc();
    }
}
