//! One observer: what it is interested in, what it has been told, and the difference.
//!
//! ```text
//!             distance, hysteresis                  step with credit, not muted
//!   objects ───────────────────────▶ interest ─────────────────────────────────▶ told ──▶ body
//!                every step                        enters, leaves, updates
//! ```

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;

use horizon_model::{EntityId, TICKS_PER_SECOND, Tick};

use crate::body::Body;
use crate::candidate::Candidate;
use crate::interest::{Anchor, NONE, level};
use crate::object::Sample;
use crate::row::Row;
use crate::stats::Stats;
use crate::view::{Held, View};
use crate::wire::{Enter, LeaveReason, MAX_FIELDS, Spelling, Update};

/// Ticks for which an adopted object may be unknown here before the client is told to drop it: 5 s.
pub const PATIENCE: u64 = 5 * TICKS_PER_SECOND;
/// Ticks for which a refresh repeats enters and leaves, whose frames may be the lost ones: 2 s, far
/// longer than a lost frame takes to be noticed.
pub const REPEAT: u64 = 2 * TICKS_PER_SECOND;

/// Steps without credit whose positions are made up for when credit returns. A hiccup of the machine is
/// no longer than that; a client that lacks credit for longer gets a lower rate.
const MAX_MISSED: u32 = 4;
/// What a step without credit adds to the debt that a step with credit lowers by one.
const MISSED_DEBT: u32 = 8;
/// Highest debt at which positions are still made up for: one hiccup of [`MAX_MISSED`] steps a second.
/// A client that is always slow stays above it, so its bytes fall with its frames.
const MAX_DEBT: u32 = MAX_MISSED * MISSED_DEBT;

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
    /// A shadow: its interest is kept, and nothing is sent.
    pub muted: bool,
    /// Whether ghosts are shown: yes for clients, no for neighbour regions, which hear of them from
    /// their owners. An observer that sees no ghosts gets a position whenever one is due on any of
    /// its channels, so that it can serve each of them to its own clients.
    pub sees_ghosts: bool,
    /// Added to every radius, in metres: 0 for clients, a few for neighbour regions, so that what
    /// they hold is never coarser than what their clients need.
    pub margin_metres: f64,
}

#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) spec: ObserverSpec,
    /// In order of entities.
    rows: Vec<Row>,
    spare: Vec<Row>,
    /// Despawned while held; due with the next frame.
    leaves: Vec<(EntityId, LeaveReason)>,
    /// Told lately, oldest first.
    left: VecDeque<(Tick, EntityId, LeaveReason)>,
    pub(crate) reset: bool,
    pub(crate) refresh: bool,
    /// Steps in a row without credit.
    missed: u32,
    debt: u32,
    /// This step makes up for the missed ones.
    make_up: bool,
}

impl Observer {
    pub(crate) fn new(spec: ObserverSpec) -> Self {
        Self {
            spec,
            rows: Vec::new(),
            spare: Vec::new(),
            leaves: Vec::new(),
            left: VecDeque::new(),
            reset: false,
            refresh: false,
            missed: 0,
            debt: 0,
            make_up: false,
        }
    }

    pub(crate) fn view(&self) -> View {
        let told = self.rows.iter().filter(|row| row.told != NONE);
        let told = told.map(|row| Held { entity: row.entity, channel: row.told, tick: row.told_tick });
        let despawned = self.leaves.iter().map(|&(entity, _)| Held { entity, channel: 3, tick: Tick(0) });
        let mut held: Vec<_> = told.chain(despawned).collect();
        held.sort_by_key(|held| held.entity);
        held.dedup_by_key(|held| held.entity);
        View { held }
    }

    pub(crate) fn adopt(&mut self, view: &View) {
        self.forget_told();
        self.reset = false;
        for &Held { entity, channel, tick } in &view.held {
            let at = match self.rows.binary_search_by_key(&entity, |row| row.entity) {
                Ok(at) => at,
                Err(at) => {
                    self.rows.insert(at, Row::new(entity));
                    at
                }
            };
            let row = &mut self.rows[at];
            row.told = channel.min(3);
            (row.told_tick, row.adopted) = (tick, true);
            row.level = row.level.min(row.told);
        }
    }

    /// The receiver holds nothing, or will not once it reads the next frame.
    pub(crate) fn forget_told(&mut self) {
        for row in &mut self.rows {
            *row = Row { level: row.level, ..Row::new(row.entity) };
        }
        self.leaves.clear();
        self.left.clear();
        self.refresh = false;
    }

    pub(crate) fn despawned(&mut self, entity: EntityId, reason: LeaveReason) {
        if let Ok(at) = self.rows.binary_search_by_key(&entity, |row| row.entity)
            && self.rows.remove(at).told != NONE
        {
            self.leaves.push((entity, reason));
        }
    }

    pub(crate) fn held_count(&self) -> usize {
        self.rows.iter().filter(|row| row.told != NONE).count()
    }

