//! What is known of the world at a glance, and the JSON that shows it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;
use horizon_handoff::EntityKey;
use horizon_model::{RegionId, RegionMap};
use horizon_protocol::link::{HandoffReport, Summary, TrackedEntity};
use serde_json::{Value, json};

use crate::director::{Director, Pool};
use crate::edge::Edge;
use crate::figures::Figures;

/// Handoffs that are remembered, so that a measurement can fetch all of its own.
pub const MAX_HANDOFFS: usize = 65_536;
/// Handoffs in the status.
const SHOWN_HANDOFFS: usize = 64;
/// Handoffs on the live page: what may happen between two looks, and a few more to read.
const LIVE_HANDOFFS: usize = 32;
/// Bodies on the live page.
const MAX_SHOWN: usize = 2_000;
/// The rate of crossings is over this time.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// Furthest overhang that the histogram tells apart, in centimetres.
const MAX_OVERHANG_CM: u64 = 10_000_000;
/// Longest handoff that the histogram tells apart, in microseconds.
const MAX_HANDOFF_US: u64 = 600_000_000;

/// Summaries, handoffs and what follows from them.
#[derive(Debug)]
pub struct View {
    map: RegionMap,
    regions: BTreeMap<RegionId, Summary>,
    handoffs: VecDeque<Crossing>,
    recent: VecDeque<Duration>,
    total: u64,
    late: u64,
    teleports: u64,
    full_bytes: u64,
    cutover_bytes: u64,
    duration_us: Histogram<u64>,
    /// How far beyond the border those who crossed were at the freeze; jumps left out.
    overhang_cm: Histogram<u64>,
}

#[derive(Debug, Clone)]
struct Crossing {
    number: u64,
    at: Duration,
    report: HandoffReport,
    place: Option<[f32; 3]>,
}

impl View {
    /// Nothing known yet.
    pub fn new(map: RegionMap) -> Self {
        Self {
            map,
            regions: BTreeMap::new(),
            handoffs: VecDeque::new(),
            recent: VecDeque::new(),
            total: 0,
            late: 0,
            teleports: 0,
            full_bytes: 0,
            cutover_bytes: 0,
            duration_us: Histogram::new_with_bounds(1, MAX_HANDOFF_US, 3).expect("valid bounds"),
            overhang_cm: Histogram::new_with_bounds(1, MAX_OVERHANG_CM, 3).expect("valid bounds"),
        }
    }

    /// Takes one region's summary at uptime `now`.
    pub fn learn(&mut self, now: Duration, mut summary: Summary, figures: &Figures) {
        for report in std::mem::take(&mut summary.handoffs) {
            self.total += 1;
            self.late += u64::from(report.late);
            self.teleports += u64::from(report.teleport);
            self.full_bytes += u64::from(report.full_bytes);
            self.cutover_bytes += u64::from(report.cutover_bytes);
            self.duration_us.saturating_record(u64::from(report.duration_us).max(1));
            figures.handoffs.inc();
            figures.late_handoffs.inc_by(u64::from(report.late));
            figures.handoff_seconds.observe(f64::from(report.duration_us) / 1e6);
            if !report.teleport {
                figures.handoff_overhang.observe(report.overhang_m.into());
                self.overhang_cm.saturating_record((report.overhang_m * 100.0) as u64);
            }
            let place = summary.entities.iter().find(|entity| entity.key == report.key).map(|e| e.at);
            if self.handoffs.len() == MAX_HANDOFFS {
                self.handoffs.pop_front();
            }
            self.handoffs.push_back(Crossing { number: self.total, at: now, report, place });
            self.recent.push_back(now);
        }
        self.regions.insert(summary.placement.region, summary);
        let furthest = self.regions.values().map(|summary| summary.overhang_m).fold(0.0, f32::max);
        figures.overhang.set(furthest.into());
    }

    /// Forgets regions that are served no more, and old times.
    pub fn forget(&mut self, now: Duration, director: &Director) {
        self.regions.retain(|region, _| director.region(*region).is_some_and(|r| r.placement().is_some()));
        while self.recent.front().is_some_and(|&at| at + RATE_WINDOW < now) {
            self.recent.pop_front();
        }
    }

