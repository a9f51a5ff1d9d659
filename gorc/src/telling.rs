//! Writes what one observer is told in one step, the most urgent first where bytes are short.

use horizon_model::{EntityId, Tick};

use crate::glance::{Due, Entering, Newcomer, Scene, Tools};
use crate::json;
use crate::objects::{fresh, is_near};
use crate::observer::{Observer, REPEAT};
use crate::row::{CHANNEL, COMPLETE, KNOT, OWED, PENDING, SNAP, WHOLE};
use crate::wire::{
    Enter, EnterEntry, Knot, LATTICES, LeaveReason, Long, MAX_FIELDS, Section, Spelling, Update, heading,
    position_of, put_density, put_enter, put_gap, put_header, put_leaves_header, put_long, put_short, short,
};
use horizon_model::Pose;

/// Ticks after which a receiver may expect an object too far from where it is for a short entry.
const LATE_TICKS: i64 = 16;
/// Bytes of an entry that is not short, for the choice; what is written is counted exactly.
const LONG_BYTES: usize = 16;
const FIELDS_BYTES: usize = 40;
const ENTER_BYTES: usize = 44;
const JSON_FACTOR: usize = 8;
/// Distance at which urgency has halved.
const NEAR_METRES: f32 = 16.0;

/// Where in a body we are.
struct Pen<'a> {
    out: &'a mut Vec<u8>,
    text: &'a mut String,
    spelling: Spelling,
    limit: usize,
}

impl Pen<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.limit
    }

    /// Appends what stands in the text as the next item of the array.
    fn item(&mut self) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(self.text.as_bytes());
        self.text.clear();
    }
}

impl Observer {
    /// Everything held is owed again, and what may have been lost with its enter is entered again.
    pub(crate) fn owe_all(&mut self) {
        for alias in 0..self.rows.len() {
            if self.rows.slots[alias] != 0 {
                self.rows.words[alias] |= KNOT | OWED | WHOLE | COMPLETE;
            }
        }
    }

    /// Writes the body of this step into `tools.out`. The lists of `tools` are those of
    /// [`Self::glance`].
    pub(crate) fn tell(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        let mut out = std::mem::take(&mut tools.out);
        let mut text = std::mem::take(&mut tools.text);
        out.clear();
        text.clear();
        let limit = self.spec.budget_bytes.map_or(usize::MAX, |bytes| bytes as usize);
        let mut pen = Pen { out: &mut out, text: &mut text, spelling: self.spec.spelling, limit };
        if pen.spelling == Spelling::Json {
            pen.out.push(b'[');
        }
        if std::mem::take(&mut self.reset) {
            match pen.spelling {
                Spelling::Binary => put_header(pen.out, Section::Reset),
                Spelling::Json => {
                    json::write_reset(pen.text);
                    pen.item();
                }
            }
        }
        self.tell_leaves(scene, tools, &mut pen);
        self.tell_enters(scene, tools, &mut pen);
        self.tell_density(scene, tools, &mut pen);
        self.tell_updates(scene, tools, &mut pen);
        self.refresh = false;
        if pen.spelling == Spelling::Json {
            pen.out.push(b']');
        }
        (tools.out, tools.text) = (out, text);
    }

    fn tell_leaves(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        while self.left.front().is_some_and(|&(told, _)| scene.tick.saturating_since(told) > REPEAT) {
            self.left.pop_front();
        }
        let fresh = self.leaves.len();
        if self.refresh {
            for place in 0..self.left.len() {
                let (_, leave) = self.left[place];
                let again = self.leaves.iter().any(|known| known.alias == leave.alias);
                if !again && !self.rows.is_used(leave.alias as usize) {
                    self.leaves.push(leave);
                }
            }
        }
        for place in 0..fresh {
            let leave = self.leaves[place];
            self.rows.free(leave.alias as usize);
            self.left.push_back((scene.tick, leave));
        }
        let mut leaves = std::mem::take(&mut self.leaves);
        leaves.sort_unstable_by_key(|leave| (leave.reason, leave.alias));
        let start = pen.out.len();
        for group in leaves.chunk_by(|a, b| a.reason == b.reason) {
            if pen.spelling == Spelling::Binary {
                put_leaves_header(pen.out, group[0].reason, group.len() as u32);
            }
            let mut previous = -1;
            for leave in group {
                match pen.spelling {
                    Spelling::Binary => {
                        put_gap(pen.out, (i64::from(leave.alias) - previous - 1) as u32);
                        previous = i64::from(leave.alias);
                    }
                    Spelling::Json => {
                        json::write_leave(pen.text, leave.entity, leave.reason);
                        pen.item();
                    }
                }
            }
        }
        tools.stats.leaves += fresh as u64;
        tools.stats.channel_bytes[3] += (pen.out.len() - start) as u64;
        tools.stats.leave_bytes += (pen.out.len() - start) as u64;
        leaves.clear();
        self.leaves = leaves;
    }

