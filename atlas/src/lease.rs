//! The right to direct: taken where nobody has it, kept while the store confirms it, and given up in time.
//!
//! ```text
//!              granted             not confirmed for four fifths of it
//!   Unknown ──────────────▶ Here ───────────────────────────────────────▶ Unknown
//!      │                     │ another edge was granted it
//!      └──▶ Elsewhere ◀──────┘
//! ```
//!
//! An edge asks five times within a lease, whether it directs or not: so another one follows who is silent
//! within the lease and a fifth of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use horizon_model::Epoch;
use horizon_service::admin::Readiness;
use horizon_state_store::{Report, StoreError};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::edge::Edge;
use crate::inbox::ToHub;

/// A clock that may be off by more than this follows nobody.
const CLOCK_KNOWN: Duration = Duration::from_millis(50);

/// Who directs the world, as far as this edge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directing {
    /// This edge, under this epoch.
    Here(Epoch),
    /// Another one.
    Elsewhere,
    /// The store does not say.
    Unknown,
}

impl Directing {
    /// The epoch under which this edge directs, if it does.
    pub const fn here(self) -> Option<Epoch> {
        match self {
            Self::Here(epoch) => Some(epoch),
            Self::Elsewhere | Self::Unknown => None,
        }
    }
}

/// Asks for the right again and again, and tells hub and readiness what follows.
pub(crate) async fn hold(edge: Arc<Edge>, readiness: Readiness) {
    let ttl = edge.config.director.lease;
    // As for a region: what was answered is certain for four fifths of a lease.
    let certain = ttl * 4 / 5;
    let away_after = edge.config.store.lease_ttl * 4 / 5;
    let mut ticks = tokio::time::interval(ttl / 5);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut directing = Directing::Unknown;
    let (mut confirmed, mut answered) = (Instant::now(), Instant::now());
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let mut call = Box::pin(ask(&edge, ttl));
        let answer = loop {
            tokio::select! {
                answer = &mut call => break answer,
                () = sleep_until(confirmed + certain), if directing.here().is_some() => {
                    if !tell(&edge, &mut directing, Directing::Unknown).await {
                        return;
                    }
                }
                () = sleep_until(answered + away_after), if edge.standing.away().is_none() => {
                    edge.standing.silent(answered.into_std());
                }
            }
        };
        if answer.is_ok() {
            // Not when it was asked: one that was stopped answers old questions.
            answered = Instant::now();
            edge.standing.answered();
        }
        let kept = directing.here().filter(|_| confirmed.elapsed() < certain);
        let now = match &answer {
            Ok(Some(epoch)) => {
                confirmed = asked;
                Directing::Here(*epoch)
            }
            Ok(None) => Directing::Elsewhere,
            Err(_) => kept.map_or(Directing::Unknown, Directing::Here),
        };
        if matches!(answer, Err(StoreError::Unsettled)) {
            tell_store(&edge, directing.here()).await;
        }
        if !tell(&edge, &mut directing, now).await {
            return;
        }
        judge(&edge, &readiness, directing, answer.err());
    }
}

/// Asks for the right to direct; with `dry_run` only whether the store answers, as if another edge had it.
async fn ask(edge: &Edge, ttl: Duration) -> Result<Option<Epoch>, StoreError> {
    if edge.config.director.dry_run {
        return edge.store.tick_high().await.map(|_| None);
    }
    edge.store.acquire_director(edge.id, ttl).await
}

/// Tells the hub where something has changed; `false` where that is gone.
async fn tell(edge: &Edge, directing: &mut Directing, now: Directing) -> bool {
    if *directing == now {
        return true;
    }
    *directing = now;
    tracing::info!(?directing, "director lease");
    // Who has followed nobody yet must know from where the grid goes on.
    let stored = match (now, edge.clock.grid_now()) {
        (Directing::Here(_), None) => edge.store.tick_high().await.ok().map(|tick| tick.since_origin()),
        _ => None,
    };
    edge.hub.send(ToHub::Directs { directing: now, stored }).await.is_ok()
}

fn judge(edge: &Edge, readiness: &Readiness, directing: Directing, error: Option<StoreError>) {
    let follows = edge.clock.uncertainty().is_some_and(|off| off <= CLOCK_KNOWN);
    match (directing, error) {
        (Directing::Here(_), _) if edge.clock.leads() => readiness.ready(),
        (Directing::Here(_) | Directing::Unknown, Some(StoreError::Unsettled))
        | (Directing::Here(_), None) => {}
        (_, Some(error)) => readiness.not_ready(format!("the store does not answer: {error}")),
        (Directing::Elsewhere, None) if follows && edge.settled.load(Ordering::Relaxed) => readiness.ready(),
        (Directing::Elsewhere, None) if follows => {
            readiness.not_ready("region servers are still registering")
        }
        (Directing::Elsewhere | Directing::Unknown, None) => readiness.not_ready(
            "another atlas directs this world, and this one has no link to it: \
             name the link address of one at the other in [atlas] edges",
        ),
    }
}

/// Tells a store that was started again which sessions are here, and who directs.
async fn tell_store(edge: &Edge, directs: Option<Epoch>) {
    let report = Report {
        ttl: edge.config.store.lease_ttl,
        sessions: edge.sessions.records(),
        director: directs.map(|epoch| (edge.id, epoch)),
        ..Report::default()
    };
    match edge.store.report(report).await {
        Ok(told) => tracing::info!(settled = told.settled, generation = told.generation, "told the store"),
        Err(error) => tracing::info!(%error, "the store did not take the report"),
    }
}