    /// Everything, for people and tools. `around`: whether this edge directs, the other edges as it knows them, and
    /// its last decisions.
    pub fn status(&mut self, edge: &Edge, director: &Director, around: (bool, &Value, Value)) -> String {
        let (directs, edges, decisions) = around;
        self.forget(edge.uptime(), director);
        let workers: Vec<_> = director
            .workers()
            .map(|(id, worker)| {
                json!({
                    "worker": id.to_string(),
                    "pid": worker.pid,
                    "endpoint": worker.endpoint,
                    "state": worker.life().name(),
                    "region": worker.region().map(|region| region.to_string()),
                    "linked": worker.unlinked_since.is_none(),
                })
            })
            .collect();
        let placements: Vec<_> = director
            .took()
            .map(|took| {
                json!({
                    "region": took.region.to_string(),
                    "why": took.why.name(),
                    "waited_ms": took.waited.as_secs_f64() * 1000.0,
                    "took_ms": took.took.as_secs_f64() * 1000.0,
                })
            })
            .collect();
        let last: Vec<_> = self.handoffs.iter().rev().take(SHOWN_HANDOFFS).map(crossing).collect();
        let mut status = json!({
            "world": edge.config.world.name,
            "world_id": edge.config.world.id.to_string(),
            "edge": edge.id.to_string(),
            "directs": directs,
            "edges": edges,
            "uptime_seconds": edge.uptime().as_secs_f64(),
            "tick": edge.clock.tick_now().map(|tick| tick.0),
            "players": self.players(),
            "sessions": edge.sessions.len(),
            "store": store(edge),
            "regions": self.region_list(director),
            "workers": workers,
            "starting": director.starting(),
            "ended": { "retired": director.ended().retired, "failed": director.ended().failed },
            "pool": pool(&director.pool()),
            "dry_run": edge.config.director.dry_run,
            "decisions": decisions,
            "placements": placements,
            "place_within_ms": millis(director.place_within()),
            "spawned_by_prediction": director.spawned_by_prediction(),
            "handoffs": last,
            "handoffs_last": self.total,
        });
        merge(&mut status, self.totals());
        status.to_string()
    }

    /// Handoffs with a number above `since`, oldest first, and the number of the last.
    pub fn handoffs_since(&self, since: u64) -> String {
        let first = self.handoffs.partition_point(|crossing| crossing.number <= since);
        let list: Vec<_> = self.handoffs.range(first..).map(crossing).collect();
        json!({ "last": self.total, "handoffs": list }).to_string()
    }

    /// What the page draws, kept small: bodies are `[id, player, x, y]`.
    pub fn live(&self, edge: &Edge, director: &Director) -> String {
        let bodies = self.regions.values().flat_map(|summary| &summary.entities);
        let bodies: Vec<_> = bodies.take(MAX_SHOWN).map(body).collect();
        let shown = self.handoffs.iter().rev().take(LIVE_HANDOFFS);
        let handoffs: Vec<_> = shown
            .map(|crossing| {
                json!({
                    "number": crossing.number,
                    "player": matches!(crossing.report.key, EntityKey::Player(_)),
                    "from": crossing.report.from.to_string(),
                    "to": crossing.report.to.to_string(),
                    "milliseconds": f64::from(crossing.report.duration_us) / 1e3,
                    "late": crossing.report.late,
                    "teleport": crossing.report.teleport,
                    "at": crossing.place.map(|at| [round(at[0]), round(at[1])]),
                })
            })
            .collect();
        let mut live = json!({
            "world": edge.config.world.name,
            "tick": edge.clock.tick_now().map(|tick| tick.0),
            "players": self.players(),
            "store": store(edge),
            "regions": self.region_list(director),
            "bodies": bodies,
            "handoffs": handoffs,
            "spawned_by_prediction": director.spawned_by_prediction(),
        });
        merge(&mut live, self.totals());
        live.to_string()
    }