    fn tell_enters(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        while self.entered.front().is_some_and(|&(told, _)| scene.tick.saturating_since(told) > REPEAT) {
            self.entered.pop_front();
        }
        let share = if tools.due.is_empty() { pen.limit } else { pen.limit / 2 };
        let factor = if pen.spelling == Spelling::Json { JSON_FACTOR } else { 1 };
        let room = share.saturating_sub(pen.out.len()) / (ENTER_BYTES * factor) + 1;
        if tools.newcomers.len() > room {
            tools
                .newcomers
                .sort_unstable_by(|a, b| a.squared.total_cmp(&b.squared).then(a.slot.cmp(&b.slot)));
        }
        let mut entering = std::mem::take(&mut tools.entering);
        entering.clear();
        if self.refresh {
            for (_, alias) in &self.entered {
                let slot = self.rows.slots.get(*alias as usize).copied().unwrap_or(0);
                if slot != 0 && !entering.iter().any(|other: &Entering| other.alias == *alias) {
                    let channel = (self.rows.words[*alias as usize] & CHANNEL) as u8;
                    entering.push(Entering { alias: *alias, slot, channel, again: true });
                }
            }
        }
        let mut from = 0;
        for Newcomer { slot, channel, .. } in tools.newcomers.iter().take(room) {
            let Some(alias) = self.rows.reserve(from) else {
                break;
            };
            from = alias + 1;
            entering.push(Entering { alias: alias as u32, slot: *slot, channel: *channel, again: false });
        }
        entering.sort_unstable_by_key(|entering| entering.alias);
        let mut body = std::mem::take(&mut tools.section);
        body.clear();
        let mut written = 0;
        let mut previous: i64 = -1;
        let mut before = None;
        for entering in &entering {
            let full = pen.out.len() + body.len() >= share;
            if full && written > 0 && !entering.again {
                self.rows.free(entering.alias as usize);
                tools.stats.deferred += 1;
                continue;
            }
            let start = pen.out.len() + body.len();
            let Some(tick) =
                write_enter(scene, self.spec.sees_ghosts, entering, previous, before, pen, &mut body)
            else {
                continue;
            };
            previous = i64::from(entering.alias);
            before = scene.objects.facts(entering.slot as usize).map(|facts| facts.entity);
            written += 1;
            let bytes = (pen.out.len() + body.len() - start) as u64;
            tools.stats.enters += 1;
            tools.stats.enter_bytes += bytes;
            tools.stats.channel_bytes[usize::from(entering.channel)] += bytes;
            let alias = entering.alias as usize;
            if entering.again {
                self.rows.words[alias] = u16::from(entering.channel);
                self.rows.ticks[alias] = tick.0 as u32;
            } else {
                self.rows.put(alias, entering.slot, u16::from(entering.channel), tick, scene.clock.now);
                self.entered.push_back((scene.tick, entering.alias));
            }
        }
        if self.refresh {
            tools.due.retain(|due| !entering.iter().any(|entering| entering.alias == due.alias));
        }
        if pen.spelling == Spelling::Binary && written > 0 {
            put_header(pen.out, Section::Enters);
            put_gap(pen.out, written);
            pen.out.extend_from_slice(&body);
        }
        tools.stats.deferred += tools.newcomers.len().saturating_sub(room) as u64;
        (tools.section, tools.entering) = (body, entering);
    }

    fn tell_density(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if !self.spec.density || !self.count_crowd(scene, tools) {
            return;
        }
        match pen.spelling {
            Spelling::Binary => put_density(pen.out, &tools.cells),
            Spelling::Json => {
                json::write_density(pen.text, &tools.cells);
                pen.item();
            }
        }
    }

