//! An object as one step looks at it, the same for every observer.

use horizon_model::{EntityId, Position};

use crate::object::Object;
use crate::registry::ObjectType;

/// An object as one step looks at it.
pub(crate) struct Candidate<'a> {
    pub(crate) entity: EntityId,
    pub(crate) position: Position,
    pub(crate) object: &'a Object,
    pub(crate) kind: &'a ObjectType,
    /// Channels due by the step's own tick, for an object without a new sample.
    pub(crate) idle_due: u8,
}
