//! What a body says.

use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Position, Tick};

/// Most fields an object type may have.
pub const MAX_FIELDS: usize = 32;

/// How bodies for an observer are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Sections of bytes.
    Binary,
    /// A JSON array.
    Json,
}

/// Why an object is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// One cell of the density layer: its indices along x and y, and how many objects are in it.
pub type Density = (i32, i32, u32);

/// The complete first state of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enter<'a> {
    /// Who.
    pub entity: EntityId,
    /// What it is.
    pub type_id: ObjectTypeId,
    /// Whose avatar it is, if a player's.
    pub player: Option<PlayerId>,
    /// Tick of the source at which `pose` held: that of the knot.
    pub tick: Tick,
    /// Place, velocity and heading, quantised.
    pub pose: Pose,
    /// Innermost channel held, 0 to 3.
    pub channel: u8,
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
    /// Tick of the source at which the values held: the knot's, or the frame's without a knot.
    pub tick: Tick,
    /// Innermost channel held from now on, 0 to 3.
    pub channel: u8,
    /// Where it is, if a knot came.
    pub position: Option<Position>,
    /// Metres per second; present exactly when `position` is.
    pub velocity: Option<[f32; 3]>,
    /// Heading in radians at the knot; `None` if it did not change.
    pub yaw: Option<f32>,
    /// Do not draw a line from the place before to this one.
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
    /// Hold an object from now on. It may be held already: this replaces it.
    fn enter(&mut self, enter: Enter<'_>);
    /// An object that is held changed.
    fn update(&mut self, update: Update<'_>);
    /// Hold an object no longer; nothing to do for one that is not held.
    fn leave(&mut self, entity: EntityId, reason: LeaveReason);

    /// How many objects there are where none is told by itself, by rising cell. Replaces the layer
    /// told before as a whole.
    fn density(&mut self, cells: &[Density]) {
        let _ = cells;
    }

    /// JSON alone: the number of the field called `name` of `entity`, from the welcome's schemas.
    /// An enter names the type; for an update the visitor knows it. Fields without a number are
    /// left out, as all are unless this is implemented.
    fn field_index(&mut self, entity: EntityId, type_id: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        let _ = (entity, type_id, name);
        None
    }
}