    /// The most urgent rows that fit, in order of aliases; the others stay due.
    fn choose(&mut self, scene: &Scene<'_>, tools: &mut Tools, room: usize, spelling: Spelling) {
        let factor = if spelling == Spelling::Json { JSON_FACTOR } else { 1 };
        let size = |due: &Due, slot: usize| {
            let bytes = if due.word & OWED != 0 || due.changed != 0 {
                FIELDS_BYTES
            } else if due.word & (PENDING & !KNOT) != 0 {
                LONG_BYTES
            } else {
                let len = scene.objects.packed[slot][(due.word & CHANNEL) as usize].entry.len;
                2 + usize::from(len.max(4))
            };
            bytes * factor
        };
        let mut total = 0;
        for due in &tools.due {
            total += size(due, self.rows.slots[due.alias as usize] as usize);
        }
        if total <= room {
            return;
        }
        let centre = self.centre(scene);
        tools.order.clear();
        for (index, due) in tools.due.iter().enumerate() {
            let slot = self.rows.slots[due.alias as usize] as usize;
            tools.order.push((self.urgency(due, slot, centre, scene), index as u32));
        }
        let mean = (total / tools.due.len()).max(1);
        let count = (room / mean).clamp(1, tools.due.len());
        if count < tools.order.len() {
            tools.order.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for (_, index) in &tools.order[count..] {
                let due = tools.due[*index as usize];
                self.defer(&due, scene);
                tools.due[*index as usize].word = 0;
                tools.stats.deferred += 1;
            }
            tools.due.retain(|due| due.word != 0 || due.changed != 0);
        }
    }

    /// Priority of the channel, times how long it has been owed, times nearness, times attention.
    fn urgency(&self, due: &Due, slot: usize, centre: Option<[f32; 3]>, scene: &Scene<'_>) -> f32 {
        let place = usize::from(scene.objects.profile[slot]);
        let profile = &scene.registry.profiles[place];
        let priority = profile.priority[(due.word & CHANNEL) as usize];
        let waiting = if self.rows.words[due.alias as usize] & PENDING == 0 {
            0
        } else {
            self.rows.waited(due.alias as usize, scene.clock.now).max(0)
        };
        let mut urgency = priority * (1 + waiting) as f32;
        let Some(centre) = centre else {
            return urgency;
        };
        let axes = &scene.objects.coordinates[place];
        let offset = [0, 1, 2].map(|axis| axes[axis][slot] - centre[axis]);
        let metres = offset.iter().map(|axis| axis * axis).sum::<f32>().sqrt();
        urgency *= NEAR_METRES / (NEAR_METRES + metres);
        if !self.attention.is_even()
            && let Some(facts) = scene.objects.facts(slot)
        {
            urgency *= self.attention.weight(facts.entity, offset);
        }
        urgency
    }

    /// Keeps what is owed for a later step.
    fn defer(&mut self, due: &Due, scene: &Scene<'_>) {
        let alias = due.alias as usize;
        let word = self.rows.words[alias];
        let owed = due.word & !CHANNEL | word & CHANNEL | u16::from(due.changed) << 4;
        self.rows.owe(alias, owed, scene.clock.now);
    }

