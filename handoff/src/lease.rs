//! Holder's side of a region lease: how long may this process acknowledge, and when is it over?
//!
//! ```text
//!            Renewed                    deadline passes               Superseded
//!   ┌──────▶ Held ─────────────────────────────────────▶ Degraded ────────────────▶ Lost
//!   │          │  Superseded                                │  │                     ▲
//!   │          └───────────────────────────────────────────┼──┼─────────────────────┘
//!   └──────────────────────────────────────────────────────┘  Renewed
//! ```
//!
//! Invariant: a durable acknowledgement leaves only while the store cannot have given the lease to
//! another. So the deadline counts from the *start* of the last renewal that succeeded and ends before
//! the lease does. Past it the region goes on simulating, acknowledges nothing and hands nothing over;
//! it falls silent only when it is shown a higher epoch.

use std::time::Duration;

use horizon_model::Epoch;

/// Life of a lease at the store where the configuration names none.
pub const DEFAULT_TTL: Duration = Duration::from_secs(2);

/// What makes the machine advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A renewal leaves for the store.
    RenewStarted,
    /// The renewal that left at `started` succeeded.
    Renewed {
        /// Grid time when it left.
        started: Duration,
    },
    /// The store did not answer, or not in time.
    RenewFailed,
    /// The store or a peer shows a lease epoch of this region.
    Superseded {
        /// Which; ours or a lower one means nothing.
        epoch: Epoch,
    },
    /// The store says that the lease is not ours.
    Lost,
}

/// What a holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Everything.
    Held,
    /// Simulate and show; acknowledge nothing as durable, hand nothing over.
    Degraded,
    /// Nothing at all.
    Lost,
}

/// The lease of one region as its holder knows it.
#[derive(Debug, Clone)]
pub struct LeaseKeeper {
    epoch: Epoch,
    ttl: Duration,
    /// Start of the last renewal that succeeded.
    confirmed: Duration,
    next_renewal: Duration,
    in_flight: bool,
    lost: bool,
}

impl LeaseKeeper {
    /// The lease of `epoch` whose acquisition began at grid time `started` and succeeded.
    pub fn new(epoch: Epoch, ttl: Duration, started: Duration) -> Self {
        Self {
            epoch,
            ttl,
            confirmed: started,
            next_renewal: started + ttl / 5,
            in_flight: false,
            lost: false,
        }
    }

    /// The fencing token.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Life of the lease at the store.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Advances the machine. A renewal that is answered late still counts from its start.
    pub fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::RenewStarted => {
                self.in_flight = true;
                self.next_renewal = now + self.ttl / 5;
            }
            Input::Renewed { started } => {
                self.in_flight = false;
                self.confirmed = self.confirmed.max(started);
            }
            Input::RenewFailed => self.in_flight = false,
            Input::Superseded { epoch } => self.lost |= epoch > self.epoch,
            Input::Lost => self.lost = true,
        }
    }

    /// Whether the next renewal should leave now: a fifth of the life after the last one left, and
    /// none is on its way.
    pub fn wants_renewal(&self, now: Duration) -> bool {
        !self.lost && !self.in_flight && now >= self.next_renewal
    }

    /// When [`Self::wants_renewal`] turns true or the standing changes, and what is being awaited.
    pub fn next_timeout(&self, now: Duration) -> Option<(Duration, &'static str)> {
        if self.lost {
            return None;
        }
        let renewal = (!self.in_flight).then_some((self.next_renewal, "next renewal of the lease"));
        let deadline = (now < self.deadline()).then_some((self.deadline(), "end of the confirmed lease"));
        renewal.into_iter().chain(deadline).min_by_key(|(at, _)| *at)
    }

    /// Until when the last renewal is good: four fifths of the life after it left.
    pub fn deadline(&self) -> Duration {
        self.confirmed + self.ttl * 4 / 5
    }

    /// What the holder may do.
    pub fn standing(&self, now: Duration) -> Standing {
        match self.remaining(now) {
            _ if self.lost => Standing::Lost,
            Duration::ZERO => Standing::Degraded,
            _ => Standing::Held,
        }
    }

    /// Time for which the lease is certain; zero when degraded or lost.
    pub fn remaining(&self, now: Duration) -> Duration {
        if self.lost { Duration::ZERO } else { self.deadline().saturating_sub(now) }
    }

    /// Whether durable acknowledgements may leave.
    pub fn may_acknowledge(&self, now: Duration) -> bool {
        self.standing(now) == Standing::Held
    }

    /// Whether a handoff that may take `need` may begin.
    pub fn may_hand_over(&self, now: Duration, need: Duration) -> bool {
        self.remaining(now) > need
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_renewal_counts_from_its_start() {
        let mut lease = LeaseKeeper::new(Epoch(7), DEFAULT_TTL, ms(0));
        assert!(!lease.wants_renewal(ms(399)) && lease.wants_renewal(ms(400)));
        lease.handle(ms(400), Input::RenewStarted);
        assert!(!lease.wants_renewal(ms(1000)), "one at a time");
        assert_eq!(lease.standing(ms(1599)), Standing::Held);
        assert_eq!(lease.standing(ms(1600)), Standing::Degraded);
        lease.handle(ms(1900), Input::Renewed { started: ms(400) });
        assert_eq!(lease.standing(ms(1999)), Standing::Held);
        assert_eq!(lease.standing(ms(2000)), Standing::Degraded, "400 + 1600, not 1900 + 1600");
        assert!(lease.wants_renewal(ms(2000)), "goes on asking while degraded");
    }

    #[test]
    fn degraded_acknowledges_nothing_and_recovers() {
        let mut lease = LeaseKeeper::new(Epoch(7), DEFAULT_TTL, ms(0));
        assert!(lease.may_hand_over(ms(1299), ms(300)) && !lease.may_hand_over(ms(1300), ms(300)));
        assert!(!lease.may_acknowledge(ms(1600)) && !lease.may_hand_over(ms(1600), ms(0)));
        lease.handle(ms(5000), Input::RenewStarted);
        lease.handle(ms(5001), Input::RenewFailed);
        assert_eq!(lease.standing(ms(5001)), Standing::Degraded);
        assert_eq!(lease.next_timeout(ms(5001)).map(|(at, _)| at), Some(ms(5400)));
        lease.handle(ms(5400), Input::RenewStarted);
        lease.handle(ms(5410), Input::Renewed { started: ms(5400) });
        assert!(lease.may_acknowledge(ms(6999)));
    }

    #[test]
    fn only_a_higher_epoch_ends_it_and_for_good() {
        let mut lease = LeaseKeeper::new(Epoch(7), DEFAULT_TTL, ms(0));
        lease.handle(ms(1), Input::Superseded { epoch: Epoch(7) });
        assert_eq!(lease.standing(ms(1)), Standing::Held);
        lease.handle(ms(1), Input::Superseded { epoch: Epoch(8) });
        lease.handle(ms(2), Input::Renewed { started: ms(1) });
        assert_eq!((lease.standing(ms(2)), lease.remaining(ms(2))), (Standing::Lost, ms(0)));
        assert_eq!(lease.next_timeout(ms(2)), None);
    }
}
