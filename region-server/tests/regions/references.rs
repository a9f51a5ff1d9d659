//! What clients draw of each other, against what the owner of each avatar draws of it at the same tick.

use std::collections::BTreeMap;

use horizon_model::{ChannelSpec, EntityId, PlayerId, Tick};

/// Ticks after a jump, an enter or a change of channel within which nothing is compared.
pub(crate) const SETTLING: u64 = 30;
/// Ticks for which a comparison waits for its other half.
const KEPT: u64 = 600;
/// Grid ticks by which a picture may be late at a handoff: two steps at 30 Hz.
const LATE_TICKS: u64 = 4;
/// Metres granted on top of both bounds.
const SLACK: f64 = 0.05;

/// One object as one client draws it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) entity: EntityId,
    /// Source tick that is drawn.
    pub(crate) tick: Tick,
    pub(crate) metres: [f64; 3],
    pub(crate) channel: u8,
    /// The client's own avatar.
    pub(crate) own: bool,
    /// Somebody's avatar.
    pub(crate) avatar: bool,
    /// Nothing happened lately after which curves may jump.
    pub(crate) calm: bool,
}

#[derive(Default)]
pub(crate) struct References {
    known: BTreeMap<(Tick, EntityId), Sighting>,
    waiting: BTreeMap<(Tick, EntityId), Vec<(PlayerId, Sighting)>>,
    /// Pairs that were compared.
    pub(crate) compared: u64,
    /// Of those, pictures that were right for a tick shortly before or after: after a handoff the target
    /// tells of the object a step later than its source did.
    pub(crate) late: u64,
    /// Pictures that may be right for a tick that the reference has not drawn yet.
    suspects: Vec<(PlayerId, Sighting, f64, String)>,
}

impl References {
    /// Takes one sighting; says who draws what astray, now that it is known.
    ///
    /// An object that is nobody's avatar is measured against whoever first drew it on channel 0.
    pub(crate) fn take(&mut self, observer: PlayerId, sighting: Sighting) -> Vec<(PlayerId, String)> {
        let key = (sighting.tick, sighting.entity);
        self.forget_before(sighting.tick.0.saturating_sub(KEPT));
        if let Some(reference) = self.known.get(&key).copied() {
            return self.compare(observer, &sighting, &reference).into_iter().collect();
        }
        if !(sighting.own || !sighting.avatar && sighting.channel == 0 && sighting.calm) {
            self.waiting.entry(key).or_default().push((observer, sighting));
            return Vec::new();
        }
        self.known.insert(key, sighting);
        let waiting = self.waiting.remove(&key).unwrap_or_default();
        let mut faults = self.clear_suspects(&sighting);
        faults.extend(waiting.iter().filter_map(|(observer, seen)| self.compare(*observer, seen, &sighting)));
        faults
    }

    /// Compares earlier suspects with the reference's next place.
    fn clear_suspects(&mut self, reference: &Sighting) -> Vec<(PlayerId, String)> {
        let mut faults = Vec::new();
        let mut late = 0;
        self.suspects.retain(|(observer, seen, bound, words)| {
            if seen.entity != reference.entity || reference.tick <= seen.tick {
                return true;
            }
            if apart(&seen.metres, &reference.metres) <= *bound {
                late += 1;
                return false;
            }
            let waits = reference.tick.0 < seen.tick.0 + LATE_TICKS;
            if !waits {
                faults.push((*observer, words.clone()));
            }
            waits
        });
        self.late += late;
        faults
    }

    fn forget_before(&mut self, tick: u64) {
        while self.known.first_key_value().is_some_and(|((known, _), _)| known.0 < tick) {
            self.known.pop_first();
        }
        while self.waiting.first_key_value().is_some_and(|((waiting, _), _)| waiting.0 < tick) {
            self.waiting.pop_first();
        }
    }

    fn compare(
        &mut self,
        observer: PlayerId,
        seen: &Sighting,
        reference: &Sighting,
    ) -> Option<(PlayerId, String)> {
        if !(seen.calm && reference.calm) {
            return None;
        }
        self.compared += 1;
        let metres = apart(&seen.metres, &reference.metres);
        let bound = bound(seen.channel) + bound(reference.channel) + SLACK;
        if metres <= bound {
            return None;
        }
        if self.is_late(seen, bound) {
            self.late += 1;
            return None;
        }
        let (entity, tick, channel) = (seen.entity, seen.tick, seen.channel);
        let (drawn, right) = (seen.metres, reference.metres);
        let words = format!(
            "{entity} at {tick} on channel {channel}: {metres:.2} m off, {bound:.2} allowed, drawn at {drawn:.2?}, its own client draws {right:.2?}"
        );
        self.suspects.push((observer, *seen, bound, words));
        None
    }
}

fn apart(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

impl References {
    /// Whether the object was there at most two steps before.
    fn is_late(&self, seen: &Sighting, bound: f64) -> bool {
        (1..=LATE_TICKS).any(|ticks| {
            let tick = Tick(seen.tick.0.saturating_sub(ticks));
            self.known
                .get(&(tick, seen.entity))
                .is_some_and(|before| apart(&seen.metres, &before.metres) <= bound)
        })
    }
}

/// Metres promised by a channel.
fn bound(channel: u8) -> f64 {
    f64::from(ChannelSpec::DEFAULT[usize::from(channel.min(3))].precision_cm) / 100.0
}
