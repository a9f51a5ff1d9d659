//! The other edges of the world: which ones there are, and a link to each of them.
//!
//! This edge dials every address that its configuration names and every edge that has dialled here, and says
//! on its own links what it has to say ([`EdgeToEdge`]). So an edge that is new needs the address of one other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use horizon_link::{Node, Peer, PeerReceiver, PeerSender};
use horizon_model::EdgeId;
use horizon_protocol::link::{EdgeToEdge, Lane, Role};
use horizon_service::clock::boot_time;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::director::Why;
use crate::edge::Edge;
use crate::inbox::ToHub;

/// Time between two attempts to reach an edge.
const REDIAL: Duration = Duration::from_millis(200);
/// Time between two questions for the time.
const CLOCK: Duration = Duration::from_millis(250);

/// What happens between this edge and the others.
#[derive(Debug)]
pub enum PeerNews {
    /// An edge has dialled here and says where it is; the link has this number.
    Met {
        /// Its link address.
        address: String,
        /// The number.
        serial: u64,
    },
    /// That link is gone.
    Left {
        /// Its number.
        serial: u64,
    },
    /// An address was reached.
    Reached {
        /// Which.
        address: String,
        /// Who is there.
        edge: EdgeId,
        /// What it is told.
        sender: PeerSender,
    },
    /// The link to an address is gone.
    Lost {
        /// Which.
        address: String,
    },
    /// An address is this edge's own.
    Own {
        /// Which.
        address: String,
    },
}

/// Everybody else, as the hub knows them.
pub struct Peers {
    edge: Arc<Edge>,
    node: Arc<Node>,
    /// As others dial this edge.
    own: String,
    configured: BTreeSet<String>,
    /// Who named an address by dialling here, by the number of that link.
    met: BTreeMap<u64, String>,
    dialled: BTreeMap<String, Dialled>,
}

struct Dialled {
    task: JoinHandle<()>,
    link: Option<(EdgeId, PeerSender)>,
}

impl Peers {
    /// Dials those that the configuration names, but for the `own` address.
    pub fn new(edge: Arc<Edge>, node: Arc<Node>, own: String) -> Self {
        let atlas = &edge.config.atlas;
        let configured = atlas.edges.iter().filter(|address| **address != own).cloned().collect();
        let mut peers = Self { edge, node, own, configured, met: BTreeMap::new(), dialled: BTreeMap::new() };
        peers.dial();
        peers
    }

    /// Link addresses of all edges that are known, this one first.
    pub fn addresses(&self) -> Vec<String> {
        std::iter::once(&self.own).chain(self.dialled.keys()).cloned().collect()
    }

    /// Notes what happened. Whether [`Self::addresses`] has changed.
    pub fn handle(&mut self, news: PeerNews) -> bool {
        let before = self.dialled.len();
        match news {
            PeerNews::Met { address, serial } if address != self.own => {
                tracing::info!(address, "another edge has come");
                self.met.insert(serial, address);
            }
            PeerNews::Left { serial } => {
                self.met.remove(&serial);
            }
            PeerNews::Reached { address, edge, sender } => {
                tracing::info!(address, %edge, "linked to another edge");
                if let Some(dialled) = self.dialled.get_mut(&address) {
                    dialled.link = Some((edge, sender));
                }
            }
            PeerNews::Lost { address } => {
                if let Some(dialled) = self.dialled.get_mut(&address) {
                    dialled.link = None;
                }
            }
            PeerNews::Own { address } | PeerNews::Met { address, .. } => {
                self.configured.remove(&address);
            }
        }
        self.dial() || self.dialled.len() != before
    }

    /// Tells all others that are linked. What is lost with a link is asked for again by whoever needs it.
    pub fn tell(&self, message: &EdgeToEdge) {
        for (_, sender) in self.dialled.values().filter_map(|dialled| dialled.link.as_ref()) {
            if let Err(error) = sender.send(Lane::Control, message) {
                tracing::debug!(%error, "another edge was not told");
            }
        }
    }

    /// For the status.
    pub fn status(&self) -> Value {
        let others = self.dialled.iter().map(|(address, dialled)| {
            let edge = dialled.link.as_ref().map(|(edge, _)| edge.to_string());
            json!({ "link": address, "edge": edge, "linked": dialled.link.is_some() })
        });
        others.collect()
    }

