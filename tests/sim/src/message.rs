//! What travels between processes, and which of it may come more than once.

use std::time::Duration;

use horizon_protocol::link::{EdgeToRegion, RegionToEdge, RegionToRegion, StateBatch};
use horizon_region_server::region::Input;

use crate::network::{IDLE, Node, pair};
use crate::world::{Happening, World};

#[derive(Debug, Clone)]
pub(crate) enum Message {
    ToRegion(Box<EdgeToRegion>),
    ToEdge(Box<RegionToEdge>),
    Frames(Box<StateBatch>),
    ToWorker(Box<RegionToRegion>),
}

impl Message {
    /// Messages of the protocol are harmless when they come again; streams of state are not messages.
    fn may_repeat(&self) -> bool {
        match self {
            Self::ToWorker(message) => {
                !matches!(**message, RegionToRegion::Ghosts(_) | RegionToRegion::Observe(_))
            }
            Self::ToRegion(message) => {
                matches!(**message, EdgeToRegion::Input { .. } | EdgeToRegion::Prepare { .. })
            }
            Self::ToEdge(message) => matches!(
                **message,
                RegionToEdge::Progress(_)
                    | RegionToEdge::Event { .. }
                    | RegionToEdge::Attach(_)
                    | RegionToEdge::Moved { .. }
            ),
            Self::Frames(_) => false,
        }
    }

    /// Words about handoffs may come again even when everybody has forgotten the attempt.
    fn may_echo(&self) -> bool {
        let Self::ToWorker(message) = self else { return false };
        matches!(
            **message,
            RegionToRegion::Offer(_)
                | RegionToRegion::Accept { .. }
                | RegionToRegion::Final(_)
                | RegionToRegion::Withdraw { .. }
                | RegionToRegion::Moved { .. }
                | RegionToRegion::NeedFull { .. }
                | RegionToRegion::Post(_)
                | RegionToRegion::PostAck { .. }
        )
    }
}

impl World {
    /// Sends on a link, if there is one.
    pub(crate) fn send(&mut self, from: Node, to: Node, lane: u8, message: Message) {
        let Some(serial) = self.network.view(from, to) else { return };
        let delay = self.dice.micros(self.profile.link);
        if self.profile.held_up > 0 && self.dice.below(10_000) < self.profile.held_up {
            self.count_fault("held_up");
            let time =
                if self.dice.chance(50) { self.dice.millis(1000, 10_000) } else { self.dice.millis(10, 400) };
            self.trouble_until(self.now + time);
            self.network.hold_up(self.now, (from, to, lane), serial, time);
        }
        if self.profile.repeated > 0 && self.dice.chance(self.profile.repeated) && message.may_repeat() {
            self.count_fault("repeated");
            let later = delay + self.dice.millis(0, 40);
            let at = self.network.open_at(from, to, self.now) + later;
            self.plan_at(at, Happening::Arrive(from, to, serial, message.clone()));
        }
        if self.profile.echoed > 0 && self.dice.below(10_000) < self.profile.echoed && message.may_echo() {
            self.count_fault("echoed");
            let at = self.now + self.dice.millis(200, 12_000);
            self.plan_at(at, Happening::Arrive(from, to, 0, message.clone()));
        }
        let at = self.network.arrival(self.now, (from, to, lane), serial, delay);
        self.plan_at(at, Happening::Arrive(from, to, serial, message));
    }

    /// A message arrives, unless its connection has ended. Serial 0 stands for one that comes out of the past.
    pub(crate) fn arrive(&mut self, from: Node, to: Node, serial: u64, message: Message) {
        if serial != 0 && self.network.serial(from, to) != Some(serial) {
            return;
        }
        match (to, message) {
            (Node::Worker(id), Message::ToRegion(message)) => {
                let Some(edge) = self.edge_id(from) else { return };
                self.tell_worker(id, Input::Edge(edge, message));
            }
            (Node::Worker(id), Message::ToWorker(message)) => {
                let Node::Worker(sender) = from else { return };
                self.tell_worker(id, Input::Worker(sender, message));
            }
            (Node::Edge(edge), Message::ToEdge(message)) => {
                let Node::Worker(worker) = from else { return };
                self.edge_hears(edge, worker, *message);
            }
            (Node::Edge(edge), Message::Frames(batch)) => {
                let Node::Worker(worker) = from else { return };
                self.edge_frames(edge, worker, *batch);
            }
            (Node::Director, Message::ToEdge(message)) => {
                let Node::Worker(worker) = from else { return };
                self.director_hears(worker, *message);
            }
            _ => {}
        }
    }

