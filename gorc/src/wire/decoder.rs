//! Reads binary bodies.

use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Position, Tick, TickRate};

use super::held::{Held, HeldObjects};
use super::knot::Knot;
use super::lattice::{MAX_VELOCITY_STEPS, dequantise_yaw, heading, told_mps};
use super::short::unpack;
use super::visitor::{Density, Enter, LeaveReason, MAX_FIELDS, Update, Visitor};
use super::{KIND_MASK, MAX_ALIAS, REASON_SHIFT, enter_flag, entry::Section, long_flag, update_byte};
use crate::error::DecodeError;
use crate::varint::Reader;

/// Least bytes of an enter: gap, flags, lower id half, type, lag and three axes.
const MIN_ENTER_BYTES: usize = 8;
/// Least bytes of a density cell.
const MIN_DENSITY_BYTES: usize = 3;

/// What a receiver must remember to read binary bodies: who hides behind each alias, and the last knot
/// of each.
///
/// Memory grows with the objects held, which are at most 65536. Beyond one table of 32 KiB, a body cannot
/// make it allocate more than a fixed multiple of the body's own size.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Grid ticks of a step of the world.
    step: u64,
    held: HeldObjects,
    strays: u64,
    cells: Vec<Density>,
}

impl Default for Decoder {
    /// For a world of 30 steps a second.
    fn default() -> Self {
        Self { step: 2, held: HeldObjects::default(), strays: 0, cells: Vec::new() }
    }
}

impl Decoder {
    /// For a world of 30 steps a second; holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a world that steps at `rate`; holds nothing yet.
    pub fn at_rate(rate: TickRate) -> Self {
        Self { step: rate.step(), ..Self::default() }
    }

    /// Reads the body of the frame for `frame_tick` and tells `visitor` what it says.
    ///
    /// Bodies build on those before them, so they are read in order. An enter that takes the alias of
    /// another object is visited after a leave of that one, out of range.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] at the first byte that breaks the specification; entries before it were visited.
    pub fn decode(
        &mut self,
        body: &[u8],
        frame_tick: Tick,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(body);
        let mut lowest_rank = 0;
        while reader.remaining() > 0 {
            let at = reader.at();
            let header = reader.byte()?;
            let (rank, section) = section_of(header).ok_or(DecodeError::Reserved { at })?;
            if rank < lowest_rank {
                return Err(DecodeError::Order { at });
            }
            lowest_rank = rank + 1;
            match section {
                Section::Reset => {
                    self.held.clear();
                    visitor.reset();
                }
                Section::Leaves => {
                    let reason = LeaveReason::from_class(header >> REASON_SHIFT);
                    self.leaves(&mut reader, reason, visitor)?;
                }
                Section::Enters => self.enters(&mut reader, frame_tick, visitor)?,
                Section::Density => self.density(&mut reader, visitor)?,
                Section::Updates => self.updates(&mut reader, frame_tick, visitor)?,
            }
        }
        Ok(())
    }

