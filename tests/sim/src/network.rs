//! Links between processes: ordered lanes, cuts, and connections that end when nothing is heard.

use std::collections::BTreeMap;
use std::time::Duration;

/// Nothing heard for this long ends a connection, as in the link's own configuration.
pub(crate) const IDLE: Duration = Duration::from_secs(5);

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Director,
    Store,
    Edge(u8),
    Worker(horizon_model::WorkerId),
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) serial: u64,
    /// Since when one of both does not hear the other.
    pub(crate) unheard_since: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    cuts: BTreeMap<(Node, Node), Duration>,
    pub(crate) links: BTreeMap<(Node, Node), Link>,
    lanes: BTreeMap<(Node, Node, u8), (u64, Duration)>,
    /// The connection to a peer as one end knows it.
    views: BTreeMap<(Node, Node), u64>,
    serials: u64,
}

pub(crate) fn pair(a: Node, b: Node) -> (Node, Node) {
    if a < b { (a, b) } else { (b, a) }
}

impl Network {
    /// Nothing gets from `a` to `b` before `until`, nor back unless it is one way.
    pub(crate) fn cut(&mut self, a: Node, b: Node, until: Duration, one_way: bool) {
        let mut cut = |from, to| {
            let held = self.cuts.entry((from, to)).or_default();
            *held = (*held).max(until);
        };
        cut(a, b);
        if !one_way {
            cut(b, a);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// When the way is open.
    pub(crate) fn open_at(&self, from: Node, to: Node, now: Duration) -> Duration {
        self.cuts.get(&(from, to)).map_or(now, |until| (*until).max(now))
    }

    pub(crate) fn is_open(&self, from: Node, to: Node, now: Duration) -> bool {
        self.open_at(from, to, now) == now
    }

    pub(crate) fn serial(&self, a: Node, b: Node) -> Option<u64> {
        self.links.get(&pair(a, b)).map(|link| link.serial)
    }

    /// The connection that `node` believes to have to `peer`.
    pub(crate) fn view(&self, node: Node, peer: Node) -> Option<u64> {
        self.views.get(&(node, peer)).copied()
    }

    pub(crate) fn set_view(&mut self, node: Node, peer: Node, serial: Option<u64>) {
        match serial {
            Some(serial) => self.views.insert((node, peer), serial),
            None => self.views.remove(&(node, peer)),
        };
    }

    pub(crate) fn connect(&mut self, a: Node, b: Node) -> u64 {
        self.serials += 1;
        self.links.insert(pair(a, b), Link { serial: self.serials, unheard_since: None });
        self.serials
    }

    /// When something sent now arrives: order within a lane of one connection is kept.
    pub(crate) fn arrival(
        &mut self,
        now: Duration,
        (from, to, lane): (Node, Node, u8),
        serial: u64,
        delay: Duration,
    ) -> Duration {
        let open = self.open_at(from, to, now);
        let before = self.lanes.entry((from, to, lane)).or_default();
        let last = if before.0 == serial { before.1 } else { Duration::ZERO };
        let at = (open + delay).max(last);
        *before = (serial, at);
        at
    }

    /// Holds up one lane.
    pub(crate) fn hold_up(&mut self, now: Duration, lane: (Node, Node, u8), serial: u64, time: Duration) {
        self.lanes.insert(lane, (serial, now + time));
    }

    /// Forgets a process that has ended.
    pub(crate) fn forget(&mut self, node: Node) {
        self.cuts.retain(|(a, b), _| *a != node && *b != node);
        self.lanes.retain(|(a, b, _), _| *a != node && *b != node);
        self.views.retain(|(a, _), _| *a != node);
    }
}
