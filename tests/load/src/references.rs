//! What everybody draws, against what the owner of each avatar draws of it at the same source tick.
//!
//! All bots of a run share one [`References`]: a sighting waits until the reference of its tick is there,
//! whichever of the two comes first.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use horizon_model::{EntityId, Position, Tick};
use tracing::debug;

/// Only source ticks that this divides are compared.
pub const EVERY_TICKS: u64 = 6;
/// Metres granted on top of what both channels promise.
pub const SLACK_METRES: f64 = 0.05;
/// Ticks for which one half of a comparison waits for the other: 4 s.
const KEPT_TICKS: u64 = 240;

/// One object as one client draws it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Who.
    pub entity: EntityId,
    /// Source tick that is drawn.
    pub tick: Tick,
    /// Where.
    pub position: Position,
    /// Channel on which the client holds it, 0 to 3.
    pub channel: u8,
    /// Metres that the channel promises.
    pub bound_metres: f64,
    /// Nothing happened lately after which a curve may jump, so the promise holds.
    pub calm: bool,
    /// Whether others are measured against it.
    pub role: Role,
}

/// What a sighting is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's own avatar: the reference.
    Own,
    /// Somebody else's avatar: compared with what its owner draws, if the owner is in this run.
    Other,
    /// Nobody's avatar: the first who draws it on channel 0 is the reference.
    Ownerless,
}

/// Comparisons so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    /// How many there were.
    pub compared: u64,
    /// How many were further off than both channels promise.
    pub astray: u64,
    /// 99th percentile of the distance in metres, by channel of the observer.
    pub error_p99_metres: [f64; 4],
}

/// Shared by all bots; every method takes a moment only.
#[derive(Debug)]
pub struct References {
    inner: Mutex<Inner>,
}

type Key = (Tick, EntityId);

#[derive(Debug)]
struct Inner {
    known: BTreeMap<Key, Sighting>,
    waiting: BTreeMap<Key, Vec<Sighting>>,
    newest: Tick,
    astray: u64,
    /// Millimetres, by channel of the observer.
    errors: [Histogram<u64>; 4],
}

impl Default for References {
    fn default() -> Self {
        let histogram = |_| Histogram::new(3).expect("three digits are allowed");
        let errors = [0, 1, 2, 3].map(histogram);
        let inner =
            Inner { known: BTreeMap::new(), waiting: BTreeMap::new(), newest: Tick(0), astray: 0, errors };
        Self { inner: Mutex::new(inner) }
    }
}

impl References {
    /// Takes what one client draws as of one frame.
    pub fn take(&self, sightings: &[Sighting]) {
        if sightings.is_empty() {
            return;
        }
        let mut inner = self.lock();
        sightings.iter().for_each(|sighting| inner.take(sighting));
        inner.forget();
    }

