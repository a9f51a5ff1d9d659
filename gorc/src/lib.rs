//! Who sees what, at which rate, in how many bytes.
//!
//! ```text
//!   spawn, sample, set_field ──▶ objects ──▶ knots of their curves, once per channel
//!                                                │ encoded once
//!                                   index        ▼
//!   add_observer, move_observer ──▶ observers ──▶ step(tick) ──▶ one body per observer
//! ```
//!
//! A [`Gorc`] holds the objects of one region, its own and the ghosts of its neighbours, and the
//! observers that look at them. What a client draws of an object is a [`Curve`] through knots; for each
//! object and channel a new knot is made only when the curve would leave its error bound. A step gives
//! every observer the knots of what it holds, and enters and leaves as distance says. A neighbour
//! region is an observer like any other, but is told exact samples.
//!
//! Invariant: what an observer receives about one object is enter, updates, leave, in that order. After
//! the frame of tick `F` the curve of every held object is within its bound at every tick up to `F`
//! less the delay of its channel, unless bytes or credit were short. [`Gorc::set_load`] widens bounds.
//!
//! Knows no socket, clock, file or thread; the same calls produce the same bytes. The bodies are
//! specified in `WIRE.md`.

mod attention;
mod cadence;
mod crowd;
mod curve;
mod error;
mod fields;
mod glance;
pub mod grid;
mod ids;
mod interest;
mod json;
mod load;
mod object;
mod objects;
mod observer;
mod registry;
mod replication;
mod row;
mod stats;
mod telling;
mod track;
mod varint;
mod view;
pub mod wire;

pub use attention::Cone;
pub use cadence::due;
pub use curve::Curve;
pub use error::DecodeError;
pub use horizon_gorc_macros::GorcObject;
pub use horizon_model::{self as model, FieldCodec, FieldError, GorcObject, Json};
pub use interest::Anchor;
pub use json::decode_json;
pub use load::{Load, MAX_LEVEL};
pub use object::NewObject;
pub use observer::{ObserverId, ObserverSpec, PATIENCE, REPEAT};
pub use replication::Gorc;
pub use stats::Stats;
pub use view::{Held, View};
pub use wire::{Decoder, Density, Enter, Knot, LATTICES, Lattice, LeaveReason, Spelling, Update, Visitor};

/// The examples of the README, which must run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