    fn totals(&self) -> Value {
        let at = |share: f64| self.duration_us.value_at_quantile(share) as f64 / 1e3;
        let handoff_ms = (!self.duration_us.is_empty())
            .then(|| json!({ "p50": at(0.5), "p99": at(0.99), "max": at(1.0) }));
        let metres = |share: f64| self.overhang_cm.value_at_quantile(share) as f64 / 100.0;
        let overhang = (!self.overhang_cm.is_empty())
            .then(|| json!({ "p50": metres(0.5), "p99": metres(0.99), "max": metres(1.0) }));
        json!({
            "crossings_total": self.total,
            "crossings_per_second": self.recent.len() as f64 / RATE_WINDOW.as_secs_f64(),
            "late_targets": self.late,
            "teleports": self.teleports,
            "presync_full_bytes": self.full_bytes,
            "presync_cutover_bytes": self.cutover_bytes,
            "overhang_m": overhang,
            "handoff_ms": handoff_ms,
        })
    }

    fn players(&self) -> usize {
        let bodies = self.regions.values().flat_map(|summary| &summary.entities);
        bodies.filter(|entity| matches!(entity.key, EntityKey::Player(_))).count()
    }

    fn region_list(&self, director: &Director) -> Vec<Value> {
        director.regions().map(|region| self.region(region)).collect()
    }

    fn region(&self, region: &crate::director::Region) -> Value {
        let (low, high) = self.map.bounds(region.id).expect("the director has the map's regions");
        let placement = region.placement();
        let mut value = json!({
            "region": region.id.to_string(),
            "low": low,
            "high": high,
            "state": region.state.name(),
            "worker": placement.map(|placement| placement.worker.to_string()),
            "lease": placement.map(|placement| placement.lease.to_string()),
            "stalled": region.is_stalled(),
        });
        if let Some(summary) = self.regions.get(&region.id).filter(|_| placement.is_some()) {
            let players = summary.entities.iter().filter(|e| matches!(e.key, EntityKey::Player(_))).count();
            merge(
                &mut value,
                json!({
                    "players": players,
                    "objects": summary.entities.len() - players,
                    "sessions": summary.sessions,
                    "rate_hz": summary.rate_hz,
                    "tick": summary.tick.0,
                    "step_ms": { "p50": f64::from(summary.step_us[0]) / 1e3, "p99": f64::from(summary.step_us[1]) / 1e3 },
                    "overruns": summary.overruns,
                    "idle": summary.idle,
                    "degraded": summary.degraded,
                    "presync_bytes": summary.presync_bytes,
                    "load_level": summary.load_level,
                    "overhang_m": round(summary.overhang_m),
                }),
            );
        }
        value
    }
}

fn pool(pool: &Pool) -> Value {
    json!({
        "free": pool.free,
        "busy": pool.busy,
        "wanted": pool.wanted,
        "waiting": pool.waiting,
        "occupancy": (pool.occupancy * 1000.0).round() / 1000.0,
    })
}

fn store(edge: &Edge) -> Value {
    let away = edge.standing.away();
    json!({ "up": away.is_none(), "away_seconds": away.map(|away| away.as_secs_f64()) })
}

fn crossing(crossing: &Crossing) -> Value {
    let report = &crossing.report;
    json!({
        "number": crossing.number,
        "uptime_seconds": crossing.at.as_secs_f64(),
        "key": key(&report.key),
        "from": report.from.to_string(),
        "to": report.to.to_string(),
        "epoch": report.epoch.to_string(),
        "tick": report.tick.0,
        "activated": report.activated.0,
        "frozen_ns": report.frozen_ns,
        "duration_us": report.duration_us,
        "full_bytes": report.full_bytes,
        "cutover_bytes": report.cutover_bytes,
        "late": report.late,
        "overhang_m": report.overhang_m,
        "teleport": report.teleport,
    })
}

fn key(key: &EntityKey) -> String {
    match key {
        EntityKey::Player(player) => format!("player {player}"),
        EntityKey::Object(object) => format!("object {object}"),
    }
}

fn body(entity: &TrackedEntity) -> Value {
    let player = u8::from(matches!(entity.key, EntityKey::Player(_)));
    json!([entity.entity.to_string(), player, round(entity.at[0]), round(entity.at[1])])
}

/// Centimetres are more than a screen shows.
fn round(metres: f32) -> f64 {
    (f64::from(metres) * 100.0).round() / 100.0
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
