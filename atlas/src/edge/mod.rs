//! The edge: where players connect.
//!
//! It owns sockets, checks who is there, and passes payloads on unread. Of a session it knows the
//! route and the inputs that are not yet durable; both can be made anew, so a restart loses nothing
//! that a client or the store does not still have.

pub mod bucket;
pub mod credit;
mod farewell;
pub mod fragments;
pub mod frames;
pub mod front;
pub mod gate;
pub mod identity;
pub mod outbox;
pub mod page;
pub mod registry;
mod session;
pub mod socket;
pub mod spelling;
pub mod ticket;
pub mod tls;
pub mod upgrade;
mod welcome;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use horizon_model::EdgeId;
use horizon_service::clock::GridClock;
use horizon_service::config::Horizon;
use horizon_state_store::StateStore;
use tokio::sync::{mpsc, watch};

use crate::figures::Figures;
use crate::inbox::ToHub;
use crate::live::Live;
use crate::routes::Routes;
use crate::standing::StoreStanding;
use registry::Registry;
use ticket::TicketOffice;

/// What the tasks of one edge share. Each field has one writer, or is a handle to one.
pub struct Edge {
    /// This life of the process.
    pub id: EdgeId,
    /// The whole configuration.
    pub config: Horizon,
    /// Owners, leases, sessions.
    pub store: Arc<dyn StateStore>,
    /// Whether it answers.
    pub standing: StoreStanding,
    /// World time.
    pub clock: GridClock,
    /// Whether all workers that ran at the start have registered here, or have had their time.
    pub settled: AtomicBool,
    /// Sessions by player.
    pub sessions: Registry,
    /// Regions that can be reached.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// The director and its shell.
    pub hub: mpsc::Sender<ToHub>,
    /// Seals resume tickets.
    pub tickets: TicketOffice,
    /// What is counted.
    pub figures: Figures,
    /// Data of the live page.
    pub live: Live,
    /// When the process started, for everything that measures time without meaning it.
    pub started: Instant,
}

impl Edge {
    /// Time since the start; only rises.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
