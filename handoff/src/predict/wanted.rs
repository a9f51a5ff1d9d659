//! From forecasts to wishes that do not flap.
//!
//! ```text
//!            likely, within the time          neither, for a second
//!   Unwanted ───────────────────────▶ Wanted ───────────────────────▶ Unwanted
//!                                     │   ▲
//!                                     └───┘ said again: Place every second, Prepare every 250 ms
//! ```
//!
//! Invariant: at most one region at a time is prepared for an entity, and the one at hand stays until it
//! is unwanted or another is clearly sooner. Wishes are said again because they may get lost.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_model::RegionId;

use super::{Forecast, LIKELY};

/// Pre-sync begins when a crossing is expected within this time: three round trips of the slowest
/// step rate, and time for a turn to show.
pub const DEFAULT_PREPARE_WITHIN: Duration = Duration::from_secs(1);

/// A wish stays until nothing supported it for so long.
const HOLD: Duration = Duration::from_secs(1);
/// A wish at hand is supported by forecasts up to so many times the time that began it, …
const SLACK: u32 = 2;
/// … and by so small a likelihood.
const STILL_LIKELY: f32 = LIKELY / 4.0;
/// Another region replaces the one being prepared when it is sooner by this.
const CLEARLY_SOONER: Duration = Duration::from_millis(250);
const PLACE_AGAIN: Duration = Duration::from_secs(1);
const PREPARE_AGAIN: Duration = Duration::from_millis(250);

/// How early to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The owner offers the entity when it is expected within this time.
    pub prepare_within: Duration,
    /// The director is asked for the region when it is expected within this time;
    /// [`EnsureModel::place_within`](super::EnsureModel::place_within).
    pub place_within: Duration,
}

impl Policy {
    /// How far ahead forecasts are needed.
    pub fn horizon(&self) -> Duration {
        self.place_within.max(self.prepare_within) * SLACK
    }
}

/// What somebody should do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The director: have this region served.
    Place {
        /// Which.
        region: RegionId,
    },
    /// The owner: offer the entity there.
    Prepare {
        /// Where to.
        region: RegionId,
    },
}

/// What one entity needs of its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    places: BTreeMap<RegionId, Wish>,
    prepare: Option<(RegionId, Wish)>,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    supported: Duration,
    say_at: Duration,
}

impl Wanted {
    /// Nothing.
    pub const fn new() -> Self {
        Self { places: BTreeMap::new(), prepare: None }
    }

    /// Regions that must go on being served for this entity.
    pub fn places(&self) -> impl Iterator<Item = RegionId> {
        self.places.keys().copied()
    }

    /// The region that the entity is being prepared for.
    pub fn preparing(&self) -> Option<RegionId> {
        self.prepare.map(|(region, _)| region)
    }

    /// Takes a new forecast for the entity, owned by `home`, and says what is due at grid time `now`.
    pub fn update(
        &mut self,
        now: Duration,
        home: RegionId,
        forecasts: &[Forecast],
        policy: &Policy,
    ) -> Vec<Need> {
        self.places.remove(&home);
        self.prepare = self.prepare.filter(|(region, _)| *region != home);
        let begin = Wish { supported: now, say_at: now };
        for forecast in forecasts.iter().filter(|forecast| forecast.region != home) {
            match self.places.get_mut(&forecast.region) {
                Some(wish) if forecast.supports(policy.place_within) => wish.supported = now,
                None if forecast.begins(policy.place_within) => {
                    self.places.insert(forecast.region, begin);
                }
                _ => {}
            }
        }
        let soonest = forecasts
            .iter()
            .filter(|forecast| forecast.region != home && forecast.begins(policy.prepare_within))
            .min_by_key(|forecast| (forecast.eta, forecast.region));
        let at_hand = self.prepare.and_then(|(region, _)| {
            forecasts.iter().find(|f| f.region == region && f.supports(policy.prepare_within))
        });
        self.prepare = match (self.prepare, at_hand, soonest) {
            (Some((region, wish)), Some(held), soonest) => match soonest {
                Some(other) if other.eta + CLEARLY_SOONER <= held.eta => Some((other.region, begin)),
                _ => Some((region, Wish { supported: now, ..wish })),
            },
            (_, None, Some(other)) => Some((other.region, begin)),
            (prepare, _, _) => prepare,
        };
        self.places.retain(|_, wish| wish.stands(now));
        self.prepare = self.prepare.filter(|(_, wish)| wish.stands(now));
        self.due(now)
    }

    fn due(&mut self, now: Duration) -> Vec<Need> {
        let mut needs = vec![];
        for (&region, wish) in &mut self.places {
            if wish.say(now, PLACE_AGAIN) {
                needs.push(Need::Place { region });
            }
        }
        if let Some((region, wish)) = &mut self.prepare
            && wish.say(now, PREPARE_AGAIN)
        {
            needs.push(Need::Prepare { region: *region });
        }
        needs
    }
}

impl Wish {
    fn stands(&self, now: Duration) -> bool {
        now < self.supported + HOLD
    }

    fn say(&mut self, now: Duration, again: Duration) -> bool {
        let due = now >= self.say_at;
        if due {
            self.say_at = now + again;
        }
        due
    }
}

impl Forecast {
    fn begins(&self, within: Duration) -> bool {
        self.eta <= within && self.likelihood >= LIKELY
    }

    fn supports(&self, within: Duration) -> bool {
        self.eta <= within * SLACK && self.likelihood >= STILL_LIKELY
    }
}