    fn tell_updates(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if pen.limit != usize::MAX {
            let room = pen.limit.saturating_sub(pen.out.len() + 1);
            self.choose(scene, tools, room, pen.spelling);
        }
        let due = std::mem::take(&mut tools.due);
        let mut previous: i64 = -1;
        let mut stats = tools.stats;
        for (place, row) in due.iter().enumerate() {
            if pen.is_full() && place > 0 {
                for late in &due[place..] {
                    self.defer(late, scene);
                }
                stats.deferred += (due.len() - place) as u64;
                break;
            }
            let alias = row.alias as usize;
            let slot = self.rows.slots[alias] as usize;
            let channel = row.word & CHANNEL;
            let start = pen.out.len();
            if previous < 0 && pen.spelling == Spelling::Binary {
                put_header(pen.out, Section::Updates);
            }
            let gap = (i64::from(row.alias) - previous - 1) as u32;
            let packed = &scene.objects.packed[slot][channel as usize];
            let is_fresh = scene.objects.fresh[slot] & 1 << channel != 0;
            // Who knows the knot before this one, and is owed nothing else.
            if self.rows.words[alias] == channel
                && row.word & PENDING == KNOT
                && is_fresh
                && packed.fits
                && row.changed == 0
                && self.spec.sees_ghosts
                && pen.spelling == Spelling::Binary
            {
                put_short(pen.out, gap, &packed.entry);
                self.rows.ticks[alias] = packed.tick;
            } else if let Some(tick) = self.tell_slowly(scene, row, slot, gap, pen) {
                self.rows.ticks[alias] = tick.0 as u32;
            } else if pen.out.len() == start + 1 && previous < 0 {
                pen.out.truncate(start);
                self.rows.words[alias] = channel;
                continue;
            }
            self.rows.told(alias, channel, scene.clock.now);
            if pen.out.len() > start {
                previous = i64::from(row.alias);
                stats.updates += 1;
                stats.channel_bytes[channel as usize] += (pen.out.len() - start) as u64;
                stats.update_bytes += (pen.out.len() - start) as u64;
            }
        }
        tools.stats = stats;
        tools.due = due;
    }

    /// Whether the receiver finds `knot` from its low bits.
    fn expects(&self, scene: &Scene<'_>, row: &Due, slot: usize, knot: &Knot) -> bool {
        let told_on = (self.rows.words[row.alias as usize] & CHANNEL) as u8;
        let channel = (row.word & CHANNEL) as u8;
        if !self.spec.sees_ghosts {
            return true;
        }
        if told_on == channel {
            return scene.objects.packed[slot][usize::from(channel)].fits;
        }
        // It knows the knot of another channel, and perhaps not the last one.
        scene.objects.knot(slot, told_on).is_some_and(|known| {
            known.tick.0 as u32 == self.rows.ticks[row.alias as usize]
                && is_near(known, told_on, knot, channel)
        })
    }

    /// Writes an update that is not the common one. Returns the tick of its knot, if it has one.
    fn tell_slowly(
        &self,
        scene: &Scene<'_>,
        row: &Due,
        slot: usize,
        gap: u32,
        pen: &mut Pen<'_>,
    ) -> Option<Tick> {
        let facts = scene.objects.facts(slot)?;
        let kind = scene.registry.of(facts.type_id);
        let channel = (row.word & CHANNEL) as u8;
        let lattice = if self.spec.sees_ghosts { channel } else { 0 };
        let mut mask = 0;
        for (index, fields) in kind.fields.iter().enumerate().skip(usize::from(channel)) {
            if row.word & 0x10 << index != 0 {
                mask |= fields;
            } else if row.changed & 1 << index != 0 {
                mask |= fields & facts.fields.told();
            }
        }
        let mut slots = [(0, &[][..]); MAX_FIELDS];
        let fields = facts.fields.select(mask, &mut slots);
        let wants_knot = row.word & (KNOT | SNAP | WHOLE | COMPLETE) != 0;
        let knot = if wants_knot { knot_of(scene, slot, channel, self.spec.sees_ghosts) } else { None };
        if knot.is_none() && fields.is_empty() {
            return None;
        }
        let told = self.rows.ticks[row.alias as usize];
        let jump = scene.objects.jump(slot);
        // A jump between the knot that is known and the one that is told.
        let jumped = knot.is_some_and(|knot| {
            jump != 0 && knot.tick.0 >= jump && (told.wrapping_sub(jump as u32) as i32) < 0
        });
        let snap = row.word & SNAP != 0 || jumped;
        let complete = row.word & COMPLETE != 0;
        if pen.spelling == Spelling::Json {
            let update = spelled(&knot, scene, slot, lattice, channel, snap, complete, fields)?;
            json::write_update(pen.text, &update, &kind.schema);
            pen.item();
            return knot.map(|knot| knot.tick);
        }
        let Some(knot) = knot else {
            put_long(pen.out, gap, &Long { channel: lattice, snap: false, complete, knot: None, fields });
            return None;
        };
        let lag = scene.tick.0 as i64 - knot.tick.0 as i64;
        let word = self.rows.words[row.alias as usize];
        let late = word & PENDING != 0
            && self.rows.waited(row.alias as usize, scene.clock.now) * scene.clock.rate.step() as i64
                > LATE_TICKS;
        let whole = snap
            || late
            || row.word & (WHOLE | COMPLETE) != 0
            || !fields.is_empty()
            || !self.expects(scene, row, slot, &knot);
        let entry = if whole { None } else { short(lattice, lag, scene.clock.rate.step(), &knot) };
        match entry {
            Some(entry) => put_short(pen.out, gap, &entry),
            None => {
                let long = Long { channel: lattice, snap, complete, knot: Some((lag, &knot)), fields };
                put_long(pen.out, gap, &long);
            }
        }
        Some(knot.tick)
    }
}

