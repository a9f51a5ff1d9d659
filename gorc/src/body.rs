//! Writes bodies: gathers entries in any order, then lays them out in the specified one.

use horizon_model::{Cell, EntityId, ObjectSchema, Tick};

use crate::json;
use crate::quantise::{Precision, quantise, quantise_velocity, quantise_yaw};
use crate::varint;
use crate::wire::{
    Enter, HAS_FIELDS, HAS_PLAYER, HAS_VELOCITY, HAS_YAW, IS_AGAIN, IS_COMPLETE, IS_SNAP, KIND_ENTER,
    KIND_LEAVE, KIND_RESET, KIND_UPDATE, LeaveReason, PLACELESS, Spelling, Update,
};

/// One body under construction. Keeps its memory from one to the next.
#[derive(Debug)]
pub struct Body {
    spelling: Spelling,
    reset: bool,
    lines: Vec<Line>,
    tails: Vec<u8>,
    text: String,
    out: Vec<u8>,
    channel_bytes: [u64; 4],
}

/// Entries with the same block share a header. The order of blocks is that of these fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    kind: u8,
    tick: Tick,
    header: u8,
    cell: Cell,
    prefix: u32,
}

/// One entry: where it belongs, and its bytes after the id (binary) or all of it (JSON).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    block: Block,
    low: u32,
    start: usize,
    end: usize,
}

impl Body {
    /// An empty body.
    pub const fn new(spelling: Spelling) -> Self {
        Self {
            spelling,
            reset: false,
            lines: Vec::new(),
            tails: Vec::new(),
            text: String::new(),
            out: Vec::new(),
            channel_bytes: [0; 4],
        }
    }

    /// Starts again with an empty body.
    pub fn begin(&mut self, spelling: Spelling) {
        self.spelling = spelling;
        self.reset = false;
        self.lines.clear();
        self.tails.clear();
    }

    /// The receiver forgets everything first.
    pub fn reset(&mut self) {
        self.reset = true;
    }

