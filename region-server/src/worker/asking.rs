//! Compare-and-sets on their way to the store: one call at a time, and what comes meanwhile shares the next.

use std::collections::VecDeque;

use horizon_handoff::CasRequest;

/// Requests of one call: what a store commits at once.
const MAX_REQUESTS: usize = 1024;
/// Capsules of one call in bytes, beyond its first: far below the longest frame of any store.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is to be asked, in order.
#[derive(Debug, Default)]
pub(super) struct Asking {
    under_way: bool,
    waiting: VecDeque<CasRequest>,
}

impl Asking {
    /// Adds requests; they leave with the next call.
    pub(super) fn add(&mut self, requests: Vec<CasRequest>) {
        self.waiting.extend(requests);
    }

    /// The last call was answered, or will not be.
    pub(super) const fn answered(&mut self) {
        self.under_way = false;
    }

    /// The next call, where none is under way and something waits.
    pub(super) fn next_call(&mut self) -> Option<Vec<CasRequest>> {
        if self.under_way || self.waiting.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(MAX_REQUESTS).take_while(|request| {
            let before = bytes;
            bytes += request.capsule.bytes();
            before == 0 || bytes <= MAX_BYTES
        });
        let mut count = fitting.count();
        // A group is asked for at once, at the cost of a longer call.
        while count < self.waiting.len() && self.waiting[count - 1].stands_with(&self.waiting[count]) {
            count += 1;
        }
        self.under_way = true;
        Some(self.waiting.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use horizon_handoff::{Kept, LeaseGuard};
    use horizon_model::{EntityId, Epoch, HandoffId, RegionId, Tick, WorkerId};
    use horizon_protocol::link::EntityKey;

    use super::*;

    fn request(handoff: u128, bytes: usize) -> CasRequest {
        CasRequest {
            key: EntityKey::Object(EntityId::from_bits(1).expect("not zero")),
            guard: LeaseGuard { region: RegionId(1), worker: WorkerId(1), lease: Epoch::new(1, 1) },
            expect: None,
            handoff: HandoffId(handoff),
            applied: 0,
            tick: Tick(1),
            capsule: Kept::Here(vec![0; bytes]),
            park: false,
            group: None,
        }
    }

    fn call(asking: &mut Asking) -> Vec<u128> {
        asking.next_call().unwrap_or_default().iter().map(|request| request.handoff.0).collect()
    }

    #[test]
    fn what_comes_during_a_call_shares_the_next() {
        let mut asking = Asking::default();
        asking.add(vec![request(1, 10)]);
        assert_eq!(call(&mut asking), [1]);
        asking.add(vec![request(2, 10)]);
        asking.add(vec![request(3, 10), request(4, 10)]);
        assert_eq!(asking.next_call(), None, "one call at a time");
        asking.answered();
        assert_eq!(call(&mut asking), [2, 3, 4]);
        asking.answered();
        assert_eq!(asking.next_call(), None);
    }

    #[test]
    fn a_group_is_never_cut() {
        let mut asking = Asking::default();
        let group = |group| move |n| CasRequest { group: Some(HandoffId(group)), ..request(n, 1) };
        asking.add((0..MAX_REQUESTS as u128 - 1).map(|n| request(n, 1)).collect());
        asking.add((2000..2003).map(group(1)).collect());
        asking.add((3000..3002).map(group(2)).collect());
        assert_eq!(call(&mut asking).last(), Some(&2002));
        asking.answered();
        assert_eq!(call(&mut asking), [3000, 3001]);
    }

    #[test]
    fn a_call_is_bounded_and_order_is_kept() {
        let mut asking = Asking::default();
        asking.add((0..2000).map(|n| request(n, 1)).collect());
        assert_eq!(call(&mut asking).len(), MAX_REQUESTS);
        asking.answered();
        assert_eq!(call(&mut asking).first(), Some(&1024));
        let mut asking = Asking::default();
        asking.add(vec![request(1, MAX_BYTES + 1), request(2, MAX_BYTES), request(3, 1)]);
        for expected in [1, 2, 3] {
            assert_eq!(call(&mut asking), [expected]);
            asking.answered();
        }
    }
}