    /// Dials whoever is known and lets the others be; whether somebody is new or gone.
    fn dial(&mut self) -> bool {
        let known: BTreeSet<&String> = self.configured.iter().chain(self.met.values()).collect();
        let gone: Vec<_> = self.dialled.keys().filter(|address| !known.contains(address)).cloned().collect();
        let new: Vec<_> =
            known.into_iter().filter(|known| !self.dialled.contains_key(*known)).cloned().collect();
        for address in &gone {
            if let Some(dialled) = self.dialled.remove(address) {
                dialled.task.abort();
            }
        }
        let changed = !(gone.is_empty() && new.is_empty());
        for address in new {
            let link = keep_link(self.edge.clone(), self.node.clone(), self.own.clone(), address.clone());
            self.dialled.insert(address, Dialled { task: tokio::spawn(link), link: None });
        }
        changed
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.dialled.values().for_each(|dialled| dialled.task.abort());
    }
}

/// Keeps a link to the edge at `address`, until it turns out to be this one.
async fn keep_link(edge: Arc<Edge>, node: Arc<Node>, own: String, address: String) {
    let mut said = false;
    loop {
        match node.connect(&address).await {
            Ok(peer) => {
                said = false;
                let Role::Edge(other) = peer.role else {
                    tracing::warn!(address, role = ?peer.role, "[atlas] edges names somebody who is no edge");
                    return;
                };
                if other == edge.id {
                    let _ = edge.hub.send(ToHub::Peer(PeerNews::Own { address })).await;
                    return;
                }
                speak(&edge, peer, other, &own, &address).await;
                let _ = edge.hub.send(ToHub::Peer(PeerNews::Lost { address: address.clone() })).await;
            }
            Err(error) if !said => {
                said = true;
                tracing::info!(address, %error, "another edge is not reached; trying on");
            }
            Err(error) => tracing::debug!(address, %error, "another edge is not reached"),
        }
        sleep(REDIAL).await;
    }
}

/// Says hello, and asks for the time until the link ends.
async fn speak(edge: &Edge, mut peer: Peer, other: EdgeId, own: &str, address: &str) {
    let hello = EdgeToEdge::Hello { link: own.to_owned() };
    if peer.sender.send(Lane::Control, &hello).is_err() {
        return;
    }
    let news = PeerNews::Reached { address: address.to_owned(), edge: other, sender: peer.sender.clone() };
    if edge.hub.send(ToHub::Peer(news)).await.is_err() {
        return;
    }
    let mut clock = interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut token, mut asked) = (0, boot_time());
    loop {
        tokio::select! {
            received = peer.receiver.recv() => {
                let Some((_, frame)) = received else { return };
                match frame.decode() {
                    Ok(EdgeToEdge::ClockPong { token: answered, grid_ns }) if answered == token => {
                        edge.clock.sample(asked, boot_time(), grid_ns);
                    }
                    Ok(_) => {}
                    Err(error) => return tracing::error!(%error, "another edge sent what cannot be read"),
                }
            }
            _ = clock.tick() => {
                token += 1;
                asked = boot_time();
                if peer.sender.send(Lane::Control, &EdgeToEdge::ClockPing { token }).is_err() {
                    return;
                }
            }
        }
    }
}

/// Listens to an edge that has dialled here, until its link ends.
pub(crate) async fn listen(edge: &Edge, serial: u64, sender: &PeerSender, receiver: &mut PeerReceiver) {
    while let Some((_, frame)) = receiver.recv().await {
        let hub = match frame.decode() {
            Ok(EdgeToEdge::ClockPing { token }) => {
                if let Some(now) = edge.clock.grid_now().filter(|_| edge.clock.leads()) {
                    let grid_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
                    let _ = sender.send(Lane::Control, &EdgeToEdge::ClockPong { token, grid_ns });
                }
                continue;
            }
            Ok(EdgeToEdge::Hello { link: address }) => ToHub::Peer(PeerNews::Met { address, serial }),
            Ok(EdgeToEdge::Ensure { region, expected }) => {
                let why = if expected { Why::Prediction } else { Why::Player };
                ToHub::Needed { region, why }
            }
            Ok(EdgeToEdge::Shutdown) => ToHub::WorldStops,
            Ok(EdgeToEdge::ClockPong { .. }) => continue,
            Err(error) => {
                tracing::error!(%error, "another edge sent what cannot be read");
                break;
            }
        };
        if edge.hub.send(hub).await.is_err() {
            break;
        }
    }
    sender.close();
    let _ = edge.hub.send(ToHub::Peer(PeerNews::Left { serial })).await;
}
