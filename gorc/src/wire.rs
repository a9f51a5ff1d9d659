//! The binary body: what it says, and how to read it. `WIRE.md` specifies every byte.

use horizon_model::{Cell, EntityId, ObjectTypeId, PlayerId, Pose, Position, Tick};

pub use crate::error::DecodeError;
use crate::quantise::{Place, Precision, dequantise, dequantise_velocity, dequantise_yaw};
use crate::varint::Reader;

pub(crate) const KIND_RESET: u8 = 0;
pub(crate) const KIND_LEAVE: u8 = 1;
pub(crate) const KIND_ENTER: u8 = 2;
pub(crate) const KIND_UPDATE: u8 = 3;
/// Header bit of a block whose entries have no position.
pub(crate) const PLACELESS: u8 = 1 << 6;

pub(crate) const HAS_VELOCITY: u8 = 1 << 0;
pub(crate) const HAS_YAW: u8 = 1 << 1;
pub(crate) const HAS_FIELDS: u8 = 1 << 2;
pub(crate) const IS_SNAP: u8 = 1 << 3;
pub(crate) const IS_COMPLETE: u8 = 1 << 4;
pub(crate) const HAS_PLAYER: u8 = 1 << 5;
pub(crate) const IS_AGAIN: u8 = 1 << 6;

const ENTER_FLAGS: u8 = HAS_VELOCITY | HAS_YAW | HAS_FIELDS | HAS_PLAYER | IS_AGAIN;
const UPDATE_FLAGS: u8 = HAS_VELOCITY | HAS_YAW | HAS_FIELDS | IS_SNAP | IS_COMPLETE;

/// Most fields an object type may have.
pub const MAX_FIELDS: usize = 32;

/// How bodies for an observer are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Blocks of bytes.
    Binary,
    /// A JSON array.
    Json,
}

/// Why an object is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaveReason {
    /// Further away than the outermost channel reaches.
    OutOfRange = 0,
    /// It exists no more.
    Gone = 1,
    /// Another region has authority now: keep it, that region will speak.
    Moved = 2,
    /// It is somewhere else at once; do not draw a streak.
    Teleported = 3,
}

impl LeaveReason {
    /// The reason with this number on the wire; the number's two low bits count.
    pub const fn from_class(class: u8) -> Self {
        match class & 3 {
            0 => Self::OutOfRange,
            1 => Self::Gone,
            2 => Self::Moved,
            _ => Self::Teleported,
        }
    }
}

/// The complete first state of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enter<'a> {
    /// Who.
    pub entity: EntityId,
    /// What it is.
    pub type_id: ObjectTypeId,
    /// Whose avatar it is, if a player's.
    pub player: Option<PlayerId>,
    /// Tick of the source at which `pose` held.
    pub tick: Tick,
    /// Place, velocity and heading, quantised.
    pub pose: Pose,
    /// Innermost channel held, 0 to 3.
    pub channel: u8,
    /// Size of the steps in which the position came.
    pub precision: Precision,
    /// Told before in a frame that may have been lost. Who holds the object already takes this as a
    /// complete update.
    pub again: bool,
    /// All fields of the channels held that have a value, by number.
    pub fields: &'a [(u8, &'a [u8])],
}

/// New values of an object that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update<'a> {
    /// Who.
    pub entity: EntityId,
    /// Tick of the source at which the values held.
    pub tick: Tick,
    /// Innermost channel held, 0 to 3.
    pub channel: u8,
    /// Size of the steps in which the position came; meaningless without one.
    pub precision: Precision,
    /// Where it is.
    pub position: Option<Position>,
    /// Metres per second.
    pub velocity: Option<[f32; 3]>,
    /// Radians.
    pub yaw: Option<f32>,
    /// Do not interpolate from the position before to this one.
    pub snap: bool,
    /// Carries every field of the channels just gained, or of all channels held after a refresh.
    pub complete: bool,
    /// Changed fields, by number.
    pub fields: &'a [(u8, &'a [u8])],
}

