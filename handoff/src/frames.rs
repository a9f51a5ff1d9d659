//! Puts one session's state frames back into order where two regions send them.
//!
//! At a handoff the last frame of the old region may be overtaken by the first one of the new: they
//! come over different links. Frames are numbered across regions, so an early one waits here for a
//! moment; one that never comes is given up, and the region is asked to tell everything anew.
//!
//! Invariant: what leaves has rising numbers, and a frame of an older epoch leaves only where the newer
//! region took over by a handoff, and the frame was made before. After a crash no older one leaves, and where
//! the successor lacks an input that was shown, [`FrameOrder::undoes`] says so with its first frame.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_model::{Epoch, Tick};

/// An overtaken frame has this long to arrive. Two links of one machine differ by far less; at the
/// usual rates it is one or two frames.
pub const FRAME_PATIENCE: Duration = Duration::from_millis(60);
/// Early frames kept at most; credit allows two per region.
pub const MAX_EARLY_FRAMES: usize = 4;

/// One frame on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<B> {
    /// The tick described.
    pub tick: Tick,
    /// Authority epoch of the player there.
    pub epoch: Epoch,
    /// Highest input applied.
    pub applied: u32,
    /// Highest input durable.
    pub durable: u32,
    /// Its number within the session.
    pub sequence: u32,
    /// GORC body in the session's spelling.
    pub body: B,
}

/// The order of one session's frames.
#[derive(Debug, Default)]
pub struct FrameOrder<B> {
    next: Option<u32>,
    epoch: Epoch,
    since: Tick,
    /// Numbers began anew here: what is older has no place among them, however old its tick is.
    floor: Epoch,
    early: BTreeMap<u32, Frame<B>>,
    /// Of a newer owner that has not attached yet, with numbers from before: after a crash its count
    /// begins again where the journal knew it to be, and its attach says so.
    renumbered: BTreeMap<u32, Frame<B>>,
    waiting_since: Option<Duration>,
    /// Owner and highest input of the last frame that left, as far as the client was not told that the input
    /// is undone.
    shown: (Epoch, u32),
}

/// What came of a frame, or of waiting for one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ready<B> {
    /// To be sent now, in this order.
    pub frames: Vec<Frame<B>>,
    /// One was given up: ask the region to tell everything anew.
    pub missing: bool,
}

