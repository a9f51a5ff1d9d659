//! One replicated object: its samples, its fields, and what of them is new.

use std::borrow::Cow;
use std::collections::VecDeque;

use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Tick, TickRate};

use crate::cadence::due_mask;
use crate::registry::ObjectType;
use crate::wire::{Enter, MAX_FIELDS};

/// Samples kept between two steps: one second of the world grid. The oldest go first.
const MAX_PENDING: usize = 60;
/// Samples of earlier steps kept for observers who come from another region, which may have been
/// told less: twice the steps that an arrival makes up for.
const MAX_RECENT: usize = 8;

/// Ticks for which a region that took an object over repeats, to neighbours who enter it, the samples
/// that the region before it should have told them: half a second, far longer than links differ.
const TAKE_OVER: u64 = 30;

/// Everything about an object that appears.
#[derive(Debug, Clone, PartialEq)]
pub struct NewObject {
    /// Who.
    pub entity: EntityId,
    /// What it is.
    pub type_id: ObjectTypeId,
    /// Whose avatar it is, if a player's.
    pub player: Option<PlayerId>,
    /// Whether another region has authority over it.
    pub ghost: bool,
    /// Tick of the source at which `pose` held.
    pub tick: Tick,
    /// Place, velocity and heading.
    pub pose: Pose,
    /// Values by field number; fields not named have none.
    pub fields: Vec<Option<Vec<u8>>>,
}

impl NewObject {
    /// The ghost that its owner's `enter` tells of. Its type has `count` fields; values of others are
    /// left out.
    pub fn ghost(enter: &Enter<'_>, count: usize) -> Self {
        let mut fields = vec![None; count];
        for (index, bytes) in enter.fields {
            if let Some(field) = fields.get_mut(usize::from(*index)) {
                *field = Some(bytes.to_vec());
            }
        }
        Self {
            entity: enter.entity,
            type_id: enter.type_id,
            player: enter.player,
            ghost: true,
            tick: enter.tick,
            pose: enter.pose,
            fields,
        }
    }
}

/// A pose at a source tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) tick: Tick,
    pub(crate) pose: Pose,
    pub(crate) snap: bool,
    /// Channels on which it is due.
    pub(crate) due: u8,
}

#[derive(Debug, Default)]
struct Field {
    value: Option<Vec<u8>>,
    revision: u32,
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) type_id: ObjectTypeId,
    pub(crate) player: Option<PlayerId>,
    pub(crate) ghost: bool,
    /// Innermost channel on which news of a ghost arrives; 0 for what is our own.
    pub(crate) floor: u8,
    /// Newest tick when authority came here.
    taken_over: Option<Tick>,
    pub(crate) latest: Sample,
    /// Samples since the last step, oldest first.
    pub(crate) pending: Vec<Sample>,
    /// The last samples of earlier steps, oldest first.
    recent: VecDeque<Sample>,
    fields: Vec<Field>,
    revision: u32,
    /// Revision of the newest field of each channel.
    changed: [u32; 4],
}

impl Object {
    pub(crate) fn new(new: NewObject, kind: &ObjectType, rate: TickRate) -> Self {
        let due = due_mask(new.tick, new.entity, &kind.schema.channels, rate);
        let pose = if new.pose.is_finite() { new.pose } else { Pose::at(new.pose.position) };
        let sample = Sample { tick: new.tick, pose, snap: false, due };
        let mut object = Self {
            type_id: new.type_id,
            player: new.player,
            ghost: new.ghost,
            floor: 0,
            taken_over: None,
            latest: sample,
            pending: vec![sample],
            recent: VecDeque::with_capacity(MAX_RECENT),
            fields: Vec::new(),
            revision: 0,
            changed: [0; 4],
        };
        object.set_fields(new.fields, kind);
        object
    }

    /// Takes a newer pose; anything else is ignored.
    pub(crate) fn sample(&mut self, tick: Tick, pose: &Pose, snap: bool, due: u8) {
        if tick <= self.latest.tick || !pose.is_finite() {
            return;
        }
        self.latest = Sample { tick, pose: *pose, snap, due };
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(self.latest);
    }

    /// Authority moved out or in.
    pub(crate) fn set_ghost(&mut self, ghost: bool) {
        if self.ghost && !ghost {
            self.taken_over = Some(self.latest.tick);
        }
        if !ghost {
            self.floor = 0;
        }
        self.ghost = ghost;
    }

    /// Whether authority came here so lately that the words of the region before may still be on their
    /// way to others, or be overtaken by ours.
    pub(crate) fn is_just_taken_over(&self) -> bool {
        self.taken_over.is_some_and(|at| self.latest.tick.saturating_since(at) <= TAKE_OVER)
    }

    /// The step is over: what was new is not any more.
    pub(crate) fn settle(&mut self) {
        for sample in self.pending.drain(..) {
            if self.recent.len() == MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(sample);
        }
    }

    /// Every kept sample after `told`, oldest first.
    pub(crate) fn samples_after(&self, told: Tick) -> Vec<Sample> {
        self.recent.iter().chain(&self.pending).filter(|sample| sample.tick > told).copied().collect()
    }

    pub(crate) fn set_fields(&mut self, fields: Vec<Option<Vec<u8>>>, kind: &ObjectType) {
        for (index, value) in fields.into_iter().take(MAX_FIELDS).enumerate() {
            if let Some(bytes) = value {
                self.set_field(index as u8, Cow::Owned(bytes), kind);
            }
        }
    }

    /// Gives a field a value. The same value again, or a field the type does not have, is ignored.
    pub(crate) fn set_field(&mut self, field: u8, bytes: Cow<'_, [u8]>, kind: &ObjectType) {
        let index = usize::from(field);
        let Some(spec) = kind.schema.fields.get(index) else {
            return;
        };
        if self.fields.len() <= index {
            self.fields.resize_with(index + 1, Field::default);
        }
        let slot = &mut self.fields[index];
        if slot.value.as_deref() == Some(&bytes) {
            return;
        }
        self.revision += 1;
        match (&mut slot.value, bytes) {
            (Some(value), Cow::Borrowed(bytes)) => {
                value.clear();
                value.extend_from_slice(bytes);
            }
            (value, bytes) => *value = Some(bytes.into_owned()),
        }
        slot.revision = self.revision;
        self.changed[spec.channel.index()] = self.revision;
    }

    pub(crate) fn field(&self, field: u8) -> Option<&[u8]> {
        self.fields.get(usize::from(field))?.value.as_deref()
    }

    /// Values by field number.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        self.fields.iter().map(|field| field.value.clone()).collect()
    }

    /// Revision of the newest field on each channel: what an observer that is told all of it knows.
    pub(crate) fn changed(&self) -> &[u32; 4] {
        &self.changed
    }

    /// Those of `fields` with a value newer than revision `told`.
    pub(crate) fn newer(&self, fields: u32, told: u32) -> u32 {
        let mut mask = 0;
        for (index, field) in self.fields.iter().enumerate() {
            if fields & 1 << index != 0 && field.revision > told {
                mask |= 1 << index;
            }
        }
        mask
    }

    /// The values of the fields in `mask`, written to `slots`.
    pub(crate) fn select<'a, 's>(
        &'a self,
        mask: u32,
        slots: &'s mut [(u8, &'a [u8]); MAX_FIELDS],
    ) -> &'s [(u8, &'a [u8])] {
        let mut count = 0;
        for (index, field) in self.fields.iter().enumerate() {
            if let (true, Some(value)) = (mask & 1 << index != 0, &field.value) {
                slots[count] = (index as u8, value);
                count += 1;
            }
        }
        &slots[..count]
    }
}
