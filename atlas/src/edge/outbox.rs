//! What waits to be written to one client.
//!
//! Reliable messages go in order and are never dropped: a queue that outgrows its bound ends the
//! connection, and the session resumes with the region's tail. State frames are paced by credit, so
//! that at most two wait; one credit goes back for each frame that the socket has taken.

use std::collections::VecDeque;

use horizon_model::Epoch;
use horizon_protocol::client::{Progress, ServerMessage, Spelling};
use tokio_tungstenite::tungstenite::Message;

use super::frames::Frame;
use super::spelling;

/// Frames of one session that may be on their way at once.
pub const CREDIT: u8 = 2;
/// Reliable messages that may wait. A region keeps at most 16 KiB of unacknowledged events per
/// player, so a reader that is merely slow stays far below it.
pub const MAX_QUEUED_MESSAGES: usize = 1_024;
/// Bytes of reliable messages that may wait.
pub const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// State frames that may wait: the credit of an old and of a new region.
pub const MAX_QUEUED_FRAMES: usize = 2 * CREDIT as usize;
/// A waiting state frame goes out after at most this many reliable messages.
const MESSAGES_PER_FRAME: u32 = 8;

/// The queue outgrew its bound: the client does not read. Close it as slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many reliable messages wait for the client")]
pub struct Overflow;

/// The queues of one connection.
#[derive(Debug)]
pub struct Outbox {
    spelling: Spelling,
    messages: VecDeque<Message>,
    bytes: usize,
    frames: VecDeque<Frame>,
    since_frame: u32,
    writing: u8,
    epoch: Option<Epoch>,
    progress: Progress,
}

impl Outbox {
    /// Empty; nothing was told yet.
    pub const fn new(spelling: Spelling) -> Self {
        Self {
            spelling,
            messages: VecDeque::new(),
            bytes: 0,
            frames: VecDeque::new(),
            since_frame: 0,
            writing: 0,
            epoch: None,
            progress: Progress { applied: 0, durable: 0 },
        }
    }

    /// Queues a reliable message. The first one always fits, however long.
    ///
    /// # Errors
    ///
    /// [`Overflow`].
    pub fn push(&mut self, message: &ServerMessage) -> Result<(), Overflow> {
        let message = spelling::write(self.spelling, message);
        let bytes = self.bytes + message.len();
        if !self.messages.is_empty()
            && (bytes > MAX_QUEUED_BYTES || self.messages.len() >= MAX_QUEUED_MESSAGES)
        {
            return Err(Overflow);
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    /// Queues a state frame. Returns whether an older one had to go because the region sent beyond its
    /// credit.
    pub fn push_frame(&mut self, frame: Frame) -> bool {
        self.frames.push_back(frame);
        let beyond = self.frames.len() > MAX_QUEUED_FRAMES;
        if beyond {
            self.frames.pop_front();
        }
        beyond
    }

    /// The client was told this progress, or is about to be.
    pub fn told(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Progress to tell where no frame is about to carry it; `None` where the client knows.
    pub fn progress(&mut self, progress: Progress) -> Option<Progress> {
        let news = progress != self.progress && self.frames.is_empty();
        news.then(|| {
            self.progress = progress;
            progress
        })
    }

    /// The next message for the socket, and the bytes of body in it if it is a state frame.
    pub fn pop(&mut self) -> Option<Message> {
        let frame_is_due = self.messages.is_empty() || self.since_frame >= MESSAGES_PER_FRAME;
        if frame_is_due && let Some(frame) = self.frames.pop_front() {
            self.since_frame = 0;
            self.writing += 1;
            return Some(self.wrap(&frame));
        }
        let message = self.messages.pop_front()?;
        self.since_frame += 1;
        self.bytes -= message.len();
        Some(message)
    }

    /// Everything popped is with the kernel: the credit that comes free.
    pub fn flushed(&mut self) -> u8 {
        std::mem::take(&mut self.writing)
    }

    /// Frames that came and have not given their credit back.
    pub fn frames_held(&self) -> u8 {
        u8::try_from(self.frames.len()).unwrap_or(u8::MAX).saturating_add(self.writing)
    }

    fn wrap(&mut self, frame: &Frame) -> Message {
        let epoch = (self.epoch != Some(frame.epoch)).then_some(frame.epoch);
        self.epoch = Some(frame.epoch);
        let now = Progress { applied: frame.applied, durable: frame.durable.max(self.progress.durable) };
        let progress = (now != self.progress).then_some(now);
        self.progress = now;
        spelling::write_state(self.spelling, epoch, frame.tick, progress, &frame.body)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use horizon_model::Tick;

    use super::*;

    fn frame(tick: u64, epoch: u64, applied: u32) -> Frame {
        Frame {
            tick: Tick(tick),
            epoch: Epoch::new(1, epoch),
            applied,
            durable: applied,
            sequence: 0,
            body: Bytes::from_static(b"[]"),
        }
    }

    fn texts(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop()).map(|message| message.to_string()).collect()
    }

    #[test]
    fn epoch_and_progress_travel_where_they_changed() {
        let mut outbox = Outbox::new(Spelling::Json);
        for (tick, epoch, applied) in [(2, 1, 0), (4, 1, 0), (6, 1, 3), (8, 2, 3)] {
            outbox.push_frame(frame(tick, epoch, applied));
        }
        let expected = [
            r#"{"t":"state","tick":2,"epoch":"1.1","body":[]}"#,
            r#"{"t":"state","tick":4,"body":[]}"#,
            r#"{"t":"state","tick":6,"applied":3,"durable":3,"body":[]}"#,
            r#"{"t":"state","tick":8,"epoch":"1.2","body":[]}"#,
        ];
        assert_eq!(texts(&mut outbox), expected);
        assert_eq!(outbox.flushed(), 4);
        assert_eq!(outbox.flushed(), 0, "credit goes back once");
        assert_eq!(outbox.progress(Progress { applied: 3, durable: 3 }), None);
        assert!(outbox.progress(Progress { applied: 4, durable: 3 }).is_some());
    }

    #[test]
    fn a_flood_of_messages_lets_frames_through_and_ends_at_a_bound() {
        let mut outbox = Outbox::new(Spelling::Json);
        let nack = ServerMessage::Nack { from: 1 };
        for _ in 0..MAX_QUEUED_MESSAGES {
            outbox.push(&nack).expect("within the bound");
        }
        assert_eq!(outbox.push(&nack), Err(Overflow));
        outbox.push_frame(frame(2, 1, 0));
        let place = texts(&mut outbox).iter().position(|text| text.contains("state"));
        assert_eq!(place, Some(MESSAGES_PER_FRAME as usize));
    }

    #[test]
    fn frames_beyond_the_credit_push_out_the_oldest() {
        let mut outbox = Outbox::new(Spelling::Json);
        let dropped: Vec<_> = (1..=5).map(|n| outbox.push_frame(frame(n * 2, 1, 0))).collect();
        assert_eq!(dropped, [false, false, false, false, true]);
        assert!(texts(&mut outbox)[0].contains(r#""tick":4"#));
    }
}
