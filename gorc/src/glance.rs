//! What one observer is to be told in one step: leaves, newcomers, and rows that are owed something.
//!
//! ```text
//!   index ──hits──▶ bands by slot ─┐
//!                                  ├─▶ rows in order of aliases ──▶ leaves, due
//!   what is new by slot ───────────┘   hits without a row ────────▶ newcomers
//! ```
//!
//! The common case of a row, the same channel as before and nothing new, costs two loads and a compare.

use horizon_model::Tick;

use crate::grid::{Grid, Hits, Isa, Limits};
use crate::interest::{Anchor, BANDS, LEVELS, NONE, band};
use crate::objects::{Objects, fresh};
use crate::observer::{Leave, Observer, Ours, PATIENCE};
use crate::registry::Registry;
use crate::row::{ADOPTED, CHANNEL, COMPLETE, KNOT, OWED, PENDING, SNAP, WHOLE};
use crate::stats::Stats;
use crate::track::Clock;
use crate::wire::LeaveReason;

/// Steps for which the reach that `nearest` leaves is kept.
const REACH_STEPS: u64 = 6;
/// Grid ticks for which an object keeps the inner channel that its rank gave it.
const DWELL_TICKS: u64 = 24;
/// How much further out than the nearest ones an object is still held, so that ranks do not flap.
const RANK_SLACK: f32 = 1.12;

/// What every observer of a step looks at.
pub(crate) struct Scene<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) registry: &'a Registry,
    pub(crate) grids: &'a [Grid],
    /// Per table of reach, without caps.
    pub(crate) limits: &'a [Limits],
    pub(crate) clock: Clock,
    pub(crate) tick: Tick,
    pub(crate) isa: Isa,
    /// Whether anything went since the last step.
    pub(crate) any_dead: bool,
}

impl Scene<'_> {
    fn ours(&self) -> Ours<'_> {
        Ours {
            objects: self.objects,
            registry: self.registry,
            now: self.clock.now,
            tick: self.tick,
            step: self.clock.rate.step(),
        }
    }
}

/// A row that is owed something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) alias: u32,
    /// The row's word with the channel to be told and all that is owed.
    pub(crate) word: u16,
    /// Channels of which only what changed in this step is owed.
    pub(crate) changed: u8,
}

/// An object in sight that is not held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer {
    pub(crate) slot: u32,
    pub(crate) channel: u8,
    pub(crate) squared: f32,
}

/// One enter to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entering {
    pub(crate) alias: u32,
    pub(crate) slot: u32,
    pub(crate) channel: u8,
    pub(crate) again: bool,
}

/// Memory shared by all observers of a step, and by all steps.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// By slot: one more than the band of distance, 0 for what is out of sight.
    pub(crate) bands: Vec<u8>,
    /// Rows in which something is different: alias and level.
    found: Vec<(u32, u8)>,
    /// Objects in sight in this glance.
    sighted: usize,
    pub(crate) hits: Vec<Hits>,
    pub(crate) due: Vec<Due>,
    pub(crate) newcomers: Vec<Newcomer>,
    pub(crate) entering: Vec<Entering>,
    pub(crate) section: Vec<u8>,
    pub(crate) order: Vec<(f32, u32)>,
    pub(crate) ranks: Vec<f32>,
    pub(crate) cells: Vec<(i32, i32, u32)>,
    pub(crate) out: Vec<u8>,
    pub(crate) text: String,
    pub(crate) stats: Stats,
}

/// What can wake a row of a client that holds `channel`.
const fn news_for_client(channel: u16) -> u16 {
    1 << channel | (0xf0 << channel & fresh::FIELDS)
}

/// What can wake a row of a region that holds `channel`.
const fn news_for_region(channel: u16) -> u16 {
    fresh::MOVED | (0xf0 << channel & fresh::FIELDS)
}

const CLIENT_NEWS: [u16; 4] =
    [news_for_client(0), news_for_client(1), news_for_client(2), news_for_client(3)];
const REGION_NEWS: [u16; 4] =
    [news_for_region(0), news_for_region(1), news_for_region(2), news_for_region(3)];

/// [`LEVELS`] of what is held, by the channel times sixteen plus the band.
const NEXT: [u8; 64] = {
    let mut table = [NONE; 64];
    let mut index = 0;
    while index < 64 {
        if index % 16 <= BANDS {
            table[index] = LEVELS[index / 16][index % 16];
        }
        index += 1;
    }
    table
};

