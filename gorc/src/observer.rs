//! One observer: from where it looks, what its receiver holds, and what that is owed.

use std::collections::VecDeque;
use std::fmt;

use horizon_model::{EntityId, Position, TICKS_PER_SECOND, Tick};

use crate::attention::Attention;
use crate::cadence::mix;
use crate::grid::Limits;
use crate::interest::Anchor;
use crate::objects::Objects;
use crate::registry::Registry;
use crate::row::{ADOPTED, CHANNEL, KNOT, OWED, PENDING, Rows, WHOLE};
use crate::view::{Held, View};
use crate::wire::{Knot, LeaveReason, Spelling};

/// Ticks for which an adopted object may be unknown here before the client is told to drop it: 5 s.
pub const PATIENCE: u64 = 5 * TICKS_PER_SECOND;
/// Ticks for which a refresh repeats enters and leaves, whose frames may be the lost ones: 2 s, far
/// longer than a lost frame takes to be noticed.
pub const REPEAT: u64 = 2 * TICKS_PER_SECOND;
/// Steps over which the fields of adopted objects are told anew: no burst after a crossing.
const FIELDS_STEPS: i64 = 32;

/// Share of a channel's bound by which two regions may draw apart until the spread is over.
const TOLERANCE: f64 = 3.0;

/// Names one observer within a region; the caller chooses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObserverId(pub u64);

impl fmt::Debug for ObserverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "observer {}", self.0)
    }
}

/// How an observer looks at the world.
#[derive(Debug, Clone, PartialEq)]
pub struct ObserverSpec {
    /// From where.
    pub anchor: Anchor,
    /// How its bodies are spelled.
    pub spelling: Spelling,
    /// A shadow: nothing is sent.
    pub muted: bool,
    /// Whether ghosts are shown: yes for clients, no for neighbour regions, which hear of them from
    /// their owners. An observer that sees no ghosts gets exact samples, at the rates of all channels
    /// it holds, so that it can serve each of them to its own clients.
    pub sees_ghosts: bool,
    /// Added to every radius, in metres: 0 for clients, a few for neighbour regions, so that what
    /// they hold is never coarser than what their clients need.
    pub margin_metres: f64,
    /// Bytes that a body may have; more is told later, the most urgent first. Bodies may be larger only
    /// by leaves, by the density layer, and by the one entry that crosses the limit.
    pub budget_bytes: Option<u32>,
    /// Whether objects beyond the limits of `nearest` are told of as numbers per cell, once a second.
    pub density: bool,
}

impl ObserverSpec {
    /// A client at `position`, in binary, without a budget.
    pub const fn client(position: Position) -> Self {
        Self {
            anchor: Anchor::Point(position),
            spelling: Spelling::Binary,
            muted: false,
            sees_ghosts: true,
            margin_metres: 0.0,
            budget_bytes: None,
            density: false,
        }
    }

    /// A neighbour region that looks from `anchor`.
    pub const fn region(anchor: Anchor, margin_metres: f64) -> Self {
        Self {
            anchor,
            spelling: Spelling::Binary,
            muted: false,
            sees_ghosts: false,
            margin_metres,
            budget_bytes: None,
            density: false,
        }
    }
}

/// To be told with the next frame. The alias stays reserved until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leave {
    pub(crate) reason: LeaveReason,
    pub(crate) alias: u32,
    pub(crate) entity: EntityId,
}

/// An adopted object that does not exist here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stranger {
    pub(crate) held: Held,
    /// When the receiver shall drop it; counted from the next step.
    pub(crate) forget_at: Option<Tick>,
}

/// What this region knows, for views that another one told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) registry: &'a Registry,
    /// The step in progress or the last one.
    pub(crate) now: i64,
    pub(crate) tick: Tick,
    /// Ticks of a step.
    pub(crate) step: u64,
}

/// How far what a receiver draws is from what we would have told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// Hardly beyond the bound of the channel for so many steps.
    Grows(i64),
    Unknown,
}

impl Ours<'_> {
    fn difference(&self, held: &Held, slot: usize) -> Difference {
        let channel = held.channel.min(3);
        let (Some((place, velocity)), Some(ours), Some(facts)) =
            (held.knot, self.objects.knot(slot, channel), self.objects.facts(slot))
        else {
            return Difference::Unknown;
        };
        let told = Knot { tick: held.tick, place, velocity, ..*ours };
        let resting = told.velocity == [0; 3] && ours.velocity == [0; 3];
        if told.place == ours.place && told.velocity == ours.velocity && (resting || told.tick == ours.tick) {
            return Difference::None;
        }
        if self.objects.jump(slot) > held.tick.0 {
            return Difference::Unknown;
        }
        let pace = &self.registry.of(facts.type_id).paces[usize::from(channel)];
        let bound = f64::from(pace.bound) * TOLERANCE;
        // What a client draws in `steps` lies a delay behind what it hears then.
        let apart = |steps: i64| {
            let tick = self.tick.0 as i64 + (steps - pace.delay) * self.step as i64;
            let (a, b) = (told.metres_at(channel, tick), ours.metres_at(channel, tick));
            (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>() > bound * bound
        };
        let stages = [0, pace.delay / 2, pace.delay, pace.delay * 2, pace.delay * 4, pace.delay * 8];
        let first = stages.into_iter().position(apart);
        Difference::Grows(first.map_or(stages[5], |stage| stages[stage.saturating_sub(1)]))
    }
}