    pub(crate) fn row_levels(&self, entity: EntityId) -> Option<(Option<u8>, Option<u8>)> {
        let at = self.rows.binary_search_by_key(&entity, |row| row.entity).ok()?;
        let some = |level: u8| (level != NONE).then_some(level);
        Some((some(self.rows[at].level), some(self.rows[at].told)))
    }

    /// Looks at every object, in order of entities. With `body`, tells the receiver what is new.
    pub(crate) fn step(
        &mut self,
        tick: Tick,
        candidates: &[Candidate<'_>],
        mut body: Option<&mut Body>,
        stats: &mut Stats,
    ) {
        if let Some(body) = &mut body {
            self.make_up = (1..=MAX_MISSED).contains(&self.missed) && self.debt <= MAX_DEBT;
            self.missed = 0;
            self.debt = self.debt.saturating_sub(1);
            self.begin(tick, body, stats);
        } else if !self.spec.muted {
            self.missed = self.missed.saturating_add(1);
            self.debt = (self.debt + MISSED_DEBT).min(2 * MAX_DEBT);
        }
        let before = std::mem::take(&mut self.rows);
        let mut rows = std::mem::take(&mut self.spare);
        rows.clear();
        let mut old = before.iter().peekable();
        let mut objects = candidates.iter().peekable();
        loop {
            let order = match (old.peek(), objects.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(row), Some(object)) => row.entity.cmp(&object.entity),
            };
            let row = if order == Ordering::Greater { None } else { old.next().copied() };
            let object = if order == Ordering::Less { None } else { objects.next() };
            rows.extend(match (row, object) {
                (row, Some(object)) => self.meet(tick, object, row, body.as_deref_mut(), stats),
                (Some(row), None) => self.unknown(tick, row, body.as_deref_mut(), stats),
                (None, None) => None,
            });
        }
        (self.rows, self.spare) = (rows, before);
        if let Some(body) = body {
            self.repeat_leaves(tick, body);
            self.refresh = false;
        }
    }

    /// What stands at the head of a body.
    fn begin(&mut self, tick: Tick, body: &mut Body, stats: &mut Stats) {
        body.begin(self.spec.spelling);
        if std::mem::take(&mut self.reset) {
            body.reset();
        }
        while self.left.front().is_some_and(|&(told, ..)| tick.saturating_since(told) > REPEAT) {
            self.left.pop_front();
        }
        for (entity, reason) in std::mem::take(&mut self.leaves) {
            self.leave(tick, entity, reason, body, stats);
        }
    }

    fn leave(
        &mut self,
        tick: Tick,
        entity: EntityId,
        reason: LeaveReason,
        body: &mut Body,
        stats: &mut Stats,
    ) {
        body.leave(entity, reason);
        stats.leaves += 1;
        self.left.push_back((tick, entity, reason));
    }

    /// After a refresh: leaves of the last [`REPEAT`] ticks once more, except those told just now and
    /// those of objects that are held again.
    fn repeat_leaves(&mut self, tick: Tick, body: &mut Body) {
        if !self.refresh {
            return;
        }
        let mut lost: Vec<_> = self.left.iter().filter(|(told, ..)| *told != tick).collect();
        lost.sort_by_key(|(told, entity, _)| (*entity, std::cmp::Reverse(*told)));
        lost.dedup_by_key(|(_, entity, _)| *entity);
        for &&(_, entity, reason) in &lost {
            let held = self.row_levels(entity).is_some_and(|(_, told)| told.is_some());
            let again = self.left.iter().any(|&(told, other, _)| told == tick && other == entity);
            if !held && !again {
                body.leave(entity, reason);
            }
        }
    }

    /// A row whose object does not exist here.
    fn unknown(
        &mut self,
        tick: Tick,
        mut row: Row,
        body: Option<&mut Body>,
        stats: &mut Stats,
    ) -> Option<Row> {
        if row.told == NONE {
            return None;
        }
        let forget_at = *row.forget_at.get_or_insert(tick + PATIENCE);
        match body {
            Some(body) if tick >= forget_at => {
                self.leave(tick, row.entity, LeaveReason::OutOfRange, body, stats);
                None
            }
            _ => Some(row),
        }
    }

