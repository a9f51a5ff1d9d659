//! Rust types as objects: which field goes out on which channel, and how its value becomes bytes.
//!
//! ```text
//!   #[derive(GorcObject)] ─▶ schema ─▶ registered by whoever replicates
//!   value ─▶ pose, encode_field ─▶ bytes by field number ─▶ apply, set_pose ─▶ the same value elsewhere
//! ```
//!
//! How a value is spelled is the caller's choice, a [`FieldCodec`]: this crate names no format, one
//! derived type serves every spelling, and both ends of a link are held to the same one by using the same
//! codec. `Json` (feature `json`) is what fields are spelled in today.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Channel, ChannelSpec, FieldSpec, ObjectSchema, Pose, Position};

/// A struct whose values are objects that observers see. Derive it: `#[derive(GorcObject)]`.
///
/// Fields have numbers, their places in [`Self::FIELDS`]; the pose is apart and has none. A newer build
/// adds fields at the end, so a number means the same to both.
pub trait GorcObject: Sized {
    /// Names the type in configuration and JSON; unique in a world.
    const TYPE_NAME: &'static str;

    /// Reach and rate of the four channels, the nearest first.
    const CHANNELS: [ChannelSpec; 4];

    /// Name and channel of every field, by number; at most 32.
    const FIELDS: &'static [(&'static str, Channel)];

    /// Where the object is and how it moves; `None` if the struct has no position, or one off the lattice.
    fn pose(&self) -> Option<Pose>;

    /// Takes over the parts of a pose that the struct has.
    fn set_pose(&mut self, pose: &Pose);

    /// Appends the value of field `index` to `out`. `false` if there is no such field.
    ///
    /// # Errors
    ///
    /// [`FieldError`] where the codec cannot say the value; `out` may then end with a part of it.
    fn encode_field<C: FieldCodec>(
        &self,
        index: u8,
        codec: &C,
        out: &mut Vec<u8>,
    ) -> Result<bool, FieldError<C::Error>>;

    /// Gives field `index` the value that [`Self::encode_field`] wrote elsewhere. `false` if there is no
    /// such field: the sender is a newer build, and nothing is wrong.
    ///
    /// # Errors
    ///
    /// [`FieldError`] where the bytes are no such value; the field keeps the one it had.
    fn apply<C: FieldCodec>(
        &mut self,
        index: u8,
        bytes: &[u8],
        codec: &C,
    ) -> Result<bool, FieldError<C::Error>>;

    /// What observers may see, to register the type with.
    fn schema() -> ObjectSchema {
        let field =
            |(name, channel): &(&str, Channel)| FieldSpec { name: (*name).to_owned(), channel: *channel };
        ObjectSchema {
            name: Self::TYPE_NAME.to_owned(),
            channels: Self::CHANNELS,
            fields: Self::FIELDS.iter().map(field).collect(),
        }
    }

    /// The value of field `index`, or `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// [`FieldError`] where the codec cannot say the value.
    fn field<C: FieldCodec>(&self, index: u8, codec: &C) -> Result<Option<Vec<u8>>, FieldError<C::Error>> {
        let mut bytes = Vec::new();
        Ok(self.encode_field(index, codec, &mut bytes)?.then_some(bytes))
    }

    /// The values of all fields by number, as a new object is spawned with.
    ///
    /// # Errors
    ///
    /// [`FieldError`] of the first value that the codec cannot say.
    fn fields<C: FieldCodec>(&self, codec: &C) -> Result<Vec<Option<Vec<u8>>>, FieldError<C::Error>> {
        (0..Self::FIELDS.len() as u8).map(|index| self.field(index, codec)).collect()
    }

    /// Shows every field to `visit`, by rising number, from one buffer.
    ///
    /// # Errors
    ///
    /// [`FieldError`] of the first value that the codec cannot say; those before it have been shown.
    fn for_each_field<C: FieldCodec>(
        &self,
        codec: &C,
        visit: &mut dyn FnMut(u8, &[u8]),
    ) -> Result<(), FieldError<C::Error>> {
        let mut bytes = Vec::new();
        for index in 0..Self::FIELDS.len() as u8 {
            bytes.clear();
            if self.encode_field(index, codec, &mut bytes)? {
                visit(index, &bytes);
            }
        }
        Ok(())
    }
}

/// How field values are spelled.
pub trait FieldCodec {
    /// Why a value or its bytes do not fit the spelling.
    type Error: std::error::Error + 'static;

    /// Appends a value to `out`.
    ///
    /// # Errors
    ///
    /// Those of the spelling; `out` may then end with a part of the value.
    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Reads a value that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of the spelling.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Self::Error>;
}