impl Observer {
    /// Finds out what is to be told. The bands are clear before and after.
    pub(crate) fn glance(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        tools.due.clear();
        tools.newcomers.clear();
        tools.sighted = 0;
        self.meet_strangers(scene);
        if self.spec.sees_ghosts {
            self.look_from_point(scene, tools);
        } else {
            self.look_from_hull(scene, tools);
        }
        self.compare_rows(scene, tools);
        self.find_newcomers(scene, tools);
    }

    /// A step in which nothing can be told: remembers what is owed.
    pub(crate) fn pass_over(&mut self, scene: &Scene<'_>) {
        if self.rows.held() == 0 {
            return;
        }
        let news = if self.spec.sees_ghosts { &CLIENT_NEWS } else { &REGION_NEWS };
        for alias in 0..self.rows.len() {
            let slot = self.rows.slots[alias] as usize;
            let fresh = scene.objects.fresh[slot];
            if slot == 0 || fresh == 0 {
                continue;
            }
            if fresh & fresh::DEAD != 0 {
                self.bury(alias, slot, scene);
                continue;
            }
            let word = self.rows.words[alias];
            if fresh & news[(word & CHANNEL) as usize] != 0 {
                let (next, changed) = self.owe(word, word & KNOT != 0, slot, scene);
                self.rows.owe(alias, next | u16::from(changed) << 4, scene.clock.now);
            }
        }
    }

    /// Rows of what went, for an observer that does not step.
    pub(crate) fn bury_dead(&mut self, scene: &Scene<'_>) {
        if !scene.any_dead {
            return;
        }
        for alias in 0..self.rows.len() {
            let slot = self.rows.slots[alias] as usize;
            if slot != 0 && scene.objects.fresh[slot] & fresh::DEAD != 0 {
                self.bury(alias, slot, scene);
            }
        }
    }

    fn bury(&mut self, alias: usize, slot: usize, scene: &Scene<'_>) {
        let facts = scene.objects.facts(slot).expect("a dead slot keeps its facts until the step is over");
        self.attention.forget(facts.entity);
        self.rows.lift(alias);
        self.leaves.push(Leave { reason: facts.reason, alias: alias as u32, entity: facts.entity });
    }

    fn meet_strangers(&mut self, scene: &Scene<'_>) {
        let mut index = 0;
        while index < self.strangers.len() {
            let stranger = self.strangers[index];
            let forget_at = stranger.forget_at.unwrap_or(scene.tick + PATIENCE);
            self.strangers[index].forget_at = Some(forget_at);
            if let Some(slot) = scene.objects.slot(stranger.held.entity) {
                self.strangers.swap_remove(index);
                self.attach(&stranger.held, slot, &scene.ours());
            } else if scene.tick >= forget_at {
                self.strangers.swap_remove(index);
                self.leaves.push(Leave {
                    reason: LeaveReason::OutOfRange,
                    alias: stranger.held.alias.into(),
                    entity: stranger.held.entity,
                });
            } else {
                index += 1;
            }
        }
    }

    /// Metres from the origin of the index, or nothing for a hull.
    pub(crate) fn centre(&self, scene: &Scene<'_>) -> Option<[f32; 3]> {
        let Anchor::Point(position) = &self.spec.anchor else {
            return None;
        };
        let metres = crate::wire::metres_of(position);
        Some([0, 1, 2].map(|axis| (metres[axis] - scene.clock.origin[axis]) as f32))
    }

    fn look_from_point(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        let Some(centre) = self.centre(scene) else {
            return self.look_from_hull(scene, tools);
        };
        tools.hits.resize_with(scene.grids.len(), Hits::default);
        for (place, grid) in scene.grids.iter().enumerate() {
            let profile = &scene.registry.profiles[place];
            if profile.is_capped() {
                self.measure_reach(place, centre, scene, tools);
            }
            let limits = match self.reach.get(place) {
                Some(Some((_, limits))) => limits,
                _ => &scene.limits[place],
            };
            grid.query(scene.isa, centre, limits, &mut tools.hits[place]);
            let hits = &tools.hits[place];
            for (slot, band) in hits.slots().iter().zip(hits.bands()) {
                tools.bands[*slot as usize] = band + 1;
            }
            tools.sighted += hits.len();
        }
    }