    /// Updates and leaves so far of aliases behind which nobody was. They were skipped: after frames
    /// were lost, they are no fault.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// Bytes allocated, about.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.held.memory_bytes() + self.cells.capacity() * size_of::<Density>()
    }

    #[cfg(test)]
    pub(super) fn last_knot(&mut self, alias: u16) -> Option<Knot> {
        self.held.last_knot(alias)
    }

    fn leaves(
        &mut self,
        reader: &mut Reader<'_>,
        reason: LeaveReason,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        let mut aliases = Aliases::default();
        for _ in 0..count(reader, 1)? {
            let alias = aliases.read(reader)?;
            match self.held.remove(alias) {
                Some(entity) => visitor.leave(entity, reason),
                None => self.strays += 1,
            }
        }
        Ok(())
    }

    fn enters(
        &mut self,
        reader: &mut Reader<'_>,
        frame_tick: Tick,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        let mut aliases = Aliases::default();
        let mut upper = None;
        for _ in 0..count(reader, MIN_ENTER_BYTES)? {
            let alias = aliases.read(reader)?;
            let at = reader.at();
            let flags = reader.byte()?;
            let channel = flags & 3;
            let half = match upper {
                Some(half) if flags & enter_flag::SAME_UPPER != 0 => half,
                None if flags & enter_flag::SAME_UPPER != 0 => return Err(DecodeError::Reserved { at }),
                _ => u32::from_le_bytes(reader.array()?),
            };
            upper = Some(half);
            let at = reader.at();
            let bits = u64::from(half) << 32 | u64::from(reader.varint_u32()?);
            let entity = EntityId::from_bits(bits).ok_or(DecodeError::Id { at })?;
            let at = reader.at();
            let type_id = u16::try_from(reader.varint()?).map_err(|_| DecodeError::Varint { at })?;
            let player = if flags & enter_flag::PLAYER != 0 {
                Some(PlayerId(u128::from_le_bytes(reader.array()?)))
            } else {
                None
            };
            let at = reader.at();
            let mut knot = knot(reader, frame_tick, flags & enter_flag::VELOCITY != 0)?;
            let held = Held::new(entity, channel, &knot).ok_or(DecodeError::Place { at })?;
            if flags & enter_flag::YAW != 0 {
                let at = reader.at();
                knot.yaw = reader.byte()?;
                if knot.yaw == 0 {
                    return Err(DecodeError::Reserved { at });
                }
            }
            let mut slots = [(0_u8, &[][..]); MAX_FIELDS];
            let fields = if flags & enter_flag::FIELDS != 0 { fields(reader, &mut slots)? } else { &[] };

            if let Some(displaced) = self.held.insert(alias, held) {
                visitor.leave(displaced, LeaveReason::OutOfRange);
            }
            visitor.enter(Enter {
                entity,
                type_id: ObjectTypeId(type_id),
                player,
                tick: knot.tick,
                pose: Pose {
                    position: held.position(),
                    velocity: told_mps(channel, knot.velocity),
                    yaw: dequantise_yaw(knot.yaw),
                },
                channel,
                again: flags & enter_flag::AGAIN != 0,
                fields,
            });
        }
        Ok(())
    }

    fn density(&mut self, reader: &mut Reader<'_>, visitor: &mut dyn Visitor) -> Result<(), DecodeError> {
        let at = reader.at();
        let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if count > reader.remaining() / MIN_DENSITY_BYTES {
            return Err(DecodeError::Count { at });
        }
        self.cells.clear();
        let (mut x, mut y) = (0_i32, 0_i32);
        for n in 0..count {
            let at = reader.at();
            let (dx, dy) = (reader.signed()?, reader.signed()?);
            let number = reader.varint_u32()?;
            let moved = |from: i32, by: i64| i64::from(from).checked_add(by)?.try_into().ok();
            let next = moved(x, dx).zip(moved(y, dy)).ok_or(DecodeError::Density { at })?;
            if number == 0 || (n > 0 && next <= (x, y)) {
                return Err(DecodeError::Density { at });
            }
            (x, y) = next;
            self.cells.push((x, y, number));
        }
        visitor.density(&self.cells);
        Ok(())
    }

    fn updates(
        &mut self,
        reader: &mut Reader<'_>,
        frame_tick: Tick,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        let mut aliases = Aliases::default();
        let mut rest = reader.rest();
        let end = reader.at() + rest.len();
        if rest.is_empty() {
            return Err(DecodeError::Truncated { at: end });
        }
        while let Some((&first, mut tail)) = rest.split_first() {
            let at = end - rest.len();
            let mut gap = u32::from(first >> update_byte::GAP_SHIFT);
            if gap == update_byte::GAP_FOLLOWS {
                if let Some((&more @ 0..0x80, after)) = tail.split_first() {
                    (gap, tail) = (gap + u32::from(more), after);
                } else {
                    reader.seek(at + 1);
                    gap = gap.saturating_add(reader.varint_u32()?);
                    tail = reader.rest();
                }
            }
            let alias = aliases.after(gap, at)?;
            rest = match first & update_byte::SHAPE_MASK {
                update_byte::RESERVED => return Err(DecodeError::Reserved { at }),
                update_byte::LONG => {
                    reader.seek(end - tail.len());
                    self.long(reader, first >> update_byte::CHANNEL_SHIFT & 3, alias, frame_tick, visitor)?;
                    reader.rest()
                }
                _ => self.short(tail, end, first, alias, frame_tick, visitor)?,
            };
        }
        reader.seek(end);
        Ok(())
    }

    /// Reads the update whose `body` follows its gap, and returns what follows it. `end` is the offset of
    /// the end.
    #[inline(always)]
    fn short<'b>(
        &mut self,
        body: &'b [u8],
        end: usize,
        first: u8,
        alias: u16,
        frame_tick: Tick,
        visitor: &mut dyn Visitor,
    ) -> Result<&'b [u8], DecodeError> {
        let at = end - body.len();
        let Some((said, rest)) = unpack(first, body) else {
            return Err(DecodeError::Truncated { at });
        };
        if said.is_padded {
            return Err(DecodeError::Reserved { at });
        }
        if said.is_longwinded {
            return Err(DecodeError::Velocity { at });
        }
        let Some(tick) = frame_tick.0.checked_sub(self.step * said.lag) else {
            return Err(DecodeError::Tick { at });
        };
        let tick = Tick(tick);
        let Some(held) = self.held.get_mut(alias) else {
            self.strays += 1;
            return Ok(rest);
        };
        let channel = first >> update_byte::CHANNEL_SHIFT & 3;
        let velocity = told_mps(channel, said.velocity);
        let yaw = match said.yaw {
            Some(yaw) => Some(dequantise_yaw(yaw)),
            None => heading(velocity),
        };
        // Two calls, so that the common one is not kept waiting for what the two have in common.
        let entity = held.entity;
        if let Some(position) = held.advance(channel, tick, said.low, said.velocity) {
            visitor.update(placed(entity, tick, channel, position, velocity, yaw));
        } else {
            let position = held.advance_far(channel, tick, said.low, said.velocity);
            let Some(position) = position else { return Err(DecodeError::Place { at }) };
            visitor.update(placed(entity, tick, channel, position, velocity, yaw));
        }
        Ok(rest)
    }

    fn long(
        &mut self,
        reader: &mut Reader<'_>,
        channel: u8,
        alias: u16,
        frame_tick: Tick,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        let at = reader.at();
        let flags = reader.byte()?;
        let of_place = long_flag::SNAP | long_flag::VELOCITY | long_flag::YAW;
        let has_place = flags & long_flag::PLACE != 0;
        let something = flags & (long_flag::PLACE | long_flag::FIELDS) != 0;
        if flags >= long_flag::FIELDS << 1 || !something || (!has_place && flags & of_place != 0) {
            return Err(DecodeError::Reserved { at });
        }
        let mut told = None;
        if has_place {
            let at = reader.at();
            let mut knot = knot(reader, frame_tick, flags & long_flag::VELOCITY != 0)?;
            if flags & long_flag::YAW != 0 {
                (knot.yaw, knot.own_yaw) = (reader.byte()?, true);
            }
            told = Some((knot, at));
        }
        let mut slots = [(0_u8, &[][..]); MAX_FIELDS];
        let fields = if flags & long_flag::FIELDS != 0 { fields(reader, &mut slots)? } else { &[] };

        let Some(held) = self.held.get_mut(alias) else {
            self.strays += 1;
            return Ok(());
        };
        let velocity = told.map(|(knot, _)| told_mps(channel, knot.velocity));
        let mut yaw = velocity.and_then(heading);
        if let Some((knot, at)) = told {
            *held = Held::new(held.entity, channel, &knot).ok_or(DecodeError::Place { at })?;
            if knot.own_yaw {
                yaw = Some(dequantise_yaw(knot.yaw));
            }
        }
        visitor.update(Update {
            entity: held.entity,
            tick: told.map_or(frame_tick, |(knot, _)| knot.tick),
            channel,
            position: told.map(|_| held.position()),
            velocity,
            yaw,
            snap: flags & long_flag::SNAP != 0,
            complete: flags & long_flag::COMPLETE != 0,
            fields,
        });
        Ok(())
    }
}

