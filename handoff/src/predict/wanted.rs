//! From forecasts to wishes that do not flap.
//!
//! ```text
//!            likely, within the time          neither, for a second
//!   Unwanted ───────────────────────▶ Wanted ───────────────────────▶ Unwanted
//!                                     │   ▲
//!                                     └───┘ said again: Place every second, Prepare every 250 ms
//! ```
//!
//! Invariant: a wish stands for a second after the last forecast that supported it. Near a corner
//! several regions are prepared for an entity, each by a wish of its own; the owner bounds how many it
//! follows. Wishes are said again because they may get lost. Whoever goes to and fro over a border turns where no
//! forecast sees it in time: after a first return, what would support a wish for the region behind begins one.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_model::RegionId;

use super::{Forecast, LIKELY};
use crate::source::MIN_DWELL;

/// Pre-sync begins when a crossing is expected within this time: three round trips of the slowest
/// step rate, and time for a turn to show.
pub const DEFAULT_PREPARE_WITHIN: Duration = Duration::from_millis(400);

/// A wish stays until nothing supported it for so long.
const HOLD: Duration = Duration::from_secs(1);
/// A wish at hand is supported by forecasts up to so many times the time that began it, …
const SLACK: u32 = 2;
/// … and by so small a likelihood.
const STILL_LIKELY: f32 = LIKELY / 4.0;
/// Who came back within this time goes to and fro, and the region that it came from is expected for as long.
const RETURNS_WITHIN: Duration = Duration::from_millis(2500);
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
    prepares: BTreeMap<RegionId, Wish>,
    home: Option<Home>,
}

/// Where the entity is, and where it was.
#[derive(Debug, Clone, Copy)]
struct Home {
    region: RegionId,
    since: Duration,
    /// The region that it came from, and whether it had come from here to there shortly before.
    from: Option<(RegionId, bool)>,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    supported: Duration,
    say_at: Duration,
}

impl Wanted {
    /// Nothing.
    pub const fn new() -> Self {
        Self { places: BTreeMap::new(), prepares: BTreeMap::new(), home: None }
    }

    /// Regions that must go on being served for this entity.
    pub fn places(&self) -> impl Iterator<Item = RegionId> {
        self.places.keys().copied()
    }

    /// The regions that the entity is being prepared for.
    pub fn preparing(&self) -> impl Iterator<Item = RegionId> {
        self.prepares.keys().copied()
    }

    /// Takes a new forecast for the entity, owned by `home`, and says what is due at grid time `now`.
    pub fn update(
        &mut self,
        now: Duration,
        home: RegionId,
        forecasts: &[Forecast],
        policy: &Policy,
    ) -> Vec<Need> {
        let again = self.expected_again(now, home);
        for (wishes, within) in
            [(&mut self.places, policy.place_within), (&mut self.prepares, policy.prepare_within)]
        {
            wishes.remove(&home);
            for forecast in forecasts.iter().filter(|forecast| forecast.region != home) {
                match wishes.get_mut(&forecast.region) {
                    Some(wish) if forecast.supports(within) => wish.supported = now,
                    None if forecast.begins(within)
                        || (again == Some(forecast.region) && forecast.supports(within)) =>
                    {
                        wishes.insert(forecast.region, Wish { supported: now, say_at: now });
                    }
                    _ => {}
                }
            }
            wishes.retain(|_, wish| wish.stands(now));
        }
        let due = |wish: &mut Wish, again| wish.say(now, again);
        let places = self
            .places
            .iter_mut()
            .filter_map(|(&region, wish)| due(wish, PLACE_AGAIN).then_some(Need::Place { region }));
        let prepares = self
            .prepares
            .iter_mut()
            .filter_map(|(&region, wish)| due(wish, PREPARE_AGAIN).then_some(Need::Prepare { region }));
        places.chain(prepares).collect()
    }

    /// The region that an entity which goes to and fro left for `home`, for a while.
    fn expected_again(&mut self, now: Duration, home: RegionId) -> Option<RegionId> {
        let from = match self.home {
            Some(last) if last.region == home => last.from,
            // Nobody is handed over twice in so short a time: that is an old report among newer ones.
            Some(last) => {
                let stay = now.saturating_sub(last.since);
                let there = last.from.is_some_and(|(region, _)| region == home);
                Some((last.region, there && (MIN_DWELL / 2..RETURNS_WITHIN).contains(&stay)))
            }
            None => None,
        };
        let since = self.home.filter(|last| last.region == home).map_or(now, |last| last.since);
        self.home = Some(Home { region: home, since, from });
        from.filter(|(_, returned)| *returned && now < since + RETURNS_WITHIN).map(|(region, _)| region)
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
