//! Object types, prepared for what a step asks of them.

use std::collections::BTreeMap;

use horizon_model::{ChannelSpec, ObjectSchema, ObjectTypeId};

use crate::quantise::Precision;
use crate::wire::MAX_FIELDS;

/// One object type.
#[derive(Debug)]
pub(crate) struct ObjectType {
    pub(crate) schema: ObjectSchema,
    pub(crate) precision: [Precision; 4],
    /// Fields of each channel, bit `n` for field `n`.
    pub(crate) fields: [u32; 4],
}

impl ObjectType {
    fn new(mut schema: ObjectSchema) -> Self {
        if ChannelSpec::check_all(&schema.channels).is_err() {
            schema.channels = ChannelSpec::DEFAULT;
        }
        schema.fields.truncate(MAX_FIELDS);
        let precision =
            schema.channels.map(|spec| Precision::from_cm(spec.precision_cm).unwrap_or(Precision::Cm5));
        let mut fields = [0; 4];
        for (index, field) in schema.fields.iter().enumerate() {
            fields[field.channel.index()] |= 1 << index;
        }
        Self { schema, precision, fields }
    }
}

/// Every type known, players first.
#[derive(Debug)]
pub(crate) struct Registry {
    players: ObjectType,
    others: BTreeMap<ObjectTypeId, ObjectType>,
}

impl Registry {
    pub(crate) fn new(players: ObjectSchema) -> Self {
        Self { players: ObjectType::new(players), others: BTreeMap::new() }
    }

    pub(crate) fn register(&mut self, id: ObjectTypeId, schema: ObjectSchema) {
        if id == ObjectTypeId::PLAYER {
            self.players = ObjectType::new(schema);
        } else {
            self.others.insert(id, ObjectType::new(schema));
        }
    }

    /// Types nobody registered have the default channels and no fields.
    pub(crate) fn ensure(&mut self, id: ObjectTypeId) {
        if id != ObjectTypeId::PLAYER {
            self.others.entry(id).or_insert_with(|| ObjectType::new(ObjectSchema::named("unknown")));
        }
    }

    pub(crate) fn of(&self, id: ObjectTypeId) -> &ObjectType {
        self.others.get(&id).unwrap_or(&self.players)
    }
}