    /// How far each channel reaches when only the nearest may hold it.
    fn measure_reach(&mut self, place: usize, centre: [f32; 3], scene: &Scene<'_>, tools: &mut Tools) {
        let now = scene.clock.now;
        if self.reach.len() <= place {
            self.reach.resize(place + 1, None);
        }
        let turn = self.has_turn(now as u64, REACH_STEPS);
        if self.reach[place].is_some() && !turn {
            return;
        }
        let profile = &scene.registry.profiles[place];
        let hits = &mut tools.hits[place];
        scene.grids[place].query(scene.isa, centre, &scene.limits[place], hits);
        tools.ranks.clear();
        tools.ranks.extend_from_slice(hits.squared());
        let mut radii = profile.limits;
        for channel in 0..4 {
            let nearest = profile.nearest[channel] as usize;
            if nearest > 0 && nearest < tools.ranks.len() {
                let (_, squared, _) = tools.ranks.select_nth_unstable_by(nearest - 1, f32::total_cmp);
                let metres = squared.sqrt();
                radii[2 * channel] = radii[2 * channel].min(metres);
                radii[2 * channel + 1] = radii[2 * channel + 1].min(metres * RANK_SLACK);
            }
        }
        // Outer channels reach no less far than inner ones, and slack ends where the next begins.
        for channel in 1..4 {
            radii[2 * channel] = radii[2 * channel].max(radii[2 * channel - 2]);
            radii[2 * channel + 1] = radii[2 * channel + 1].max(radii[2 * channel]);
        }
        for channel in 0..3 {
            radii[2 * channel + 1] =
                radii[2 * channel + 1].min(radii[2 * channel + 2]).max(radii[2 * channel]);
        }
        self.reach[place] = Limits::new(&radii).ok().map(|limits| (now, limits));
    }

    /// Regions look at everything that is owned here.
    fn look_from_hull(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        let objects = scene.objects;
        for slot in 1..objects.slots() {
            let Some(facts) = objects.facts(slot) else {
                continue;
            };
            if objects.fresh[slot] & fresh::DEAD != 0 || (objects.ghost[slot] && !self.spec.sees_ghosts) {
                continue;
            }
            let metres = self.spec.anchor.distance(&facts.pose.position) - self.spec.margin_metres;
            let limits = &scene.registry.profiles[usize::from(objects.profile[slot])].limits;
            tools.bands[slot] = band(metres, limits);
            tools.sighted += usize::from(tools.bands[slot] != 0);
        }
    }

    fn compare_rows(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        let news = if self.spec.sees_ghosts { &CLIENT_NEWS } else { &REGION_NEWS };
        let mut found = std::mem::take(&mut tools.found);
        found.clear();
        let (fresh, bands) = (&scene.objects.fresh[..], &mut tools.bands[..fresh_len(scene)]);
        let mut sighted = 0;
        for (alias, (slot, word)) in self.rows.slots.iter().zip(&self.rows.words).enumerate() {
            let slot = *slot as usize;
            let band = std::mem::take(&mut bands[slot]);
            let channel = word & CHANNEL;
            let level = NEXT[usize::from(channel << 4 | u16::from(band & 0xf))];
            sighted += usize::from(band != 0);
            let same = u16::from(level) == channel;
            if same && fresh[slot] & news[usize::from(channel)] | word & PENDING == 0 {
                continue;
            }
            found.push((alias as u32, level));
        }
        tools.sighted -= sighted;
        for (alias, level) in &found {
            let alias = *alias as usize;
            let slot = self.rows.slots[alias] as usize;
            if slot == 0 {
                continue;
            }
            if scene.objects.fresh[slot] & fresh::DEAD != 0 {
                self.bury(alias, slot, scene);
            } else if *level == NONE {
                let facts = scene.objects.facts(slot).expect("a row's slot is alive");
                let hidden = scene.objects.ghost[slot] && !self.spec.sees_ghosts;
                let reason = if hidden { LeaveReason::Moved } else { LeaveReason::OutOfRange };
                self.leaves.push(Leave { reason, alias: alias as u32, entity: facts.entity });
                self.rows.lift(alias);
            } else {
                self.weigh(alias, slot, u16::from(*level), scene, tools);
            }
        }
        tools.found = found;
    }