/// JSON text. Floats that are not finite become `null`, which does not read back.
#[cfg(feature = "json")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json;

#[cfg(feature = "json")]
impl FieldCodec for Json {
    type Error = serde_json::Error;

    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Self::Error> {
        serde_json::to_writer(out, value)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Self::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A field whose value could not be written or read. What was there before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {source}")]
pub struct FieldError<E: std::error::Error + 'static> {
    /// Its name.
    pub field: &'static str,
    /// What the codec found.
    pub source: E,
}

/// A type that observers can be shown: one that serde writes and reads. Never implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to observers, because serde does not know it",
    label = "not a field value",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it must own what it holds",
    note = "or keep the field to yourself with `#[gorc(skip)]`"
)]
pub trait FieldValue: Sized {
    /// Appends the value to `out`; `field` is its name in errors.
    ///
    /// # Errors
    ///
    /// [`FieldError`] of the codec.
    fn encode_value<C: FieldCodec>(
        &self,
        field: &'static str,
        codec: &C,
        out: &mut Vec<u8>,
    ) -> Result<(), FieldError<C::Error>>;

    /// Reads a value; `field` is its name in errors.
    ///
    /// # Errors
    ///
    /// [`FieldError`] of the codec.
    fn decode_value<C: FieldCodec>(
        field: &'static str,
        codec: &C,
        bytes: &[u8],
    ) -> Result<Self, FieldError<C::Error>>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> FieldValue for T {
    fn encode_value<C: FieldCodec>(
        &self,
        field: &'static str,
        codec: &C,
        out: &mut Vec<u8>,
    ) -> Result<(), FieldError<C::Error>> {
        codec.encode(self, out).map_err(|source| FieldError { field, source })
    }

    fn decode_value<C: FieldCodec>(
        field: &'static str,
        codec: &C,
        bytes: &[u8],
    ) -> Result<Self, FieldError<C::Error>> {
        codec.decode(bytes).map_err(|source| FieldError { field, source })
    }
}

/// A type whose size has a bound, so that it may go out on the critical channel. `Copy` stands for that:
/// what grows owns memory elsewhere and is not `Copy`. Never implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may be too large for the critical channel, which is sent 30 times a second or more",
    label = "not `Copy`, so it may grow without a limit",
    note = "move it to `#[gorc(metadata)]` or `#[gorc(cosmetic)]`",
    note = "a struct or enum of your own without texts, lists and maps: derive `Clone` and `Copy` for it"
)]
pub trait CriticalField {
    /// Names the bound in generated code.
    #[doc(hidden)]
    const BOUNDED: () = ();
}

#[diagnostic::do_not_recommend]
impl<T: Copy> CriticalField for T {}

/// As [`CriticalField`], for the detailed channel.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may be too large for the detailed channel, which is sent 15 times a second or more",
    label = "not `Copy`, so it may grow without a limit",
    note = "move it to `#[gorc(metadata)]` or `#[gorc(cosmetic)]`",
    note = "a struct or enum of your own without texts, lists and maps: derive `Clone` and `Copy` for it"
)]
pub trait DetailedField {
    /// Names the bound in generated code.
    #[doc(hidden)]
    const BOUNDED: () = ();
}

#[diagnostic::do_not_recommend]
impl<T: Copy> DetailedField for T {}

/// A whole pose in one field: [`Pose`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pose",
    label = "expected `Pose` of this library",
    note = "a type called `Pose` is where the object is; give one that means something else another name"
)]
pub trait PoseValue {
    /// The pose.
    fn read(&self) -> Pose;

    /// Takes over a pose.
    fn write(&mut self, pose: Pose);
}

impl PoseValue for Pose {
    fn read(&self) -> Pose {
        *self
    }

    fn write(&mut self, pose: Pose) {
        *self = pose;
    }
}

/// Where an object is, in one field. Implement it for the vectors of an engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a position",
    label = "expected `Position`, or `[f64; 3]` in metres from the world's origin",
    note = "a field called `position` is where the object is; give one that means something else another name"
)]
pub trait PositionValue {
    /// The place, or `None` where it is off the lattice.
    fn read(&self) -> Option<Position>;

    /// Takes over a place.
    fn write(&mut self, position: Position);
}

impl PositionValue for Position {
    fn read(&self) -> Option<Position> {
        Some(*self)
    }

    fn write(&mut self, position: Position) {
        *self = position;
    }
}

impl PositionValue for [f64; 3] {
    fn read(&self) -> Option<Position> {
        Position::from_metres(*self)
    }

