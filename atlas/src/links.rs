//! The links that others open: who is connected, and what region servers say.
//!
//! One task per link reads. What sessions wait for goes straight to them; what concerns regions goes
//! to the [`hub`](crate::hub). The clock is answered here, at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horizon_link::{Frame, Node, Peer, PeerReceiver};
use horizon_model::{Epoch, PlayerId, RegionId, Tick};
use horizon_protocol::client::EventName;
use horizon_protocol::link::{EdgeToRegion, Lane, RegionToEdge, Registration, Role, StateBatch};
use tokio::time::timeout;

use crate::edge::registry::ToSession;
use crate::edge::{Edge, frames};
use crate::inbox::ToHub;
pub use crate::routes::{Routes, Way, WorkerLink};
use crate::{peers, routes};

/// A worker says who it is within this time, or its link is closed.
const REGISTRATION: Duration = Duration::from_secs(5);
/// Stands for "both names are spelled out".
const SPELLED: u16 = u16::MAX;

/// Accepts workers and other edges until the node is closed.
pub async fn accept(edge: Arc<Edge>, node: Arc<Node>) {
    while let Some(accepted) = node.accept().await {
        match accepted {
            Ok(peer) => {
                tokio::spawn(serve(edge.clone(), peer));
            }
            Err(error) => tracing::info!(%error, "a link was not accepted"),
        }
    }
}

async fn serve(edge: Arc<Edge>, mut peer: Peer) {
    let worker = match peer.role {
        Role::Region(worker) => worker,
        Role::Edge(_) => {
            let serial = routes::next_serial();
            return peers::listen(&edge, serial, &peer.sender, &mut peer.receiver).await;
        }
    };
    let registration = match timeout(REGISTRATION, registration(&mut peer.receiver)).await {
        Ok(Some(registration)) if registration.worker == worker => registration,
        Ok(None) => return tracing::debug!(%worker, "a link ended before its worker registered"),
        Ok(Some(_)) | Err(_) => {
            tracing::warn!(%worker, "a worker did not register properly or in time");
            return peer.sender.close();
        }
    };
    let link = WorkerLink::new(worker, peer.sender);
    let serving = registration.serving.as_ref().map(|placement| placement.region);
    let registered = ToHub::Registered { registration, link: link.clone() };
    if edge.hub.send(registered).await.is_err() {
        return;
    }
    let mut reader = Reader { edge: edge.clone(), link: link.clone(), region: serving };
    tokio::select! {
        () = reader.read(&mut peer.receiver) => {}
        () = link.pass_credit_on() => {}
    }
    link.close();
    let reason = peer.receiver.close_reason().unwrap_or_else(|| "closed here".to_owned());
    tracing::info!(%worker, %reason, "link to a worker ended");
    let _ = edge.hub.send(ToHub::LinkLost { worker, serial: link.serial }).await;
}

async fn registration(receiver: &mut PeerReceiver) -> Option<Box<Registration>> {
    let (_, frame) = receiver.recv().await?;
    match frame.decode() {
        Ok(RegionToEdge::Register(registration)) => Some(registration),
        _ => None,
    }
}

struct Reader {
    edge: Arc<Edge>,
    link: Arc<WorkerLink>,
    region: Option<RegionId>,
}

