//! Reliable inputs: once, in order, and never lost once they were called durable.

use std::collections::{BTreeMap, VecDeque};

use horizon_model::{Epoch, PlayerId, SessionId, Tick};

use crate::event::{Account, Event};
use crate::report::{Invariant, Report};

/// Where every chain begins: the offset of FNV-1a with 64 bits.
pub const CHAIN_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Chains of the last inputs that are kept: a client has a window of 64, and a report takes a while.
const KEPT_CHAINS: usize = 512;

/// The chain after one more input, as the plugin `ledger` defines it: FNV-1a over the chain so far
/// (8 bytes, little-endian), the number (4 bytes, little-endian), `namespace/event` and the payload.
pub fn chain_next(chain: u64, seq: u32, namespace: &str, event: &str, payload: &[u8]) -> u64 {
    let parts: [&[u8]; 6] =
        [&chain.to_le_bytes(), &seq.to_le_bytes(), namespace.as_bytes(), b"/", event.as_bytes(), payload];
    let bytes = parts.into_iter().flatten();
    bytes.fold(CHAIN_START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[derive(Debug)]
struct Stay {
    session: SessionId,
    sent: u32,
    chain: u64,
    /// The chain after each of the last inputs.
    chains: VecDeque<u64>,
    durable: u32,
    reported: u32,
    newest: Epoch,
}

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    stays: BTreeMap<PlayerId, Stay>,
}

impl Inputs {
    pub(crate) fn observe(&mut self, at: Tick, event: &Event, report: &mut Report) {
        match event {
            Event::Sent { player, session, seq, namespace, event, payload } => {
                let stay = self.stay(*player, *session);
                if *seq != stay.sent + 1 {
                    let sentence = format!("{player}: the client numbered {seq} after {}", stay.sent);
                    report.violated(at, Invariant::OnceInOrder, sentence);
                }
                stay.sent = *seq;
                stay.chain = chain_next(stay.chain, *seq, namespace, event, payload);
                stay.chains.push_back(stay.chain);
                if stay.chains.len() > KEPT_CHAINS {
                    stay.chains.pop_front();
                }
            }
            Event::Durable { player, session, seq } => {
                let stay = self.stay(*player, *session);
                if *seq > stay.sent {
                    let sentence = format!("{player}: {seq} was called durable, {} were sent", stay.sent);
                    report.violated(at, Invariant::DurableStays, sentence);
                }
                stay.durable = stay.durable.max(*seq);
            }
            Event::Began { player, session, epoch, applied } => {
                self.began(at, *player, *session, *epoch, *applied, report);
            }
            Event::Recorded {
                who: crate::Who::Player(player),
                epoch,
                applied: Some((session, applied)),
                ..
            } => {
                self.began(at, *player, *session, *epoch, *applied, report);
            }
            Event::Reported { player, session, account } => {
                self.reported(at, *player, *session, account, report);
            }
            _ => {}
        }
    }

    /// Every session that sent something must have been reported on up to its last input but those that
    /// were sent after its last report.
    pub(crate) fn finish(&self, at: Tick, report: &mut Report) {
        for (player, stay) in &self.stays {
            if stay.reported < stay.durable {
                let sentence = format!(
                    "{player}: {} inputs were called durable, the ledger reported on {}",
                    stay.durable, stay.reported
                );
                report.violated(at, Invariant::OnceInOrder, sentence);
            }
        }
    }

    /// The stay of a player; another session than the one before starts anew.
    fn stay(&mut self, player: PlayerId, session: SessionId) -> &mut Stay {
        let fresh = || Stay {
            session,
            sent: 0,
            chain: CHAIN_START,
            chains: VecDeque::new(),
            durable: 0,
            reported: 0,
            newest: Epoch::ZERO,
        };
        let stay = self.stays.entry(player).or_insert_with(fresh);
        if stay.session != session {
            *stay = fresh();
        }
        stay
    }

    fn began(
        &mut self,
        at: Tick,
        player: PlayerId,
        session: SessionId,
        epoch: Epoch,
        applied: u32,
        report: &mut Report,
    ) {
        let Some(stay) = self.stays.get_mut(&player).filter(|stay| stay.session == session) else {
            return;
        };
        // A late word of an older owner decides nothing, nor does one that comes again.
        if epoch <= stay.newest {
            return;
        }
        stay.newest = epoch;
        if applied < stay.durable {
            let sentence = format!(
                "{player} at epoch {epoch} begins with input {applied}, but {} was called durable",
                stay.durable
            );
            report.violated(at, Invariant::DurableStays, sentence);
        }
        if applied > stay.sent {
            let sentence =
                format!("{player} at epoch {epoch} has applied {applied}, {} were sent", stay.sent);
            report.violated(at, Invariant::OnceInOrder, sentence);
        }
    }

    fn reported(
        &mut self,
        at: Tick,
        player: PlayerId,
        session: SessionId,
        account: &Account,
        report: &mut Report,
    ) {
        let stay = self.stay(player, session);
        stay.reported = stay.reported.max(account.last_seq);
        let back = stay.sent.checked_sub(account.last_seq).map(|back| back as usize);
        let expected = match back {
            Some(back) if back < stay.chains.len() => Some(stay.chains[stay.chains.len() - 1 - back]),
            _ => None,
        };
        let clean = account.repeated == 0 && account.skipped == 0 && account.backwards == 0;
        let counted = account.count == u64::from(account.last_seq);
        let known = back.is_some();
        if !known || !clean || !counted || expected.is_some_and(|chain| chain != account.chain) {
            let sentence = format!(
                "{player}: {} inputs were sent, the ledger says {account:?}, the client's chain is {expected:x?}",
                stay.sent
            );
            report.violated(at, Invariant::OnceInOrder, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::testing::broken;

    const ADA: PlayerId = PlayerId(1);
    const STAY: SessionId = SessionId(5);

    fn sent(seq: u32) -> Event {
        let (namespace, event, payload) = ("ledger".to_owned(), "note".to_owned(), b"x".to_vec());
        Event::Sent { player: ADA, session: STAY, seq, namespace, event, payload }
    }

    fn durable(seq: u32) -> Event {
        Event::Durable { player: ADA, session: STAY, seq }
    }

    fn began(epoch: u64, applied: u32) -> Event {
        Event::Began { player: ADA, session: STAY, epoch: Epoch::new(1, epoch), applied }
    }

    /// The ledger after these inputs.
    fn reported(inputs: &[u32]) -> Event {
        let mut account =
            Account { count: 0, last_seq: 0, chain: CHAIN_START, repeated: 0, skipped: 0, backwards: 0 };
        for seq in inputs {
            account.count += 1;
            account.chain = chain_next(account.chain, *seq, "ledger", "note", b"x");
            match seq.cmp(&account.last_seq) {
                std::cmp::Ordering::Greater => {
                    account.skipped += u64::from(seq - account.last_seq - 1);
                    account.last_seq = *seq;
                }
                std::cmp::Ordering::Equal => account.repeated += 1,
                std::cmp::Ordering::Less => account.backwards += 1,
            }
        }
        Event::Reported { player: ADA, session: STAY, account }
    }

    #[test]
    fn chains() {
        let inputs = || vec![sent(1), sent(2), sent(3), durable(3)];
        let with = |event| inputs().into_iter().chain([event]).collect::<Vec<_>>();
        assert_eq!(broken(&with(reported(&[1, 2, 3]))), []);
        for wrong in [&[1, 2, 2, 3][..], &[1, 3], &[1, 3, 2, 3], &[2, 1, 3]] {
            assert_eq!(broken(&with(reported(wrong))), [Invariant::OnceInOrder], "{wrong:?}");
        }
        assert_eq!(broken(&inputs()), [Invariant::OnceInOrder], "a ledger that never reports");
        assert_eq!(broken(&[sent(1), sent(2), reported(&[1]), sent(3)]), [], "a report on the way");
    }

    #[test]
    fn what_was_called_durable_stays() {
        let after = |events: &[Event]| {
            let mut all = vec![sent(1), sent(2), durable(1)];
            all.extend_from_slice(events);
            all.push(reported(&[1, 2]));
            broken(&all)
        };
        assert_eq!(after(&[began(2, 1), durable(2), began(3, 2)]), []);
        assert_eq!(after(&[began(2, 0)]), [Invariant::DurableStays]);
        assert_eq!(after(&[began(3, 1), durable(2), began(2, 1)]), [], "an older owner's late word");
        assert_eq!(after(&[durable(9)])[0], Invariant::DurableStays, "nobody sent that");
        assert_eq!(after(&[began(2, 7)]), [Invariant::OnceInOrder], "nobody sent that");
    }

    #[test]
    fn one_chain_for_every_language() {
        assert_eq!(chain_next(CHAIN_START, 1, "ledger", "note", b"x"), 0xa221_c667_2af9_a6f3);
    }
}