    fn write(&mut self, position: Position) {
        *self = position.metres();
    }
}

/// How an object moves, in one field. Implement it for the vectors of an engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a velocity",
    label = "expected `[f32; 3]` in metres per second",
    note = "a field called `velocity` is how the object moves; give one that means something else another name"
)]
pub trait VelocityValue {
    /// Metres per second.
    fn read(&self) -> [f32; 3];

    /// Takes over a velocity.
    fn write(&mut self, velocity: [f32; 3]);
}

impl VelocityValue for [f32; 3] {
    fn read(&self) -> [f32; 3] {
        *self
    }

    fn write(&mut self, velocity: [f32; 3]) {
        *self = velocity;
    }
}

/// Where an object looks, in one field. Implement it for the angles of an engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a heading",
    label = "expected `f32` in radians, counter-clockwise from the x axis",
    note = "a field called `heading` or `yaw` is where the object looks; give one that means something else another name"
)]
pub trait HeadingValue {
    /// Radians.
    fn read(&self) -> f32;

    /// Takes over a heading.
    fn write(&mut self, yaw: f32);
}

impl HeadingValue for f32 {
    fn read(&self) -> f32 {
        *self
    }

    fn write(&mut self, yaw: f32) {
        *self = yaw;
    }
}

impl ObjectSchema {
    /// What two builds compare to know that a field's number means the same to both: the name of the type,
    /// and name and channel of every field in order. Reach and rate are not in it; they may be configured.
    ///
    /// The same in every build and on every machine. It tells mistakes apart, not forgeries.
    pub fn hash(&self) -> u64 {
        self.hash_of(&self.fields)
    }

    /// The hash that a build with only the first `count` fields has, or `None` if there are fewer here. So
    /// a newer build knows an older one, whose fields mean the same as its own first ones.
    pub fn prefix_hash(&self, count: usize) -> Option<u64> {
        self.fields.get(..count).map(|fields| self.hash_of(fields))
    }

    /// FNV-1a of 64 bits. Each name ends with a byte that no text has, so no two schemas read the same.
    fn hash_of(&self, fields: &[FieldSpec]) -> u64 {
        const END: u8 = 0xff;
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        add(self.name.as_bytes());
        add(&[END]);
        for field in fields {
            add(field.name.as_bytes());
            add(&[END, field.channel.index() as u8]);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, Channel)]) -> ObjectSchema {
        let mut schema = ObjectSchema::named("crate_box");
        schema.fields = fields
            .iter()
            .map(|(name, channel)| FieldSpec { name: (*name).to_owned(), channel: *channel })
            .collect();
        schema
    }

    #[test]
    fn a_field_added_at_the_end_keeps_the_hash_of_what_was_there() {
        let old = schema(&[("health", Channel::Critical), ("title", Channel::Metadata)]);
        let new = schema(&[
            ("health", Channel::Critical),
            ("title", Channel::Metadata),
            ("glow", Channel::Cosmetic),
        ]);
        assert_ne!(new.hash(), old.hash());
        assert_eq!(new.prefix_hash(2), Some(old.hash()), "the newer build knows the older one");
        assert_eq!(new.prefix_hash(3), Some(new.hash()));
        assert_eq!(old.prefix_hash(3), None, "the older one cannot know the newer");
    }

    #[test]
    fn what_changes_the_meaning_of_a_number_changes_the_hash() {
        let was = schema(&[("health", Channel::Critical), ("title", Channel::Metadata)]);
        let others = [
            schema(&[("title", Channel::Metadata), ("health", Channel::Critical)]),
            schema(&[("health", Channel::Detailed), ("title", Channel::Metadata)]),
            schema(&[("healths", Channel::Critical), ("title", Channel::Metadata)]),
            schema(&[("title", Channel::Metadata)]),
            ObjectSchema { name: "crate".to_owned(), ..was.clone() },
        ];
        for other in others {
            assert_ne!(other.hash(), was.hash(), "{other:?}");
        }
        let mut configured = was.clone();
        configured.channels[0].radius_metres = 60.0;
        assert_eq!(configured.hash(), was.hash(), "reach and rate are configuration");
    }

    /// Changing these numbers cuts every build off from those before it.
    #[test]
    fn hashes_stay_what_they_are() {
        assert_eq!(ObjectSchema::named("").hash(), 0xaf64_724c_8602_eb6e);
        assert_eq!(schema(&[("health", Channel::Critical)]).hash(), 0xc0ea_4e3b_de35_2726);
    }
}