/// Place of a section in the order of the body, or `None` where the header says nothing known.
fn section_of(header: u8) -> Option<(u8, Section)> {
    let reason = header >> REASON_SHIFT;
    match header & KIND_MASK {
        0 if reason == 0 => Some((0, Section::Reset)),
        1 if reason <= 3 => Some((1 + reason, Section::Leaves)),
        2 if reason == 0 => Some((5, Section::Enters)),
        4 if reason == 0 => Some((6, Section::Density)),
        3 if reason == 0 => Some((7, Section::Updates)),
        _ => None,
    }
}

/// The rising aliases of a section.
#[derive(Default)]
struct Aliases {
    /// The least that the next one can be.
    next: u32,
}

impl Aliases {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
        let at = reader.at();
        let gap = reader.varint_u32()?;
        self.after(gap, at)
    }

    #[inline]
    fn after(&mut self, gap: u32, at: usize) -> Result<u16, DecodeError> {
        let alias = self.next.saturating_add(gap);
        if alias > MAX_ALIAS {
            return Err(DecodeError::Alias { at });
        }
        self.next = alias + 1;
        Ok(alias as u16)
    }
}

/// A number of entries of at least `entry_bytes` each, of which there is at least one.
fn count(reader: &mut Reader<'_>, entry_bytes: usize) -> Result<u64, DecodeError> {
    let at = reader.at();
    let count = reader.varint()?;
    if count == 0 || count > (reader.remaining() / entry_bytes) as u64 {
        return Err(DecodeError::Count { at });
    }
    Ok(count)
}