/// Takes what a body says, in the order in which it says it.
pub trait Visitor {
    /// Forget everything held.
    fn reset(&mut self);
    /// Hold an object from now on.
    fn enter(&mut self, enter: Enter<'_>);
    /// An object that is held changed.
    fn update(&mut self, update: Update<'_>);
    /// Hold an object no longer; nothing to do for one that is not held.
    fn leave(&mut self, entity: EntityId, reason: LeaveReason);

    /// JSON alone: the number of the field called `name` of `entity`, from the welcome's schemas.
    /// An enter names the type; for an update the visitor knows it. Fields without a number are
    /// left out, as all are unless this is implemented.
    fn field_index(&mut self, entity: EntityId, type_id: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        let _ = (entity, type_id, name);
        None
    }
}

/// Reads a binary body of the frame for `frame_tick`. Allocates nothing.
///
/// # Errors
///
/// [`DecodeError`] at the first byte that breaks the specification; entries before it were visited.
pub fn decode(body: &[u8], frame_tick: Tick, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    while reader.remaining() > 0 {
        let at = reader.at();
        let header = reader.byte()?;
        let bad = DecodeError::Reserved { at };
        match header & 3 {
            KIND_RESET if header == KIND_RESET => visitor.reset(),
            KIND_LEAVE if header & 0xf0 == 0 => leaves(&mut reader, header, visitor)?,
            KIND_ENTER if header & (PLACELESS | 0x80) == 0 => {
                states(&mut reader, header, frame_tick, visitor)?
            }
            KIND_UPDATE if header & 0x80 == 0 && (header & PLACELESS == 0 || header & 0x30 == 0) => {
                states(&mut reader, header, frame_tick, visitor)?;
            }
            _ => return Err(bad),
        }
    }
    Ok(())
}

/// The ids of a block: a shared upper half and a rising lower half.
struct Ids {
    prefix: u32,
    low: u32,
    left: u64,
    first: bool,
}

impl Ids {
    /// Reads prefix and count; every entry takes at least `entry_bytes`.
    fn read(reader: &mut Reader<'_>, entry_bytes: u64) -> Result<Self, DecodeError> {
        let prefix = reader.varint_u32()?;
        let at = reader.at();
        let left = reader.varint()?;
        if left == 0 || left > reader.remaining() as u64 / entry_bytes {
            return Err(DecodeError::Count { at });
        }
        Ok(Self { prefix, low: 0, left, first: true })
    }

    fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<EntityId>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        let at = reader.at();
        let delta = reader.varint_u32()?;
        if delta == 0 && !self.first {
            return Err(DecodeError::Id { at });
        }
        self.low = self.low.checked_add(delta).ok_or(DecodeError::Id { at })?;
        (self.left, self.first) = (self.left - 1, false);
        let bits = u64::from(self.prefix) << 32 | u64::from(self.low);
        EntityId::from_bits(bits).map(Some).ok_or(DecodeError::Id { at })
    }
}

fn leaves(reader: &mut Reader<'_>, header: u8, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
    let reason = LeaveReason::from_class(header >> 2);
    let mut ids = Ids::read(reader, 1)?;
    while let Some(entity) = ids.next(reader)? {
        visitor.leave(entity, reason);
    }
    Ok(())
}

fn states(
    reader: &mut Reader<'_>,
    header: u8,
    frame_tick: Tick,
    visitor: &mut impl Visitor,
) -> Result<(), DecodeError> {
    let (is_enter, placeless) = (header & 3 == KIND_ENTER, header & PLACELESS != 0);
    let channel = header >> 2 & 3;
    let precision = Precision::from_class(header >> 4);
    let at = reader.at();
    let delta = reader.signed()?;
    let tick = delta.checked_neg().and_then(|behind| frame_tick.0.checked_add_signed(behind));
    let tick = Tick(tick.ok_or(DecodeError::Tick { at })?);
    let cell = if placeless {
        Cell::default()
    } else {
        Cell { x: reader.signed_i32()?, y: reader.signed_i32()?, z: reader.signed_i32()? }
    };
    let mut ids = Ids::read(reader, 2)?;
    while let Some(entity) = ids.next(reader)? {
        let at = reader.at();
        let flags = reader.byte()?;
        let allowed = if is_enter { ENTER_FLAGS } else { UPDATE_FLAGS };
        if flags & !allowed != 0 || (placeless && flags & IS_SNAP != 0) {
            return Err(DecodeError::Reserved { at });
        }
        if is_enter && flags & (HAS_VELOCITY | HAS_YAW) != HAS_VELOCITY | HAS_YAW {
            return Err(DecodeError::Reserved { at });
        }
        let type_id = if is_enter {
            let at = reader.at();
            let raw = u16::try_from(reader.varint()?).map_err(|_| DecodeError::Varint { at })?;
            ObjectTypeId(raw)
        } else {
            ObjectTypeId::PLAYER
        };
        let player =
            if flags & HAS_PLAYER != 0 { Some(PlayerId(u128::from_le_bytes(reader.array()?))) } else { None };
        let position = if placeless { None } else { Some(position(reader, cell, precision)?) };
        let velocity = if flags & HAS_VELOCITY != 0 { Some(velocity(reader)?) } else { None };
        let yaw = if flags & HAS_YAW != 0 {
            Some(dequantise_yaw(u16::from_le_bytes(reader.array()?)))
        } else {
            None
        };
        let mut slots = [(0_u8, &[][..]); MAX_FIELDS];
        let fields = if flags & HAS_FIELDS != 0 { fields(reader, &mut slots)? } else { &[] };
        match (is_enter, position, velocity, yaw) {
            (true, Some(position), Some(velocity), Some(yaw)) => visitor.enter(Enter {
                entity,
                type_id,
                player,
                tick,
                pose: Pose { position, velocity, yaw },
                channel,
                precision,
                again: flags & IS_AGAIN != 0,
                fields,
            }),
            _ => visitor.update(Update {
                entity,
                tick,
                channel,
                precision,
                position,
                velocity,
                yaw,
                snap: flags & IS_SNAP != 0,
                complete: flags & IS_COMPLETE != 0,
                fields,
            }),
        }
    }
    Ok(())
}

fn position(reader: &mut Reader<'_>, cell: Cell, precision: Precision) -> Result<Position, DecodeError> {
    let at = reader.at();
    let mut raw = [0; 4];
    raw[..precision.bytes()].copy_from_slice(reader.take(precision.bytes())?);
    let (packed, bits) = (u32::from_le_bytes(raw), precision.bits());
    let axis = |n: u32| (packed >> (n * bits) & ((1 << bits) - 1)) as u16;
    if packed >> (3 * bits) != 0 {
        return Err(DecodeError::Place { at });
    }
    let place = Place { cell, steps: [axis(0), axis(1), axis(2)] };
    dequantise(&place, precision).ok_or(DecodeError::Place { at })
}

fn velocity(reader: &mut Reader<'_>) -> Result<[f32; 3], DecodeError> {
    let mut axis = || reader.array().map(i16::from_le_bytes);
    Ok(dequantise_velocity([axis()?, axis()?, axis()?]))
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
