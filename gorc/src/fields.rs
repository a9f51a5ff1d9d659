//! The named values of one object, and which of them are new.

use std::borrow::Cow;

use crate::registry::{MAX_FIELDS, ObjectType};

/// Values by field number.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: Vec<Option<Vec<u8>>>,
    /// Fields that changed since their channel last had a chance.
    changed: u32,
    /// What of them the step in progress tells.
    told: u32,
    digest: u16,
}

impl Fields {
    pub(crate) fn new(values: Vec<Option<Vec<u8>>>, kind: &ObjectType) -> Self {
        let mut fields = Self::default();
        fields.set_all(values, kind);
        (fields.changed, fields.told) = (0, 0);
        fields
    }

    pub(crate) fn set_all(&mut self, values: Vec<Option<Vec<u8>>>, kind: &ObjectType) {
        for (index, value) in values.into_iter().take(MAX_FIELDS).enumerate() {
            if let Some(bytes) = value {
                self.set(index as u8, Cow::Owned(bytes), kind);
            }
        }
    }

    /// Gives a field a value. The same value again, or a field the type does not have, is ignored.
    pub(crate) fn set(&mut self, field: u8, bytes: Cow<'_, [u8]>, kind: &ObjectType) {
        let index = usize::from(field);
        if index >= kind.schema.fields.len() {
            return;
        }
        if self.values.len() <= index {
            self.values.resize_with(index + 1, || None);
        }
        let slot = &mut self.values[index];
        if slot.as_deref() == Some(&bytes) {
            return;
        }
        match (slot.as_mut(), bytes) {
            (Some(value), Cow::Borrowed(bytes)) => {
                value.clear();
                value.extend_from_slice(bytes);
            }
            (_, bytes) => *slot = Some(bytes.into_owned()),
        }
        self.changed |= 1 << index;
        self.digest = self.digest();
    }

    /// 16 bits of FNV-1a over all values, never 0; equal values have equal digests in every region.
    fn digest(&self) -> u16 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for (index, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                take(index as u8);
                value.iter().copied().for_each(&mut take);
                take(0xff);
            }
        }
        (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16 | 1
    }

    /// As [`Self::digest`] of what was last set.
    pub(crate) fn known_digest(&self) -> u16 {
        self.digest | 1
    }

    pub(crate) fn value(&self, field: u8) -> Option<&[u8]> {
        self.values.get(usize::from(field))?.as_deref()
    }

    /// Values by field number.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        self.values.clone()
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.changed != 0
    }

    /// The step tells of the changed fields among `due`. Returns them.
    pub(crate) fn publish(&mut self, due: u32) -> u32 {
        self.told = self.changed & due;
        self.changed &= !due;
        self.told
    }

    /// What the step in progress tells.
    pub(crate) fn told(&self) -> u32 {
        self.told
    }

    /// The values of the fields in `mask`, written to `slots`.
    pub(crate) fn select<'a, 's>(
        &'a self,
        mask: u32,
        slots: &'s mut [(u8, &'a [u8]); MAX_FIELDS],
    ) -> &'s [(u8, &'a [u8])] {
        let mut count = 0;
        for (index, value) in self.values.iter().enumerate() {
            if let (true, Some(value)) = (mask & 1 << index != 0, value) {
                slots[count] = (index as u8, value);
                count += 1;
            }
        }
        &slots[..count]
    }
}