    /// What the row is owed at `level`, and whether now.
    fn weigh(&mut self, alias: usize, slot: usize, level: u16, scene: &Scene<'_>, tools: &mut Tools) {
        let word = self.rows.words[alias];
        let told = word & CHANNEL;
        let mut next = word;
        // Ranks change quickly: who became one of the nearest stays so for as long as it takes until an
        // outer channel's picture of it is right again.
        let profile = &scene.registry.profiles[usize::from(scene.objects.profile[slot])];
        let dwells = DWELL_TICKS / scene.clock.rate.step();
        let hurried = level > told
            && profile.is_capped()
            && u64::from(self.rows.dwelt(alias, scene.clock.now)) < dwells;
        let level = if hurried { told } else { level };
        if level != told {
            next = next & !CHANNEL | level | KNOT;
            if level < told {
                let kind = scene.objects.facts(slot).map(|facts| scene.registry.of(facts.type_id));
                let gained = (1_u32 << told) - (1 << level);
                for channel in 0..4 {
                    if gained & 1 << channel != 0 && kind.is_some_and(|kind| kind.fields[channel] != 0) {
                        next |= 0x10 << channel | COMPLETE;
                    }
                }
            }
        }
        let (mut next, changed) = self.owe(next, word & KNOT != 0, slot, scene);
        if next & ADOPTED != 0 {
            let news = level != told || scene.objects.fresh[slot] & 1 << level != 0;
            if !news && self.rows.waited(alias, scene.clock.now) < 0 {
                return;
            }
            next &= !ADOPTED;
        }
        if next & PENDING == 0 && changed == 0 {
            self.rows.words[alias] = level;
            return;
        }
        if !self.spec.sees_ghosts && next & (PENDING & !KNOT) == 0 && changed == 0 {
            // At the rate of the next finer channel: its own clients' chances come at other steps than ours.
            let finer = level.saturating_sub(1);
            let chance = scene.objects.fresh[slot] & fresh::CHANCE & (0xf00 << finer) != 0;
            if !chance {
                self.rows.owe(alias, next & !CHANNEL | told, scene.clock.now);
                return;
            }
        }
        tools.due.push(Due { alias: alias as u32, word: next, changed });
    }

    /// The word with what this step adds to it, and the channels of which only changed fields are owed.
    ///
    /// `missed`: a knot of this channel was owed already before this step.
    fn owe(&self, word: u16, missed: bool, slot: usize, scene: &Scene<'_>) -> (u16, u8) {
        let fresh = scene.objects.fresh[slot];
        let channel = word & CHANNEL;
        let mut next = word;
        if self.spec.sees_ghosts {
            if fresh & 1 << channel != 0 {
                // Who missed the knot before this one may expect the object elsewhere.
                next |= if missed { KNOT | WHOLE } else { KNOT };
                if scene.objects.packed[slot][channel as usize].snap {
                    next |= SNAP | WHOLE;
                }
            }
        } else if fresh & fresh::MOVED != 0 {
            next |= KNOT;
            if fresh & fresh::SNAP != 0 {
                next |= SNAP | WHOLE;
            }
        }
        let changed = fresh >> 4 & (0xf << channel) & 0xf;
        let already = next >> 4 & 0xf;
        (next, (changed & !already) as u8)
    }

    fn find_newcomers(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        if tools.sighted == 0 {
            return;
        }
        if !self.spec.sees_ghosts || self.centre(scene).is_none() {
            for slot in 1..scene.objects.slots() {
                let channel = LEVELS[usize::from(NONE)][usize::from(std::mem::take(&mut tools.bands[slot]))];
                if channel != NONE {
                    tools.newcomers.push(Newcomer { slot: slot as u32, channel, squared: 0.0 });
                }
            }
            return;
        }
        for hits in &tools.hits {
            for (place, slot) in hits.slots().iter().enumerate() {
                let band = std::mem::take(&mut tools.bands[*slot as usize]);
                if band == 0 {
                    continue;
                }
                let channel = LEVELS[usize::from(NONE)][usize::from(band)];
                if channel != NONE {
                    tools.newcomers.push(Newcomer { slot: *slot, channel, squared: hits.squared()[place] });
                }
            }
        }
    }
}

fn fresh_len(scene: &Scene<'_>) -> usize {
    scene.objects.fresh.len()
}

const _: () = assert!(OWED == 0xf0 && BANDS == 8, "fields and bands keep their places in words");
