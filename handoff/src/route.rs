//! Edge side of one session: where its inputs go, and which frames are believed.
//!
//! ```text
//!                 Attach, newer epoch                       inputs, in order
//!   Searching ───────────────────────────▶ Attached ───────────────────────▶ region
//!     ▲  ▲                                    │ │
//!     │  └──── Hint or frame, newer epoch ────┘ │      ring: inputs > durable, at most
//!     └──────────── RegionLost ─────────────────┘      256 or 64 KiB, oldest forgotten first
//! ```
//!
//! Invariant: the route is a hint and the epoch the proof. Epochs here only rise, so a frame of an
//! older owner reaches nobody. An input leaves only towards a region that said from which number it
//! needs them, and from there on without a gap; what the ring forgot the client still holds, and is
//! asked for. Losing all of this costs a resend.

use std::collections::VecDeque;

use horizon_model::{Epoch, RegionId};

use crate::mutant::{Mutant, is_off};

/// Inputs kept per session: four client windows.
pub const MAX_RING_INPUTS: usize = 256;
/// Bytes of inputs kept per session.
pub const MAX_RING_BYTES: usize = 64 * 1024;

/// What makes the machine advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<T> {
    /// The client sent a reliable input.
    ClientInput {
        /// Its number, from 1.
        seq: u32,
        /// Its size in bytes, for the cap.
        bytes: usize,
        /// The input, as the edge wants it back.
        input: T,
    },
    /// A region owns the player and needs the inputs above `applied`.
    Attach {
        /// Authority epoch.
        epoch: Epoch,
        /// The region.
        region: RegionId,
        /// Highest input applied.
        applied: u32,
    },
    /// A region says that somebody owns the player.
    Hint {
        /// Authority epoch.
        epoch: Epoch,
        /// The region.
        region: RegionId,
    },
    /// A state frame or event came from a linked region.
    FrameFrom {
        /// Authority epoch it names.
        epoch: Epoch,
        /// The region at the other end of the link.
        region: RegionId,
    },
    /// A region says how far the inputs have come.
    Progress {
        /// Authority epoch.
        epoch: Epoch,
        /// Highest input applied.
        applied: u32,
        /// Highest input durable: true from any epoch.
        durable: u32,
    },
    /// The owner misses inputs.
    Nack {
        /// The region that asks.
        region: RegionId,
        /// First missing.
        from: u32,
    },
    /// The link to a region is gone.
    RegionLost {
        /// Which.
        region: RegionId,
    },
}

/// What the edge does next, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<T> {
    /// Send one input to the region.
    Forward {
        /// Where to.
        region: RegionId,
        /// Its number.
        seq: u32,
        /// The input.
        input: T,
    },
    /// Ask the client to send its inputs again.
    NackClient {
        /// From this number on.
        from: u32,
    },
    /// Pass the frame or event on.
    Accept,
    /// Drop the frame or event: its sender is not the owner.
    Drop,
    /// Open the session again once that region is served and linked; it will attach.
    Reopen {
        /// The owner as far as it is known.
        region: RegionId,
    },
}

/// Route and input ring of one session.
#[derive(Debug, Clone)]
pub struct Route<T> {
    epoch: Epoch,
    region: RegionId,
    /// Next number to forward to the current region; `None` until it attached.
    next: Option<u32>,
    ring: VecDeque<Kept<T>>,
    ring_bytes: usize,
    applied: u32,
    durable: u32,
    /// Highest number that was forgotten without being durable.
    forgotten: u32,
    /// The client was asked for everything below this number, and need not be asked again.
    asked_below: u32,
}

#[derive(Debug, Clone)]
struct Kept<T> {
    seq: u32,
    bytes: usize,
    input: T,
}

impl<T: Clone> Route<T> {
    /// The route of a session whose record names `region` at `epoch`, as read from the store.
    pub const fn new(epoch: Epoch, region: RegionId) -> Self {
        Self {
            epoch,
            region,
            next: None,
            ring: VecDeque::new(),
            ring_bytes: 0,
            applied: 0,
            durable: 0,
            forgotten: 0,
            asked_below: 0,
        }
    }

    /// Highest authority epoch that was seen.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The owner as far as it is known.
    pub const fn region(&self) -> RegionId {
        self.region
    }

    /// Whether the region at hand attached and gets inputs.
    pub const fn is_attached(&self) -> bool {
        self.next.is_some()
    }

    /// Highest input applied and highest durable, as the client may be told. Durable never goes back;
    /// applied does where a crash undid it, under a newer epoch.
    pub const fn progress(&self) -> (u32, u32) {
        (self.applied, self.durable)
    }

    /// Inputs kept, and their bytes.
    pub fn kept(&self) -> (usize, usize) {
        (self.ring.len(), self.ring_bytes)
    }