    /// The receiver holds `entity` no longer.
    pub fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        let start = self.tails.len();
        if self.spelling == Spelling::Json {
            self.text.clear();
            json::write_leave(&mut self.text, entity, reason);
            self.tails.extend_from_slice(self.text.as_bytes());
        }
        let header = KIND_LEAVE | (reason as u8) << 2;
        self.push(entity, KIND_LEAVE, Tick(0), header, Cell::default(), start);
    }

    /// The receiver holds an object from now on. `schema` names its fields.
    pub fn enter(&mut self, enter: &Enter<'_>, schema: &ObjectSchema) {
        let start = self.tails.len();
        let place = quantise(&enter.pose.position, enter.precision);
        match self.spelling {
            Spelling::Json => {
                self.text.clear();
                json::write_enter(&mut self.text, enter, schema);
                self.tails.extend_from_slice(self.text.as_bytes());
            }
            Spelling::Binary => {
                let mut flags = HAS_VELOCITY | HAS_YAW;
                flags |= if enter.fields.is_empty() { 0 } else { HAS_FIELDS };
                flags |= if enter.player.is_some() { HAS_PLAYER } else { 0 };
                flags |= if enter.again { IS_AGAIN } else { 0 };
                self.tails.push(flags);
                varint::write(&mut self.tails, enter.type_id.0.into());
                if let Some(player) = enter.player {
                    self.tails.extend_from_slice(&player.0.to_le_bytes());
                }
                self.steps(place.steps, enter.precision);
                self.velocity(enter.pose.velocity);
                self.tails.extend_from_slice(&quantise_yaw(enter.pose.yaw).to_le_bytes());
                self.fields(enter.fields);
            }
        }
        let header = KIND_ENTER | enter.channel << 2 | enter.precision.class() << 4;
        self.push(enter.entity, KIND_ENTER, enter.tick, header, place.cell, start);
    }

    /// An object that the receiver holds changed. `schema` names its fields.
    pub fn update(&mut self, update: &Update<'_>, schema: &ObjectSchema) {
        let start = self.tails.len();
        let place = update.position.map(|position| quantise(&position, update.precision));
        match self.spelling {
            Spelling::Json => {
                self.text.clear();
                json::write_update(&mut self.text, update, schema);
                self.tails.extend_from_slice(self.text.as_bytes());
            }
            Spelling::Binary => {
                let mut flags = 0;
                flags |= if update.velocity.is_some() { HAS_VELOCITY } else { 0 };
                flags |= if update.yaw.is_some() { HAS_YAW } else { 0 };
                flags |= if update.fields.is_empty() { 0 } else { HAS_FIELDS };
                flags |= if update.snap && place.is_some() { IS_SNAP } else { 0 };
                flags |= if update.complete { IS_COMPLETE } else { 0 };
                self.tails.push(flags);
                if let Some(place) = place {
                    self.steps(place.steps, update.precision);
                }
                if let Some(velocity) = update.velocity {
                    self.velocity(velocity);
                }
                if let Some(yaw) = update.yaw {
                    self.tails.extend_from_slice(&quantise_yaw(yaw).to_le_bytes());
                }
                self.fields(update.fields);
            }
        }
        let (precision, cell) = match place {
            Some(place) => (update.precision.class() << 4, place.cell),
            None => (PLACELESS, Cell::default()),
        };
        let header = KIND_UPDATE | update.channel << 2 | precision;
        self.push(update.entity, KIND_UPDATE, update.tick, header, cell, start);
    }

    /// The bytes of the frame for `frame_tick`, until the next [`Self::begin`].
    pub fn finish(&mut self, frame_tick: Tick) -> &[u8] {
        self.lines.sort_unstable();
        self.out.clear();
        match self.spelling {
            Spelling::Binary => self.finish_binary(frame_tick),
            Spelling::Json => self.finish_json(),
        }
        &self.out
    }

    /// Bytes written since the last call, by channel; leaves count as metadata.
    pub(crate) fn take_channel_bytes(&mut self) -> [u64; 4] {
        std::mem::take(&mut self.channel_bytes)
    }

    fn finish_binary(&mut self, frame_tick: Tick) {
        if self.reset {
            self.out.push(KIND_RESET);
        }
        for lines in self.lines.chunk_by(|a, b| a.block == b.block) {
            let block = lines[0].block;
            let start = self.out.len();
            self.out.push(block.header);
            if block.kind != KIND_LEAVE {
                varint::write_signed(&mut self.out, frame_tick.0.wrapping_sub(block.tick.0) as i64);
                if block.header & PLACELESS == 0 {
                    for axis in [block.cell.x, block.cell.y, block.cell.z] {
                        varint::write_signed(&mut self.out, axis.into());
                    }
                }
            }
            varint::write(&mut self.out, block.prefix.into());
            varint::write(&mut self.out, lines.len() as u64);
            let mut previous = 0;
            for line in lines {
                varint::write(&mut self.out, u64::from(line.low - previous));
                self.out.extend_from_slice(&self.tails[line.start..line.end]);
                previous = line.low;
            }
            self.channel_bytes[channel_of(&block)] += (self.out.len() - start) as u64;
        }
    }

    fn finish_json(&mut self) {
        self.out.push(b'[');
        if self.reset {
            self.out.extend_from_slice(br#"{"op":"reset"}"#);
        }
        for line in &self.lines {
            let start = self.out.len();
            if start > 1 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&self.tails[line.start..line.end]);
            self.channel_bytes[channel_of(&line.block)] += (self.out.len() - start) as u64;
        }
        self.out.push(b']');
    }

    fn push(&mut self, entity: EntityId, kind: u8, tick: Tick, header: u8, cell: Cell, start: usize) {
        let prefix = (entity.bits() >> 32) as u32;
        let block = Block { kind, tick, header, cell, prefix };
        self.lines.push(Line { block, low: entity.bits() as u32, start, end: self.tails.len() });
    }

    fn steps(&mut self, steps: [u16; 3], precision: Precision) {
        let [x, y, z] = steps.map(u32::from);
        let packed = x | y << precision.bits() | z << (2 * precision.bits());
        self.tails.extend_from_slice(&packed.to_le_bytes()[..precision.bytes()]);
    }

    fn velocity(&mut self, velocity: [f32; 3]) {
        for axis in quantise_velocity(velocity) {
            self.tails.extend_from_slice(&axis.to_le_bytes());
        }
    }

    fn fields(&mut self, fields: &[(u8, &[u8])]) {
        if fields.is_empty() {
            return;
        }
        let mut mask = fields.iter().fold(0_u32, |mask, (index, _)| mask | 1 << (index & 31));
        varint::write(&mut self.tails, mask.into());
        while mask != 0 {
            let index = mask.trailing_zeros() as u8;
            let bytes = fields.iter().find(|(other, _)| other & 31 == index).map_or(&[][..], |(_, b)| b);
            varint::write(&mut self.tails, bytes.len() as u64);
            self.tails.extend_from_slice(bytes);
            mask &= mask - 1;
        }
    }
}

fn channel_of(block: &Block) -> usize {
    if block.kind == KIND_LEAVE { 3 } else { usize::from(block.header >> 2 & 3) }
}