/// The knot that an observer is to hold: that of its channel, or the newest sample for a region.
fn knot_of(scene: &Scene<'_>, slot: usize, channel: u8, sees_ghosts: bool) -> Option<Knot> {
    if sees_ghosts {
        scene.objects.knot(slot, channel).copied()
    } else {
        scene.objects.exact(slot, scene.clock.rate.hz())
    }
}

/// The knot and the fields as JSON says them.
#[allow(clippy::too_many_arguments)]
fn spelled<'a>(
    knot: &Option<Knot>,
    scene: &Scene<'_>,
    slot: usize,
    lattice: u8,
    channel: u8,
    snap: bool,
    complete: bool,
    fields: &'a [(u8, &'a [u8])],
) -> Option<Update<'a>> {
    let entity: EntityId = scene.objects.facts(slot)?.entity;
    let pose = knot.as_ref().and_then(|knot| pose_of(knot, lattice));
    Some(Update {
        entity,
        tick: knot.as_ref().map_or(scene.tick, |knot| knot.tick),
        channel,
        position: pose.map(|pose| pose.position),
        velocity: pose.map(|pose| pose.velocity),
        yaw: knot
            .as_ref()
            .zip(pose)
            .and_then(|(knot, pose)| if knot.own_yaw { Some(pose.yaw) } else { heading(pose.velocity) }),
        snap: snap && knot.is_some(),
        complete,
        fields,
    })
}

fn pose_of(knot: &Knot, channel: u8) -> Option<Pose> {
    let lattice = &LATTICES[usize::from(channel)];
    Some(Pose {
        position: position_of(lattice.metres(knot.place))?,
        velocity: lattice.mps(knot.velocity).map(|axis| axis as f32),
        yaw: crate::wire::dequantise_yaw(knot.yaw),
    })
}

/// Writes one enter, to `body` in binary and to the pen in JSON. Returns the tick of its knot.
fn write_enter(
    scene: &Scene<'_>,
    sees_ghosts: bool,
    entering: &Entering,
    previous: i64,
    before: Option<EntityId>,
    pen: &mut Pen<'_>,
    body: &mut Vec<u8>,
) -> Option<Tick> {
    let slot = entering.slot as usize;
    let facts = scene.objects.facts(slot)?;
    let kind = scene.registry.of(facts.type_id);
    let lattice = if sees_ghosts { entering.channel } else { 0 };
    let knot = knot_of(scene, slot, entering.channel, sees_ghosts)?;
    let mask = kind.fields[usize::from(entering.channel)..].iter().fold(0, |mask, fields| mask | fields);
    let mut slots = [(0, &[][..]); MAX_FIELDS];
    let fields = facts.fields.select(mask, &mut slots);
    match pen.spelling {
        Spelling::Binary => put_enter(
            body,
            (i64::from(entering.alias) - previous - 1) as u32,
            before,
            &EnterEntry {
                entity: facts.entity,
                type_id: facts.type_id,
                player: facts.player,
                channel: lattice,
                lag_ticks: scene.tick.0 as i64 - knot.tick.0 as i64,
                knot: &knot,
                again: entering.again,
                fields,
            },
        ),
        Spelling::Json => {
            let enter = Enter {
                entity: facts.entity,
                type_id: facts.type_id,
                player: facts.player,
                tick: knot.tick,
                pose: pose_of(&knot, lattice)?,
                channel: entering.channel,
                again: entering.again,
                fields,
            };
            json::write_enter(pen.text, &enter, &kind.schema);
            pen.item();
        }
    }
    Some(knot.tick)
}

const _: () = assert!(fresh::KNOT == 0xf && LeaveReason::OutOfRange as u8 == 0, "bits keep their places");
