//! The edges of the world, each at the other end of a link: which ones there are, and keeping the links.
//!
//! An address is dialled while the configuration, the command line or a linked edge names it. Edges name each
//! other, so one of them is enough to find all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use horizon_link::Role;
use horizon_model::EdgeId;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::Shared;
use super::event::Event;
use super::hub::{REDIAL, adopt};

/// An edge that is linked under another address already is looked for under this one again after this long.
const KNOWN_AGAIN: Duration = Duration::from_secs(5);

/// Keeps a link to every edge that somebody names.
pub(super) struct Edges {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    told: BTreeMap<EdgeId, Vec<String>>,
    book: Arc<Mutex<Book>>,
}

/// What the dialling tasks share.
#[derive(Debug, Default)]
struct Book {
    /// Named by somebody.
    wanted: BTreeSet<String>,
    /// Has a task.
    dialled: BTreeSet<String>,
    /// Under which address an edge is linked.
    linked: BTreeMap<EdgeId, String>,
}

impl Edges {
    /// Dials those that configuration and command line name.
    pub(super) fn new(shared: Arc<Shared>, events: mpsc::Sender<Event>) -> Self {
        let edges = Self { shared, events, told: BTreeMap::new(), book: Arc::default() };
        edges.dial();
        edges
    }

    /// `edge` names these; what edges said that are not among `linked` any more is forgotten.
    pub(super) fn told(&mut self, edge: EdgeId, addresses: Vec<String>, linked: impl Fn(EdgeId) -> bool) {
        self.told.retain(|known, _| linked(*known));
        self.told.insert(edge, addresses);
        self.dial();
    }

    fn dial(&self) {
        let given = std::iter::once(&self.shared.options.atlas).chain(&self.shared.config.atlas.edges);
        let wanted: BTreeSet<String> = given.chain(self.told.values().flatten()).cloned().collect();
        let mut book = lock(&self.book);
        for address in &wanted {
            if book.dialled.insert(address.clone()) {
                let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
                tokio::spawn(keep_link(shared, events, Arc::clone(&self.book), address.clone()));
            }
        }
        book.wanted = wanted;
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a link to the edge at `address` while somebody names it.
async fn keep_link(
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    book: Arc<Mutex<Book>>,
    address: String,
) {
    let mut said = false;
    loop {
        let mut pause = REDIAL;
        match shared.node.connect(&address).await {
            Ok(peer) => {
                said = false;
                if let Some(ip) = peer.through {
                    let _ = shared.own_ip.set(ip);
                }
                let edge = match peer.role {
                    Role::Edge(edge) => Some(edge),
                    Role::Region(_) => None,
                };
                let elsewhere = edge.is_some_and(|edge| {
                    let mut book = lock(&book);
                    *book.linked.entry(edge).or_insert_with(|| address.clone()) != address
                });
                if elsewhere {
                    peer.sender.close();
                    pause = KNOWN_AGAIN;
                } else {
                    adopt(peer, events.clone()).await;
                    if let Some(edge) = edge {
                        lock(&book).linked.remove(&edge);
                    }
                }
            }
            Err(error) if !said => {
                said = true;
                warn!(atlas = address, %error, "an edge is not reached; trying on");
            }
            Err(error) => debug!(atlas = address, %error, "an edge is not reached"),
        }
        sleep(pause).await;
        let mut book = lock(&book);
        if !book.wanted.contains(&address) {
            book.dialled.remove(&address);
            debug!(atlas = address, "nobody names this edge any more");
            return;
        }
    }
}