impl<B: Default> FrameOrder<B> {
    /// The region that owns the player at `epoch` attached at its tick `since`, after its frame number
    /// `sequence`. Where its numbers do not go on from the region before (`continues`), they begin there.
    /// Frames that came before are released where they go on from there.
    pub fn attach(&mut self, epoch: Epoch, since: Tick, sequence: u32, continues: bool) -> Ready<B> {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.since = since;
        }
        if !continues {
            self.floor = self.floor.max(epoch);
        }
        if !continues || self.next.is_none() {
            self.next = Some(sequence.wrapping_add(1));
            self.early.append(&mut self.renumbered);
            self.early.retain(|&number, frame| number > sequence && frame.epoch >= epoch);
            self.waiting_since = None;
        }
        self.renumbered.clear();
        Ready { frames: self.in_order(), missing: false }
    }

    /// To be called with each frame that leaves: whether it lacks an input that a frame of an older owner has
    /// shown. A crash undid it, and the client has to be told before the frame. A recovered region says so too,
    /// but its words can go down with the link, and the next owner may not know of the crash.
    pub fn undoes(&mut self, frame: &Frame<B>) -> bool {
        let (epoch, applied) = self.shown;
        self.shown = (frame.epoch, frame.applied);
        frame.epoch > epoch && frame.applied < applied
    }

    /// The client was told that every input above `durable` may be undone.
    pub fn undone_above(&mut self, durable: u32) {
        self.shown.1 = self.shown.1.min(durable);
    }

    /// Takes a frame that arrived at `now`. Stale and repeated ones are dropped; before the first
    /// [`Self::attach`] it waits.
    pub fn push(&mut self, now: Duration, frame: Frame<B>) -> Ready<B> {
        let stale = frame.epoch < self.floor || frame.epoch < self.epoch && frame.tick > self.since;
        let passed = self.next.is_some_and(|next| frame.sequence < next);
        if !stale && passed && frame.epoch > self.epoch && self.renumbered.len() < MAX_EARLY_FRAMES {
            self.renumbered.insert(frame.sequence, frame);
            return Ready::default();
        }
        if stale || passed {
            return Ready::default();
        }
        self.early.insert(frame.sequence, frame);
        if self.next.is_none() {
            if self.early.len() > MAX_EARLY_FRAMES {
                self.early.pop_first();
            }
            return Ready::default();
        }
        let mut ready = Ready { frames: self.in_order(), missing: false };
        if self.early.len() > MAX_EARLY_FRAMES {
            self.give_up(&mut ready);
        }
        self.waiting_since = if self.early.is_empty() { None } else { self.waiting_since.or(Some(now)) };
        ready
    }

    /// Gives up frames that should have come by `now`.
    pub fn expire(&mut self, now: Duration) -> Ready<B> {
        let mut ready = Ready::default();
        if self.deadline().is_some_and(|at| at <= now) {
            self.give_up(&mut ready);
            self.waiting_since = (!self.early.is_empty()).then_some(now);
        }
        ready
    }

    /// When to call [`Self::expire`].
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting_since.map(|since| since + FRAME_PATIENCE)
    }

    fn in_order(&mut self) -> Vec<Frame<B>> {
        let mut frames = Vec::new();
        while let Some(entry) = self.early.first_entry() {
            if self.next != Some(*entry.key()) {
                break;
            }
            self.next = Some(entry.key().wrapping_add(1));
            frames.push(entry.remove());
        }
        if !frames.is_empty() {
            self.waiting_since = None;
        }
        frames
    }

    fn give_up(&mut self, ready: &mut Ready<B>) {
        self.next = self.early.keys().next().copied();
        ready.missing = true;
        ready.frames.extend(self.in_order());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: Epoch = Epoch::new(1, 4);
    const NEW: Epoch = Epoch::new(1, 5);

    fn frame(sequence: u32, epoch: Epoch, tick: u64) -> Frame<()> {
        Frame { tick: Tick(tick), epoch, applied: 0, durable: 0, sequence, body: () }
    }

    fn numbers(ready: &Ready<()>) -> Vec<u32> {
        ready.frames.iter().map(|frame| frame.sequence).collect()
    }

    #[test]
    fn an_overtaken_frame_of_the_old_region_comes_first() {
        let mut order = FrameOrder::default();
        order.attach(OLD, Tick(10), 6, false);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(7, OLD, 10))), [7]);
        order.attach(NEW, Tick(14), 8, true);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(9, NEW, 14))), [0; 0]);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(8, OLD, 12))), [8, 9]);
        assert_eq!(order.deadline(), None);
    }

    #[test]
    fn a_zombie_is_not_heard() {
        let mut order = FrameOrder::default();
        order.attach(NEW, Tick(14), 7, false);
        for tick in [12, 14, 16] {
            let late = order.push(Duration::ZERO, frame(8, OLD, tick));
            assert_eq!(numbers(&late), [0; 0], "made at {tick}: it was undone, or is a zombie's");
        }
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(8, NEW, 16))), [8]);
    }

    /// The first frame of a successor tells everything anew: without it the others mean something else.
    #[test]
    fn a_successor_counts_from_an_older_number_and_may_be_quicker_than_its_attach() {
        let mut order = FrameOrder::default();
        order.attach(OLD, Tick(10), 6, false);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(7, OLD, 10))), [7]);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(5, NEW, 90))), [0; 0]);
        assert_eq!(order.deadline(), None, "it waits for nothing but the attach");
        assert_eq!(numbers(&order.attach(NEW, Tick(90), 4, false)), [5]);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(6, NEW, 92))), [6]);
        assert_eq!(numbers(&order.push(Duration::ZERO, frame(7, OLD, 12))), [0; 0], "undone");
    }

    /// A region server that was stopped wakes up, long after a successor has begun to count anew.
    #[test]
    fn a_zombie_that_counts_further_is_not_heard_either() {
        let mut order = FrameOrder::default();
        order.attach(NEW, Tick(900), 7, false);
        order.push(Duration::ZERO, frame(20, OLD, 600));
        assert_eq!(numbers(&order.expire(FRAME_PATIENCE)), [0; 0]);
        assert_eq!(numbers(&order.push(FRAME_PATIENCE, frame(8, NEW, 900))), [8]);
        order.attach(NEW.next(), Tick(960), 9, true);
        order.push(FRAME_PATIENCE, frame(21, OLD, 602));
        assert_eq!(numbers(&order.expire(2 * FRAME_PATIENCE)), [0; 0]);
    }

    #[test]
    fn a_successor_that_lacks_an_input_that_was_shown_is_noticed_once() {
        let rows = [
            ("a handoff", None, vec![(OLD, 140), (OLD, 141), (NEW, 141), (NEW, 142)], vec![false; 4]),
            ("a crash", None, vec![(OLD, 141), (NEW, 140), (NEW, 140)], vec![false, true, false]),
            ("a crash, and a handoff", None, vec![(OLD, 141), (NEW.next(), 140)], vec![false, true]),
            ("a crash of which the region spoke", Some(140), vec![(NEW, 140), (NEW, 141)], vec![false; 2]),
        ];
        for (name, told, frames, expected) in rows {
            let mut order = FrameOrder::default();
            if let Some(durable) = told {
                order.undoes(&Frame { applied: 141, ..frame(1, OLD, 10) });
                order.undone_above(durable);
            }
            let undoes = frames
                .into_iter()
                .map(|(epoch, applied)| order.undoes(&Frame { applied, ..frame(2, epoch, 12) }));
            assert_eq!(undoes.collect::<Vec<bool>>(), expected, "{name}");
        }
    }

    #[test]
    fn a_lost_frame_is_given_up_after_a_moment() {
        let mut order = FrameOrder::default();
        order.attach(OLD, Tick(10), 0, false);
        order.push(Duration::ZERO, frame(1, OLD, 10));
        order.push(Duration::ZERO, frame(3, OLD, 14));
        assert_eq!(order.expire(FRAME_PATIENCE / 2), Ready::default());
        let ready = order.expire(FRAME_PATIENCE);
        assert_eq!((numbers(&ready), ready.missing), (vec![3], true));
        assert_eq!(numbers(&order.push(FRAME_PATIENCE, frame(4, OLD, 16))), [4]);
    }

    proptest! {
        /// However links shuffle frames, what leaves has rising numbers; and where none is further
        /// from its place than may wait here, nothing is lost.
        #[test]
        fn order_is_kept(swaps in prop::collection::vec(any::<bool>(), 1..60)) {
            let mut sent: Vec<u32> = (1..=2 * swaps.len() as u32).collect();
            for (pair, swap) in sent.chunks_mut(2).zip(&swaps) {
                if *swap {
                    pair.swap(0, 1);
                }
            }
            let mut order = FrameOrder::default();
            order.attach(OLD, Tick(0), 0, false);
            let mut seen = Vec::new();
            for n in &sent {
                let ready = order.push(Duration::ZERO, frame(*n, OLD, u64::from(*n)));
                prop_assert!(!ready.missing);
                seen.extend(numbers(&ready));
            }
            sent.sort_unstable();
            prop_assert_eq!(seen, sent);
        }

        /// Whatever arrives, numbers rise.
        #[test]
        fn numbers_rise(arrivals in prop::collection::vec((0_u32..40, 0_u64..30), 0..80)) {
            let mut order = FrameOrder::default();
            order.attach(OLD, Tick(0), 0, false);
            let (mut now, mut seen) = (Duration::ZERO, Vec::new());
            for (n, wait_ms) in arrivals {
                now += Duration::from_millis(wait_ms);
                seen.extend(numbers(&order.expire(now)));
                seen.extend(numbers(&order.push(now, frame(n, OLD, u64::from(n)))));
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen);
        }
    }
}
