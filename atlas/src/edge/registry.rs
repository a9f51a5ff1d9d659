//! Which session of this edge a player's messages go to.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use horizon_handoff::SessionRecord;
use horizon_model::{Epoch, PlayerId, RegionId, Tick};
use horizon_protocol::client::EventName;
use horizon_protocol::link::AttachRecord;
use tokio::sync::mpsc;

use super::frames::Frame;

/// Messages that may wait for one session. Frames are bounded by credit; the rest is events, of
/// which a region has at most 16 KiB under way.
pub const INBOX_MESSAGES: usize = 1_024;

/// Sessions whose end is remembered: far more than end within the moment of a handoff. Whoever is
/// forgotten lingers instead of leaving at once.
const ENDED_SESSIONS: usize = 1_024;

/// What a session hears from the rest of the edge.
#[derive(Debug)]
pub enum ToSession {
    /// A region owns the player.
    Attach(Box<AttachRecord>),
    /// A state frame from the region at the other end of a link.
    Frame(RegionId, Frame),
    /// A reliable event.
    Event {
        /// Of which session.
        session_epoch: Epoch,
        /// Its number.
        number: u32,
        /// What happened.
        name: EventName,
        /// Spelled for the session.
        payload: Vec<u8>,
    },
    /// How far inputs have come.
    Progress {
        /// Of which session.
        session_epoch: Epoch,
        /// Highest applied.
        applied: u32,
        /// Highest durable.
        durable: u32,
    },
    /// A region misses inputs.
    Nack {
        /// Which region.
        region: RegionId,
        /// From which number on.
        from: u32,
    },
    /// What was shown after a tick may be undone.
    Resync {
        /// Authority epoch from now on.
        epoch: Epoch,
        /// Last certain tick.
        tick: Tick,
    },
    /// Another region owns the player.
    Moved {
        /// Authority epoch there.
        epoch: Epoch,
        /// Where.
        region: RegionId,
    },
    /// A region does not have the player.
    NotOwner(RegionId),
    /// A region has saved the player and let go.
    Left(RegionId),
    /// Who serves which region has changed.
    Routes,
    /// A newer connection took the session with this epoch, or the account.
    Replaced(Epoch),
    /// This edge goes away.
    Draining,
    /// The world stops.
    Shutdown,
}

/// All sessions of this edge, by player.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Mutex<HashMap<PlayerId, Entry>>,
    ended: Mutex<VecDeque<(PlayerId, Epoch, bool)>>,
}

#[derive(Debug)]
struct Entry {
    record: SessionRecord,
    serial: u64,
    inbox: mpsc::Sender<ToSession>,
    overflowed: Arc<AtomicBool>,
}

/// One session's end of the registry.
#[derive(Debug)]
pub struct Inbox {
    /// What it hears.
    pub messages: mpsc::Receiver<ToSession>,
    overflowed: Arc<AtomicBool>,
    serial: u64,
}

impl Inbox {
    /// Whether something did not fit: the session must end and resume.
    pub fn has_overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Acquire)
    }
}

impl Registry {
    /// Makes the session of `record` the player's current one and tells the one before. `None` where
    /// a newer one is there already.
    pub fn enter(&self, player: PlayerId, record: SessionRecord) -> Option<Inbox> {
        let (inbox, messages) = mpsc::channel(INBOX_MESSAGES);
        let overflowed = Arc::new(AtomicBool::new(false));
        let mut entries = self.entries();
        let serial = match entries.get(&player) {
            Some(known) if known.record.epoch > record.epoch => return None,
            Some(known) => {
                let _ = known.inbox.try_send(ToSession::Replaced(known.record.epoch));
                known.serial + 1
            }
            None => 0,
        };
        entries.insert(player, Entry { record, serial, inbox, overflowed: overflowed.clone() });
        Some(Inbox { messages, overflowed, serial })
    }

    /// Forgets the session, unless another one is there meanwhile.
    pub fn leave(&self, player: PlayerId, epoch: Epoch, inbox: &Inbox) {
        let mut entries = self.entries();
        if entries
            .get(&player)
            .is_some_and(|known| known.record.epoch == epoch && known.serial == inbox.serial)
        {
            entries.remove(&player);
        }
    }

    /// The records of all sessions here, as this edge won them.
    pub fn records(&self) -> Vec<(PlayerId, SessionRecord)> {
        self.entries().iter().map(|(player, entry)| (*player, entry.record)).collect()
    }

    /// Remembers how a session ended: a region that takes the player over at that moment has not heard.
    pub fn ended(&self, player: PlayerId, epoch: Epoch, bye: bool) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() == ENDED_SESSIONS {
            ended.pop_front();
        }
        ended.push_back((player, epoch, bye));
    }

    /// Whether a session of this epoch is over here, and then whether the player said goodbye.
    pub fn is_over(&self, player: PlayerId, epoch: Epoch) -> Option<bool> {
        if self.entries().contains_key(&player) {
            return None;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ended.iter().rev().find(|(other, of, _)| *other == player && *of == epoch);
        Some(known.is_some_and(|(.., bye)| *bye))
    }

    /// Gives `message` to the player's session, if there is one.
    pub fn send(&self, player: PlayerId, message: ToSession) {
        if let Some(entry) = self.entries().get(&player) {
            entry.send(message);
        }
    }

    /// Gives many messages out under one lock.
    pub fn send_all(&self, messages: impl Iterator<Item = (PlayerId, ToSession)>) {
        let entries = self.entries();
        for (player, message) in messages {
            if let Some(entry) = entries.get(&player) {
                entry.send(message);
            }
        }
    }

    /// Tells every session.
    pub fn broadcast(&self, message: impl Fn() -> ToSession) {
        self.entries().values().for_each(|entry| entry.send(message()));
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<PlayerId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Never blocks. What does not fit is lost, and the session learns that something was.
    fn send(&self, message: ToSession) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.inbox.try_send(message) {
            self.overflowed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::{EdgeId, SessionId};

    use super::*;

    const P: PlayerId = PlayerId(7);

    fn epoch(n: u64) -> Epoch {
        Epoch::new(1, n)
    }

    fn record(n: u64) -> SessionRecord {
        SessionRecord { session: SessionId(1), epoch: epoch(n), nonce: n, edge: EdgeId(1) }
    }

    #[test]
    fn the_newest_session_of_a_player_replaces_the_others() {
        let registry = Registry::default();
        let mut old = registry.enter(P, record(1)).expect("first");
        let new = registry.enter(P, record(2)).expect("second");
        assert!(registry.enter(P, record(1)).is_none(), "a late older one");
        assert!(matches!(old.messages.try_recv(), Ok(ToSession::Replaced(e)) if e == epoch(1)));
        registry.leave(P, epoch(1), &old);
        assert_eq!(registry.len(), 1, "an old session does not take the new one with it");
        let again = registry.enter(P, record(2)).expect("the same attempt repeated");
        registry.leave(P, epoch(2), &new);
        assert_eq!(registry.len(), 1);
        registry.leave(P, epoch(2), &again);
        assert!(registry.is_empty());
    }

    #[test]
    fn a_full_inbox_is_noticed() {
        let registry = Registry::default();
        let inbox = registry.enter(P, record(1)).expect("first");
        registry.send_all((0..INBOX_MESSAGES).map(|_| (P, ToSession::Routes)));
        assert!(!inbox.has_overflowed());
        registry.send(P, ToSession::Routes);
        assert!(inbox.has_overflowed());
    }
}