    /// Advances the machine. Late and repeated inputs produce no output but [`Output::Drop`].
    pub fn handle(&mut self, input: Input<T>) -> Vec<Output<T>> {
        match input {
            Input::ClientInput { seq, bytes, input } => self.client_input(seq, bytes, input),
            Input::Attach { epoch, region, applied } => self.attach(epoch, region, applied),
            Input::Hint { epoch, region } if epoch > self.epoch => {
                self.move_to(epoch, region);
                vec![]
            }
            Input::FrameFrom { epoch, region } => {
                if epoch > self.epoch {
                    self.move_to(epoch, region);
                }
                let from_owner = epoch == self.epoch && self.region == region;
                vec![if from_owner || is_off(Mutant::AnyEpochPasses) { Output::Accept } else { Output::Drop }]
            }
            Input::Progress { epoch, applied, durable } => {
                if epoch == self.epoch {
                    self.applied = self.applied.max(applied);
                }
                self.applied = self.applied.max(durable);
                self.durable = self.durable.max(durable);
                self.forget_durable();
                vec![]
            }
            Input::Nack { .. } if is_off(Mutant::NothingAgain) => vec![],
            Input::Nack { region, from } if self.region == region && self.next.is_some() => {
                self.next = Some(from);
                self.asked_below = 0;
                self.forward()
            }
            Input::RegionLost { region } if self.region == region => {
                self.next = None;
                vec![Output::Reopen { region }]
            }
            Input::Hint { .. } | Input::Nack { .. } | Input::RegionLost { .. } => vec![],
        }
    }

    fn client_input(&mut self, seq: u32, bytes: usize, input: T) -> Vec<Output<T>> {
        if seq <= self.durable {
            return vec![];
        }
        let at = self.ring.partition_point(|kept| kept.seq < seq);
        if self.ring.get(at).is_some_and(|kept| kept.seq == seq) {
            return vec![];
        }
        self.ring.insert(at, Kept { seq, bytes, input });
        self.ring_bytes += bytes;
        // Forwarded before the ring is cut: an input that was asked for must not be the one forgotten.
        let outputs = self.forward();
        while self.ring.len() > MAX_RING_INPUTS || self.ring_bytes > MAX_RING_BYTES {
            if let Some(seq) = self.pop_oldest() {
                self.forgotten = self.forgotten.max(seq);
            }
        }
        outputs
    }

    fn attach(&mut self, epoch: Epoch, region: RegionId, applied: u32) -> Vec<Output<T>> {
        let newer = epoch > self.epoch || is_off(Mutant::AnyEpochPasses);
        if !newer && (epoch, region) != (self.epoch, self.region) {
            return vec![];
        }
        let wanted = applied + 1;
        let wanted = if is_off(Mutant::NothingAgain) { self.without_again(newer, applied) } else { wanted };
        if newer || self.next.is_none() {
            // What a crash undid counts as not applied, and must come again.
            self.next = Some(wanted);
            self.applied = applied.max(self.durable);
        } else {
            self.next = self.next.max(Some(wanted));
            self.applied = self.applied.max(applied);
        }
        (self.epoch, self.region, self.asked_below) = (epoch, region, 0);
        self.forward()
    }

    /// Where an edge goes on that sends nothing again: behind what it has, and behind what was on its way when a
    /// connection that is resumed was lost.
    fn without_again(&self, newer: bool, applied: u32) -> u32 {
        let resumed = !newer && self.applied == 0 && applied > 0;
        let newest = self.ring.back().map_or(applied, |kept| kept.seq);
        newest.max(applied + u32::from(resumed)) + 1
    }

    fn move_to(&mut self, epoch: Epoch, region: RegionId) {
        (self.epoch, self.region, self.next) = (epoch, region, None);
    }

    /// Forwards what follows without a gap. A gap is the client's to fill.
    fn forward(&mut self) -> Vec<Output<T>> {
        let Some(mut next) = self.next else { return vec![] };
        let region = self.region;
        let mut outputs = vec![];
        let from = self.ring.partition_point(|kept| kept.seq < next);
        let mut gap_below = None;
        for kept in self.ring.range(from..) {
            if kept.seq != next {
                gap_below = Some(kept.seq);
                break;
            }
            outputs.push(Output::Forward { region, seq: next, input: kept.input.clone() });
            next += 1;
        }
        if gap_below.is_none() && next <= self.forgotten {
            gap_below = Some(self.forgotten + 1);
        }
        if let Some(below) = gap_below.filter(|_| next >= self.asked_below) {
            self.asked_below = below;
            outputs.push(Output::NackClient { from: next });
        }
        self.next = Some(next);
        outputs
    }

    fn forget_durable(&mut self) {
        while self.ring.front().is_some_and(|kept| kept.seq <= self.durable) {
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) -> Option<u32> {
        let kept = self.ring.pop_front()?;
        self.ring_bytes -= kept.bytes;
        Some(kept.seq)
    }
}

#[cfg(test)]
mod tests;
