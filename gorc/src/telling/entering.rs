//! The enters of one body: the nearest first where bytes or aliases are short.

use horizon_model::{EntityId, Tick};

use super::{JSON_FACTOR, Pen, knot_of, pose_of};
use crate::glance::{Entering, Newcomer, Scene, Tools};
use crate::json;
use crate::observer::{Observer, REPEAT};
use crate::row::CHANNEL;
use crate::wire::{Enter, EnterEntry, MAX_FIELDS, Section, Spelling, put_enter, put_gap, put_header};

/// Bytes of an enter, for the choice; what is written is counted exactly.
const ENTER_BYTES: usize = 44;

impl Observer {
    pub(super) fn tell_enters(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if self.tidies(scene) {
            while self.entered.front().is_some_and(|&(told, _)| scene.tick.saturating_since(told) > REPEAT) {
                self.entered.pop_front();
            }
        }
        let share = if tools.due.is_empty() { pen.limit } else { pen.limit / 2 };
        let factor = if pen.spelling == Spelling::Json { JSON_FACTOR } else { 1 };
        let room = share.saturating_sub(pen.out.len()) / (ENTER_BYTES * factor) + 1;
        if tools.newcomers.len() > room {
            let nearer =
                |a: &Newcomer, b: &Newcomer| a.squared.total_cmp(&b.squared).then(a.slot.cmp(&b.slot));
            tools.newcomers.select_nth_unstable_by(room, nearer);
            tools.newcomers[..room].sort_unstable_by(nearer);
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
                if !entering.again {
                    self.rows.free(entering.alias as usize);
                }
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
