//! Who sees what, at which rate, in how many bytes.
//!
//! ```text
//!   spawn, sample, set_field ──▶ objects ─┐
//!                                         ├─▶ step(tick) ──▶ one body per observer
//!   add_observer, move_observer ─▶ observers ┘                 (binary blocks or JSON)
//! ```
//!
//! A [`Gorc`] holds the objects of one region, its own and the ghosts of its neighbours, and the
//! observers that look at them. Each step compares what an observer is interested in with what it
//! has been told, and tells it the difference: enters, leaves, and an update for every sample whose
//! tick is due on a channel the observer holds. A neighbour region is an observer like any other.
//!
//! Invariant: what an observer receives about one object is enter, updates, leave, in that order,
//! and every due sample between enter and leave once.
//!
//! Knows no socket, clock, file or thread; the same calls produce the same bytes. The bodies are
//! specified in `WIRE.md`.

mod body;
mod cadence;
mod candidate;
mod error;
pub mod grid;
mod interest;
mod json;
mod object;
mod observer;
mod quantise;
mod registry;
mod replication;
mod row;
mod stats;
mod varint;
mod view;
pub mod wire;

pub use body::Body;
pub use cadence::due;
pub use error::DecodeError;
pub use horizon_gorc_macros::GorcObject;
pub use horizon_model::{self as model, FieldCodec, FieldError, GorcObject, Json};
pub use interest::Anchor;
pub use json::decode_json;
pub use object::NewObject;
pub use observer::{ObserverId, ObserverSpec, PATIENCE, REPEAT};
pub use quantise::{
    Place, Precision, dequantise, dequantise_velocity, dequantise_yaw, quantise, quantise_velocity,
    quantise_yaw,
};
pub use replication::Gorc;
pub use stats::Stats;
pub use view::{Held, View};
pub use wire::{Enter, LeaveReason, Spelling, Update, Visitor, decode};
