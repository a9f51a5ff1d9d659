//! The shared vocabulary of Horizon: ids, time, space, epochs and the schema of objects.
//!
//! This crate is the bottom of the graph. It knows no socket, clock, file or thread, and every
//! value that exists is valid: raw spellings are checked where they enter.

mod epoch;
mod id;
mod map;
mod object;
mod pose;
mod schema;
mod space;
mod text;
mod tick;

pub use epoch::Epoch;
pub use id::{EdgeId, EntityId, HandoffId, ParseIdError, PlayerId, RegionId, SessionId, WorkerId, WorldId};
pub use map::{GridMap, MapError, RegionMap};
#[cfg(feature = "json")]
pub use object::Json;
pub use object::{
    CriticalField, DetailedField, FieldCodec, FieldError, FieldValue, GorcObject, HeadingValue, PoseValue,
    PositionValue, VelocityValue,
};
pub use pose::{Pose, Seat};
pub use schema::{Channel, ChannelSpec, FieldSpec, ObjectSchema, ObjectTypeId, SchemaError};
pub use space::{CELL_METRES, Cell, Position};
pub use tick::{TICKS_PER_SECOND, Tick, TickRate, TickRateError};