    /// An object that exists, and its row if it had one.
    fn meet(
        &mut self,
        tick: Tick,
        seen: &Candidate<'_>,
        row: Option<Row>,
        body: Option<&mut Body>,
        stats: &mut Stats,
    ) -> Option<Row> {
        let hidden = seen.object.ghost && !self.spec.sees_ghosts;
        let held = row.map_or(NONE, |row| row.level);
        let level = if hidden {
            NONE
        } else {
            let metres = self.spec.anchor.distance(&seen.position) - self.spec.margin_metres;
            level(held, metres, &seen.kind.schema.channels)
        };
        // NONE is above every channel, so nobody sees further by this.
        let level = level.max(seen.object.floor);
        if row.is_none() && level == NONE {
            return None;
        }
        let mut row = row.unwrap_or_else(|| Row::new(seen.entity));
        (row.level, row.forget_at) = (level, None);
        let Some(body) = body else {
            if !self.spec.muted {
                row.pass_over(seen);
            }
            return (row.level != NONE || row.told != NONE).then_some(row);
        };
        match (row.told, row.level) {
            (NONE, NONE) => return None,
            (_, NONE) => {
                let reason = if hidden { LeaveReason::Moved } else { LeaveReason::OutOfRange };
                self.leave(tick, row.entity, reason, body, stats);
                return None;
            }
            (NONE, _) => {
                row.entered = Some(tick);
                self.enter(seen, &mut row, false, body, stats);
            }
            _ if self.refresh && row.entered.is_some_and(|at| tick.saturating_since(at) <= REPEAT) => {
                self.enter(seen, &mut row, true, body, stats);
            }
            (told, level) => {
                let gained =
                    if self.refresh { 0xf << level & 0xf } else { (1 << told) - (1 << level.min(told)) };
                row.told = level;
                if row.adopted || self.make_up {
                    let samples = seen.object.samples_after(row.told_tick);
                    self.update(tick, seen, &mut row, &samples, gained, body, stats);
                } else {
                    self.update(tick, seen, &mut row, &seen.object.pending, gained, body, stats);
                }
            }
        }
        row.adopted = false;
        row.told_tick = row.told_tick.max(seen.object.latest.tick);
        Some(row)
    }

    /// Everything about an object at the oldest new sample; the newer samples follow as updates, so
    /// that a receiver which knew the object before misses none of them. A neighbour also gets the last
    /// samples of the owner before us, whose own words ours may overtake; it ignores what it has.
    fn enter(&self, seen: &Candidate<'_>, row: &mut Row, again: bool, body: &mut Body, stats: &mut Stats) {
        let object = seen.object;
        let kept;
        let samples = if !self.spec.sees_ghosts && object.is_just_taken_over() {
            kept = object.samples_after(Tick(0));
            &kept
        } else {
            &object.pending
        };
        let (sample, newer) = match samples.split_first() {
            Some((oldest, newer)) => (oldest, newer),
            None => (&object.latest, &[][..]),
        };
        let channels = (usize::from(row.level)..4).fold(0, |mask, c| mask | seen.kind.fields[c]);
        let mut slots = [(0, &[][..]); MAX_FIELDS];
        body.enter(
            &Enter {
                entity: seen.entity,
                type_id: object.type_id,
                player: object.player,
                tick: sample.tick,
                pose: sample.pose,
                channel: row.level,
                precision: seen.kind.precision[usize::from(row.level)],
                again,
                fields: object.select(channels, &mut slots),
            },
            &seen.kind.schema,
        );
        stats.enters += 1;
        row.told = row.level;
        row.revisions = *object.changed();
        (row.owed, row.snap) = (0, false);
        if !newer.is_empty() {
            self.update(sample.tick, seen, row, newer, 0, body, stats);
        }
    }

    /// Every due sample among `samples`, changed fields, and all fields of the channels in `gained`.
    #[allow(clippy::too_many_arguments)]
    fn update(
        &self,
        tick: Tick,
        seen: &Candidate<'_>,
        row: &mut Row,
        samples: &[Sample],
        gained: u8,
        body: &mut Body,
        stats: &mut Stats,
    ) {
        let object = seen.object;
        let held = 0xf << row.told & 0xf_u8;
        for channel in (0..4).filter(|c| gained & 1 << c != 0) {
            row.revisions[channel] = 0;
        }
        let placed = if self.spec.sees_ghosts { 1 << row.told } else { held };
        let late = gained | std::mem::take(&mut row.owed);
        let standing = [Sample { due: 0, ..object.latest }];
        let (samples, idle) = match samples {
            [] => (&standing[..], true),
            samples => (samples, false),
        };
        for (index, sample) in samples.iter().enumerate() {
            let last = index + 1 == samples.len();
            // A field's value is the newest, so it goes with the newest sample that is due.
            let channels = if last {
                sample.due | late | if idle { seen.idle_due } else { 0 }
            } else {
                let later = samples[index + 1..].iter().fold(late, |mask, sample| mask | sample.due);
                sample.due & !later
            } & held;
            let complete = last && gained != 0;
            let mask = row.take_changed(seen, channels);
            let has_place = sample.due & placed != 0 || (complete && (!idle || self.refresh));
            let has_motion = row.told <= 1 && (sample.due & 0b10 != 0 || (complete && has_place));
            row.snap |= sample.snap && !idle;
            if !has_place && !has_motion && mask == 0 {
                continue;
            }
            let mut slots = [(0, &[][..]); MAX_FIELDS];
            let update = Update {
                entity: seen.entity,
                tick: if has_place || has_motion || object.ghost || !idle { sample.tick } else { tick },
                channel: row.told,
                precision: seen.kind.precision[usize::from(row.told)],
                position: has_place.then_some(sample.pose.position),
                velocity: has_motion.then_some(sample.pose.velocity),
                yaw: has_motion.then_some(sample.pose.yaw),
                snap: has_place && std::mem::take(&mut row.snap),
                complete,
                fields: object.select(mask, &mut slots),
            };
            body.update(&update, &seen.kind.schema);
            stats.updates += 1;
        }
    }
}