impl Reader {
    async fn read(&mut self, receiver: &mut PeerReceiver) {
        while let Some((lane, frame)) = receiver.recv().await {
            let read = match lane {
                Lane::Batch => self.batch(&frame),
                _ => match frame.decode() {
                    Ok(message) => {
                        self.message(message).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = read {
                tracing::error!(worker = %self.link.worker, %error, "a worker sent what cannot be read");
                return;
            }
        }
    }

    /// Hands one tick's frames out under one lock of the registry.
    fn batch(&self, frame: &Frame) -> Result<(), horizon_link::FrameError> {
        let batch = frame.access::<StateBatch>()?;
        let Some(region) = self.region.filter(|_| self.link.has_voice()) else { return Ok(()) };
        let tick = Tick(batch.tick.0.to_native());
        self.edge.figures.state_frames.inc_by(batch.frames.len() as u64);
        let frames = batch.frames.iter().map(|out| {
            let frame = frames::Frame {
                tick,
                epoch: Epoch(out.epoch.0.to_native()),
                applied: out.applied.to_native(),
                durable: out.durable.to_native(),
                sequence: out.sequence.to_native(),
                body: Bytes::copy_from_slice(&out.body),
            };
            (PlayerId(out.player.0.to_native()), ToSession::Frame(region, frame))
        });
        self.edge.sessions.send_all(frames);
        Ok(())
    }

    async fn message(&mut self, message: RegionToEdge) {
        let worker = self.link.worker;
        let hub = match message {
            RegionToEdge::ClockPing { token } => return self.answer_clock(token),
            RegionToEdge::Register(_) => {
                return tracing::warn!(%worker, "a worker registered twice on one link");
            }
            RegionToEdge::Placed(placement) => {
                self.region = Some(placement.region);
                ToHub::Placed(placement)
            }
            RegionToEdge::NotPlaced { region, why } => ToHub::NotPlaced { worker, region, why },
            RegionToEdge::Retired { region } => {
                self.region = None;
                ToHub::Retired { worker, region }
            }
            RegionToEdge::Alive { lease, .. } => return self.link.steps(lease),
            RegionToEdge::Silent { region, lease } => {
                let Some(by) = self.region.filter(|_| self.link.has_voice()) else { return };
                ToHub::Silent { region, lease, by }
            }
            RegionToEdge::Stalled { region, lease, stalled } => {
                if !self.link.has_voice() {
                    return;
                }
                ToHub::Stalled { region, lease, stalled }
            }
            RegionToEdge::Band(band) => ToHub::Band(band),
            RegionToEdge::Summary(summary) => ToHub::Summary(summary),
            other => return self.to_session(other),
        };
        let _ = self.edge.hub.send(hub).await;
    }

    /// One edge leads the clock, and only its answers count.
    fn answer_clock(&self, token: u64) {
        if let Some(now) = self.edge.clock.grid_now().filter(|_| self.edge.clock.leads()) {
            let grid_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            let _ = self.link.send(Lane::Control, &EdgeToRegion::ClockPong { token, grid_ns });
        }
    }

    fn to_session(&self, message: RegionToEdge) {
        let sessions = &self.edge.sessions;
        let Some(here) = self.region.filter(|_| self.link.has_voice()) else { return };
        match message {
            RegionToEdge::Attach(attach) => {
                let (player, session_epoch) = (attach.player, attach.session_epoch);
                if let Some(bye) = sessions.is_over(player, session_epoch) {
                    // The socket ended while the player was between two regions: this one has not heard.
                    let close = EdgeToRegion::Close { player, session_epoch, bye };
                    let _ = self.link.send(Lane::of_player(player), &close);
                } else {
                    sessions.send(player, ToSession::Attach(attach));
                }
            }
            RegionToEdge::Event { player, session_epoch, number, name, spelled, payload, .. } => {
                self.edge.figures.events.inc();
                let name = match (name, spelled) {
                    (SPELLED, Some((namespace, event))) => EventName::Named { namespace, event },
                    (place, _) => EventName::Known(place),
                };
                sessions.send(player, ToSession::Event { session_epoch, number, name, payload });
            }
            RegionToEdge::Progress(all) => {
                sessions.send_all(all.into_iter().map(|(player, session_epoch, applied, durable)| {
                    (player, ToSession::Progress { session_epoch, applied, durable })
                }));
            }
            RegionToEdge::Moved { key: horizon_protocol::link::EntityKey::Player(player), epoch, region } => {
                sessions.send(player, ToSession::Moved { epoch, region });
            }
            RegionToEdge::NotOwner { player } => sessions.send(player, ToSession::NotOwner(here)),
            RegionToEdge::Kicked { player, session_epoch } => {
                sessions.send(player, ToSession::Replaced(session_epoch));
            }
            RegionToEdge::Nack { player, from } => {
                sessions.send(player, ToSession::Nack { region: here, from });
            }
            RegionToEdge::Resync { player, epoch, tick } => {
                sessions.send(player, ToSession::Resync { epoch, tick });
            }
            RegionToEdge::Left { player } => sessions.send(player, ToSession::Left(here)),
            _ => {}
        }
    }
}