    /// What came of it.
    pub fn comparisons(&self) -> Comparisons {
        let inner = self.lock();
        Comparisons {
            compared: inner.errors.iter().map(Histogram::len).sum(),
            astray: inner.astray,
            error_p99_metres: [0, 1, 2, 3].map(|n| inner.errors[n].value_at_quantile(0.99) as f64 / 1000.0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, sighting: &Sighting) {
        let key = (sighting.tick, sighting.entity);
        self.newest = self.newest.max(sighting.tick);
        let known = self.known.get(&key).copied();
        let leads = match sighting.role {
            Role::Own => true,
            Role::Other => false,
            Role::Ownerless => sighting.channel == 0 && sighting.calm,
        };
        match known {
            // Drawn again, over a new connection.
            Some(_) if sighting.role == Role::Own => {}
            Some(reference) => self.compare(sighting, &reference),
            None if leads => {
                self.known.insert(key, *sighting);
                for other in self.waiting.remove(&key).unwrap_or_default() {
                    self.compare(&other, sighting);
                }
            }
            None => self.waiting.entry(key).or_default().push(*sighting),
        }
    }

    fn compare(&mut self, seen: &Sighting, reference: &Sighting) {
        if !(seen.calm && reference.calm) {
            return;
        }
        let metres = seen.position.distance(&reference.position);
        self.errors[usize::from(seen.channel.min(3))].saturating_record((metres * 1000.0).round() as u64);
        let bound = seen.bound_metres + reference.bound_metres + SLACK_METRES;
        if metres > bound {
            self.astray += 1;
            let (entity, tick, channel) = (seen.entity, seen.tick, seen.channel);
            let (drawn, right) = (seen.position.metres(), reference.position.metres());
            debug!(%entity, %tick, channel, metres, bound, ?drawn, ?right, "astray");
        }
    }

    fn forget(&mut self) {
        let oldest = Tick(self.newest.0.saturating_sub(KEPT_TICKS));
        while self.known.first_key_value().is_some_and(|((tick, _), _)| *tick < oldest) {
            self.known.pop_first();
        }
        while self.waiting.first_key_value().is_some_and(|((tick, _), _)| *tick < oldest) {
            self.waiting.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAR: EntityId = match EntityId::from_bits(7) {
        Some(id) => id,
        None => panic!("not zero"),
    };

    fn seen(tick: u64, metres: f64, channel: u8, role: Role) -> Sighting {
        let position = Position::from_metres([metres, 0.0, 0.0]).expect("near");
        let bound_metres = [0.09, 0.45, 1.5, 1.9][usize::from(channel)];
        Sighting { entity: CAR, tick: Tick(tick), position, channel, bound_metres, calm: true, role }
    }

    #[track_caller]
    fn expect(sightings: &[Sighting], compared: u64, astray: u64) {
        let references = References::default();
        sightings.iter().for_each(|sighting| references.take(&[*sighting]));
        let found = references.comparisons();
        assert_eq!((found.compared, found.astray), (compared, astray));
    }

    #[test]
    fn either_half_may_come_first() {
        let (own, other) = (seen(600, 1.0, 0, Role::Own), seen(600, 2.0, 0, Role::Other));
        expect(&[own, other], 1, 1);
        expect(&[other, own], 1, 1);
        expect(&[other, other, own, other], 3, 3);
        expect(&[own, own], 0, 0);
    }

    #[test]
    fn both_bounds_and_the_slack_are_granted() {
        let own = seen(600, 0.0, 0, Role::Own);
        expect(&[own, seen(600, 0.22, 0, Role::Other)], 1, 0);
        expect(&[own, seen(600, 0.24, 0, Role::Other)], 1, 1);
        expect(&[own, seen(600, 0.58, 1, Role::Other)], 1, 0);
        expect(&[own, seen(600, 0.60, 1, Role::Other)], 1, 1);
    }

    #[test]
    fn nothing_is_compared_across_ticks_or_while_curves_may_jump() {
        let own = seen(600, 0.0, 0, Role::Own);
        expect(&[own, seen(606, 9.0, 0, Role::Other)], 0, 0);
        expect(&[own, Sighting { calm: false, ..seen(600, 9.0, 0, Role::Other) }], 0, 0);
        expect(&[Sighting { calm: false, ..own }, seen(600, 9.0, 0, Role::Other)], 0, 0);
        expect(&[seen(600, 9.0, 0, Role::Other), seen(1200, 0.0, 0, Role::Own), own], 0, 0);
    }

    #[test]
    fn what_nobody_owns_is_measured_against_the_nearest() {
        let far = seen(600, 0.3, 1, Role::Ownerless);
        expect(&[far, far], 0, 0);
        expect(&[far, seen(600, 0.0, 0, Role::Ownerless), seen(600, 0.3, 0, Role::Ownerless)], 2, 1);
    }

    #[test]
    fn errors_are_told_in_metres_by_channel() {
        let references = References::default();
        let others = [seen(600, 0.25, 1, Role::Other), seen(600, 1.0, 3, Role::Other)];
        references.take(&[seen(600, 0.0, 0, Role::Own)]);
        references.take(&others);
        assert_eq!(references.comparisons().error_p99_metres, [0.0, 0.25, 0.0, 1.0]);
    }
}