#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) id: ObserverId,
    pub(crate) spec: ObserverSpec,
    pub(crate) rows: Rows,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) leaves: Vec<Leave>,
    /// Leaves told lately, oldest first.
    pub(crate) left: VecDeque<(Tick, Leave)>,
    /// Aliases of enters told lately, oldest first.
    pub(crate) entered: VecDeque<(Tick, u32)>,
    pub(crate) reset: bool,
    pub(crate) refresh: bool,
    pub(crate) attention: Attention,
    /// Per capped table of reach: what the nearest objects leave of it, and when that was measured.
    pub(crate) reach: Vec<Option<(i64, Limits)>>,
}

impl Observer {
    pub(crate) fn new(id: ObserverId, spec: ObserverSpec) -> Self {
        Self {
            id,
            spec,
            rows: Rows::default(),
            strangers: Vec::new(),
            leaves: Vec::new(),
            left: VecDeque::new(),
            entered: VecDeque::new(),
            reset: false,
            refresh: false,
            attention: Attention::default(),
            reach: Vec::new(),
        }
    }

    pub(crate) fn view(&self, objects: &Objects) -> View {
        let rows = (0..self.rows.len()).filter(|alias| self.rows.slots[*alias] != 0);
        let told = rows.filter_map(|alias| {
            let facts = objects.facts(self.rows.slots[alias] as usize)?;
            let word = self.rows.words[alias];
            let exact = word & (OWED | ADOPTED) == 0 && !facts.fields.is_changed();
            let known = objects.knot(self.rows.slots[alias] as usize, (word & CHANNEL) as u8);
            let told = known
                .filter(|knot| word & (PENDING & !OWED) == 0 && knot.tick.0 as u32 == self.rows.ticks[alias]);
            Some(Held {
                entity: facts.entity,
                alias: alias as u16,
                channel: (word & CHANNEL) as u8,
                tick: full_tick(self.rows.ticks[alias], facts.tick),
                digest: if exact { facts.fields.known_digest() } else { 0 },
                knot: told.map(|knot| (knot.place, knot.velocity)),
            })
        });
        let gone = self.leaves.iter().map(|leave| Held {
            entity: leave.entity,
            alias: leave.alias as u16,
            channel: 3,
            tick: Tick(0),
            digest: 0,
            knot: None,
        });
        let strangers = self.strangers.iter().map(|stranger| stranger.held);
        let mut held: Vec<_> = told.chain(strangers).chain(gone).collect();
        held.sort_by_key(|held| held.entity);
        held.dedup_by_key(|held| held.entity);
        View { held }
    }

    pub(crate) fn adopt(&mut self, view: &View, world: &Ours<'_>) {
        self.forget_told();
        self.reset = false;
        for &held in &view.held {
            if !self.rows.claim(usize::from(held.alias)) {
                continue;
            }
            match world.objects.slot(held.entity) {
                Some(slot) => self.attach(&held, slot, world),
                None => self.strangers.push(Stranger { held, forget_at: None }),
            }
        }
    }

    /// Goes on with an object that another region told of, behind its claimed alias.
    pub(crate) fn attach(&mut self, held: &Held, slot: usize, world: &Ours<'_>) {
        let channel = held.channel.min(3);
        let known = world.objects.facts(slot).map(|facts| facts.fields.known_digest());
        let owed = if known == Some(held.digest) { 0 } else { OWED };
        let within = |steps: i64| (mix(held.entity.bits()) % (steps as u64 + 1)) as i64;
        let (word, steps) = match world.difference(held, slot) {
            Difference::None if owed == 0 => (0, 0),
            Difference::None => (ADOPTED, within(FIELDS_STEPS)),
            Difference::Grows(steps) => (ADOPTED | KNOT, within(steps)),
            Difference::Unknown => (KNOT | WHOLE, 0),
        };
        let word = u16::from(channel) | word | owed;
        self.rows.put(usize::from(held.alias), slot as u32, word, held.tick, world.now + 1 + steps);
    }

    /// The receiver holds nothing, or will not once it reads the next frame.
    pub(crate) fn forget_told(&mut self) {
        self.rows.clear();
        self.strangers.clear();
        self.leaves.clear();
        self.left.clear();
        self.entered.clear();
        self.refresh = false;
    }

    pub(crate) fn held_count(&self) -> usize {
        self.rows.held() + self.strangers.len()
    }

    /// Whether it is this observer's turn at something that each does once in `period`; `now` counts up.
    pub(crate) fn has_turn(&self, now: u64, period: u64) -> bool {
        now.wrapping_add(self.id.0).is_multiple_of(period)
    }

    /// Whether it gets a body in step `now` where clients get one in `every` steps.
    pub(crate) fn is_served(&self, now: u64, every: u64) -> bool {
        !self.spec.sees_ghosts || self.has_turn(now, every)
    }

    /// The channel on which a slot was told.
    pub(crate) fn told(&self, slot: usize) -> Option<u8> {
        let alias = self.rows.slots.iter().position(|other| *other as usize == slot && slot != 0)?;
        Some((self.rows.words[alias] & CHANNEL) as u8)
    }
}

/// The tick whose low half is `low`, nearest below or at most half a wrap above `near`.
fn full_tick(low: u32, near: Tick) -> Tick {
    let ahead = low.wrapping_sub(near.0 as u32) as i32;
    Tick(near.0.saturating_add_signed(i64::from(ahead)))
}