/// What a short update tells.
#[inline(always)]
fn placed(
    entity: EntityId,
    tick: Tick,
    channel: u8,
    position: Position,
    velocity: [f32; 3],
    yaw: Option<f32>,
) -> Update<'static> {
    Update {
        entity,
        tick,
        channel,
        position: Some(position),
        velocity: Some(velocity),
        yaw,
        snap: false,
        complete: false,
        fields: &[],
    }
}

/// Lag, place and velocity in full; without a heading.
fn knot(reader: &mut Reader<'_>, frame_tick: Tick, moves: bool) -> Result<Knot, DecodeError> {
    let at = reader.at();
    let tick = Tick(frame_tick.0.checked_sub_signed(reader.signed()?).ok_or(DecodeError::Tick { at })?);
    let place = [reader.signed()?, reader.signed()?, reader.signed()?];
    let at = reader.at();
    let mut velocity = [0; 3];
    if moves {
        velocity = [reader.signed_i32()?, reader.signed_i32()?, reader.signed_i32()?];
        let most = MAX_VELOCITY_STEPS.unsigned_abs();
        if velocity == [0; 3] || velocity.iter().any(|axis| axis.unsigned_abs() > most) {
            return Err(DecodeError::Velocity { at });
        }
    }
    Ok(Knot { tick, place, velocity, yaw: 0, own_yaw: false })
}

fn fields<'a, 's>(
    reader: &mut Reader<'a>,
    slots: &'s mut [(u8, &'a [u8]); MAX_FIELDS],
) -> Result<&'s [(u8, &'a [u8])], DecodeError> {
    let at = reader.at();
    let mut mask = reader.varint_u32()?;
    if mask == 0 {
        return Err(DecodeError::Reserved { at });
    }
    let mut count = 0;
    while mask != 0 {
        let at = reader.at();
        let len = usize::try_from(reader.varint()?).map_err(|_| DecodeError::Truncated { at })?;
        slots[count] = (mask.trailing_zeros() as u8, reader.take(len)?);
        count += 1;
        mask &= mask - 1;
    }
    Ok(&slots[..count])
}
