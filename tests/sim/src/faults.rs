//! What goes wrong, and when.

use std::time::Duration;

use horizon_model::WorkerId;

use crate::network::Node;
use crate::world::{Happening, World};

/// A kind of misfortune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A region server is killed.
    KillRegion,
    /// One is stopped for a while, and goes on.
    PauseRegion,
    /// An edge is killed and comes back.
    KillEdge,
    /// A client's socket is cut; both ends know.
    CutSocket,
    /// A client's socket is dead and nobody knows.
    HalfOpen,
    /// Two region servers do not hear each other.
    CutRegions,
    /// One does not hear the other.
    CutOneWay,
    /// A region server does not reach the store.
    CutStore,
    /// An edge and a region server do not hear each other.
    CutEdge,
    /// An edge does not hear a region server, or the other way round.
    CutEdgeOneWay,
    /// The director and a region server do not hear each other.
    CutDirector,
    /// A link breaks at once.
    BreakLink,
    /// The store is away, and comes back with everything.
    StoreAway,
    /// The store is slow.
    SlowStore,
    /// A disk is slow.
    SlowDisk,
    /// A disk fails: the region server ends.
    DiskError,
    /// The clock of a region server leaves the others.
    Skew,
    /// The director ends the lease of a region server that lives.
    HastyEviction,
    /// A player leaves, and comes back later.
    Leave,
    /// A client reads slowly.
    SlowClient,
}

impl Fault {
    pub(crate) const ALL: [Self; 20] = [
        Self::KillRegion,
        Self::PauseRegion,
        Self::KillEdge,
        Self::CutSocket,
        Self::HalfOpen,
        Self::CutRegions,
        Self::CutOneWay,
        Self::CutStore,
        Self::CutEdge,
        Self::CutEdgeOneWay,
        Self::CutDirector,
        Self::BreakLink,
        Self::StoreAway,
        Self::SlowStore,
        Self::SlowDisk,
        Self::DiskError,
        Self::Skew,
        Self::HastyEviction,
        Self::Leave,
        Self::SlowClient,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillRegion => "kill_region",
            Self::PauseRegion => "pause_region",
            Self::KillEdge => "kill_edge",
            Self::CutSocket => "cut_socket",
            Self::HalfOpen => "half_open",
            Self::CutRegions => "cut_regions",
            Self::CutOneWay => "cut_one_way",
            Self::CutStore => "cut_store",
            Self::CutEdge => "cut_edge",
            Self::CutEdgeOneWay => "cut_edge_one_way",
            Self::CutDirector => "cut_director",
            Self::BreakLink => "break_link",
            Self::StoreAway => "store_away",
            Self::SlowStore => "slow_store",
            Self::SlowDisk => "slow_disk",
            Self::DiskError => "disk_error",
            Self::Skew => "skew",
            Self::HastyEviction => "hasty_eviction",
            Self::Leave => "leave",
            Self::SlowClient => "slow_client",
        }
    }
}

impl World {
    /// The next misfortune, if the run has any.
    pub(crate) fn plan_fault(&mut self) {
        if let Some(mean) = self.profile.every_ms {
            let wait = self.dice.millis(mean / 4, mean * 2);
            self.plan(wait, Happening::Fault);
        }
    }

    /// Something goes wrong.
    pub(crate) fn misfortune(&mut self) {
        if self.now >= self.safety_until {
            return;
        }
        self.plan_fault();
        let kinds = self.profile.kinds.clone();
        if kinds.is_empty() {
            return;
        }
        let kind = self.dice.pick(&kinds);
        if self.befall(kind) {
            self.count_fault(kind.name());
        }
    }

    /// How long a fault lasts: mostly moments, sometimes long.
    fn for_a_while(&mut self) -> Duration {
        if self.dice.chance(150) { self.dice.millis(2000, 9000) } else { self.dice.millis(50, 1500) }
    }

    fn some_worker(&mut self) -> Option<WorkerId> {
        let serving: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.serves()).map(|(id, _)| *id).collect();
        (!serving.is_empty()).then(|| self.dice.pick(&serving))
    }

    fn befall(&mut self, kind: Fault) -> bool {
        let Some(worker) = self.some_worker() else { return false };
        let node = Node::Worker(worker);
        let until = self.now + self.for_a_while();
        self.trouble_until(until);
        let edge = Node::Edge(self.dice.below(self.edges.len() as u64) as u8);
        match kind {
            Fault::KillRegion => self.kill_worker(worker, "killed"),
            Fault::PauseRegion => self.pause_worker(worker, until),
            Fault::KillEdge => return self.kill_edge(edge),
            Fault::CutSocket | Fault::HalfOpen => return self.cut_some_socket(kind == Fault::HalfOpen),
            Fault::CutRegions | Fault::CutOneWay => {
                let Some(other) = self.some_worker().filter(|other| *other != worker) else { return false };
                self.network.cut(node, Node::Worker(other), until, kind == Fault::CutOneWay);
            }
            Fault::CutStore => self.network.cut(node, Node::Store, until, false),
            Fault::CutEdge => self.network.cut(node, edge, until, false),
            Fault::CutEdgeOneWay => {
                let (from, to) = if self.dice.chance(500) { (node, edge) } else { (edge, node) };
                self.network.cut(from, to, until, true);
            }
            Fault::CutDirector => self.network.cut(node, Node::Director, until, false),
            Fault::BreakLink => {
                let peer = if self.dice.chance(500) {
                    edge
                } else {
                    match self.some_worker().filter(|other| *other != worker) {
                        Some(other) => Node::Worker(other),
                        None => return false,
                    }
                };
                self.link_down(node, peer);
            }
            Fault::StoreAway => self.store.away_until = self.store.away_until.max(until),
            Fault::SlowStore => self.store.slow_until = self.store.slow_until.max(until),
            Fault::SlowDisk => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.slow_disk_until = until;
                }
            }
            Fault::DiskError => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.disk_fails = true;
                }
            }
            Fault::Skew => {
                let reach = self.profile.skew_us as i64 * 1000;
                let offset = self.dice.below(2 * reach as u64 + 1) as i64 - reach;
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.offset_ns = offset;
                }
            }
            Fault::HastyEviction => return self.evict_hastily(worker),
            Fault::Leave => return self.some_player_leaves(),
            Fault::SlowClient => return self.some_client_is_slow(until),
        }
        true
    }
}