    /// Which links there should be, and which of them have died.
    pub(crate) fn look_at_links(&mut self) {
        let now = self.now;
        let workers: Vec<Node> = self.workers.keys().map(|id| Node::Worker(*id)).collect();
        let mut wanted = Vec::new();
        for (index, worker) in workers.iter().enumerate() {
            wanted.push(pair(Node::Director, *worker));
            for edge in 0..self.edges.len() {
                wanted.push(pair(Node::Edge(edge as u8), *worker));
            }
            for other in &workers[index + 1..] {
                wanted.push(pair(*worker, *other));
            }
        }
        let known: Vec<(Node, Node)> = self.network.links.keys().copied().collect();
        for (a, b) in known {
            let heard = self.is_awake(a)
                && self.is_awake(b)
                && self.network.is_open(a, b, now)
                && self.network.is_open(b, a, now);
            let Some(link) = self.network.links.get_mut(&(a, b)) else { continue };
            if heard {
                link.unheard_since = None;
            } else if now.saturating_sub(*link.unheard_since.get_or_insert(now)) >= IDLE {
                self.link_down(a, b);
            }
        }
        for (a, b) in wanted {
            let possible = self.is_awake(a)
                && self.is_awake(b)
                && self.network.is_open(a, b, now)
                && self.network.is_open(b, a, now);
            if possible && self.network.serial(a, b).is_none() {
                self.link_up(a, b);
            }
        }
    }

    fn is_awake(&self, node: Node) -> bool {
        match node {
            Node::Director | Node::Store => true,
            Node::Edge(edge) => self.edges[usize::from(edge)].is_alive(),
            Node::Worker(id) => self.workers.get(&id).is_some_and(|worker| worker.paused_until.is_none()),
        }
    }

    pub(crate) fn link_up(&mut self, a: Node, b: Node) {
        let serial = self.network.connect(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            let wait = self.dice.millis(0, 15);
            self.plan(wait, Happening::Linked(node, peer, serial));
        }
    }

    pub(crate) fn link_down(&mut self, a: Node, b: Node) {
        if let Some(link) = self.network.links.remove(&pair(a, b)) {
            for (node, peer) in [(a, b), (b, a)] {
                let wait = if self.dice.chance(200) { self.dice.millis(0, 300) } else { Duration::ZERO };
                self.plan(wait, Happening::Unlinked(node, peer, link.serial));
            }
        }
    }

    /// One end of a new link learns of it.
    pub(crate) fn linked(&mut self, node: Node, peer: Node, serial: u64) {
        if self.network.serial(node, peer) != Some(serial) {
            return;
        }
        if let Some(before) = self.network.view(node, peer) {
            self.unlinked(node, peer, before);
        }
        self.network.set_view(node, peer, Some(serial));
        match (node, peer) {
            (Node::Worker(id), Node::Worker(other)) => self.tell_worker(id, Input::WorkerUp(other)),
            (Node::Worker(id), Node::Edge(_) | Node::Director) => {
                let Some(edge) = self.edge_id(peer) else { return };
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.edges.insert(edge, peer);
                }
                self.tell_worker(id, Input::EdgeUp(edge));
            }
            (Node::Edge(edge), Node::Worker(_)) => self.edge_routes_changed(edge),
            (Node::Director, Node::Worker(worker)) => self.director_linked(worker),
            _ => {}
        }
    }

    /// One end of a link that has ended learns of it.
    pub(crate) fn unlinked(&mut self, node: Node, peer: Node, serial: u64) {
        if self.network.view(node, peer) != Some(serial) {
            return;
        }
        self.network.set_view(node, peer, None);
        match (node, peer) {
            (Node::Worker(id), Node::Worker(other)) => self.tell_worker(id, Input::WorkerDown(other)),
            (Node::Worker(id), Node::Edge(_) | Node::Director) => {
                let gone = self.workers.get(&id).and_then(|worker| {
                    worker.edges.iter().find(|(_, held)| **held == peer).map(|(edge, _)| *edge)
                });
                let Some(gone) = gone else { return };
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.edges.remove(&gone);
                }
                self.tell_worker(id, Input::EdgeDown(gone));
            }
            (Node::Edge(edge), Node::Worker(_)) => self.edge_routes_changed(edge),
            _ => {}
        }
    }
}
