//! Reliable events that the client has not acknowledged.

use std::collections::VecDeque;

use rkyv::{Archive, Deserialize, Serialize};

use super::capsule_part;

/// Longest unacknowledged tail in bytes. It travels in the capsule, so it must leave room there.
pub const MAX_TAIL_BYTES: usize = 16 * 1024;
/// Bytes counted for an event beside its texts and payload.
const OVERHEAD_BYTES: usize = 16;

/// One event that was numbered.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct NumberedEvent {
    /// 1, 2, 3 … within the session.
    pub number: u32,
    /// Plugin namespace.
    pub namespace: String,
    /// Event.
    pub event: String,
    /// MessagePack, spelled for the session when it is sent.
    pub payload: Vec<u8>,
}

impl NumberedEvent {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.namespace.len() + self.event.len() + self.payload.len()
    }
}

/// The tail is full: nothing was numbered. Keep the event waiting and push it again after an
/// acknowledgement; one that alone exceeds the cap will never fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} more bytes do not fit in a tail of {MAX_TAIL_BYTES}, {held} are unacknowledged")]
pub struct Full {
    /// Size of the event as counted.
    pub bytes: usize,
    /// Size of the tail.
    pub held: usize,
}

/// Numbers events and keeps each until the client has it.
///
/// Invariant: numbers are given once, in order, and the tail is exactly `acked + 1 ..= last`.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct EventTail {
    last: u32,
    bytes: u32,
    tail: VecDeque<NumberedEvent>,
}

impl EventTail {
    /// A new session: the first event is number 1.
    pub const fn new() -> Self {
        Self { last: 0, bytes: 0, tail: VecDeque::new() }
    }

    /// Number of the newest event, 0 before the first.
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// Size of the tail in bytes, as counted against [`MAX_TAIL_BYTES`].
    pub const fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Numbers and keeps one event.
    ///
    /// # Errors
    ///
    /// [`Full`], and nothing changed.
    pub fn push(&mut self, namespace: &str, event: &str, payload: Vec<u8>) -> Result<u32, Full> {
        let event = NumberedEvent {
            number: self.last + 1,
            namespace: namespace.to_owned(),
            event: event.to_owned(),
            payload,
        };
        let (bytes, held) = (event.bytes(), self.bytes());
        if held + bytes > MAX_TAIL_BYTES {
            return Err(Full { bytes, held });
        }
        self.bytes += bytes as u32;
        self.last = event.number;
        self.tail.push_back(event);
        Ok(self.last)
    }

    /// The client has every event up to `number`. Late and repeated ones change nothing.
    pub fn ack(&mut self, number: u32) {
        while let Some(event) = self.tail.pop_front_if(|event| event.number <= number) {
            self.bytes -= event.bytes() as u32;
        }
    }

    /// What the client may not have, oldest first.
    pub fn unacked(&self) -> impl DoubleEndedIterator<Item = &NumberedEvent> {
        self.tail.iter()
    }
}

capsule_part!(EventTail, "horizon.events");
