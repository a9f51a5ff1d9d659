//! How authority over an entity moves from one region to another, as values without IO.
//!
//! Records and [`Capsule`]s are what the store keeps. The machines [`Source`](source::Source) and
//! [`Target`](target::Target) are the two ends of a handoff, [`Route`](route::Route) is the edge's
//! view of it, [`LeaseKeeper`](lease::LeaseKeeper) the holder's side of a lease, [`silence`] what others notice
//! of a holder that hangs. [`lanes`] holds the
//! parts of a session that travel with its player, [`predict`] says which region is needed next.
//!
//! Nothing here knows a clock, a socket or chance: grid time, messages and nonces are arguments,
//! decisions are the results. Protocol: `docs/handoff.md`.

mod baselines;
mod capsule;
mod edits;
pub mod frames;
mod judge;
pub mod lanes;
pub mod lease;
pub mod mutant;
pub mod predict;
mod record;
pub mod route;
pub mod silence;
pub mod source;
pub mod target;
#[cfg(test)]
mod three_regions;

pub use baselines::Baselines;
pub use capsule::{Capsule, DecodeError};
pub use edits::EditError;
pub use horizon_protocol::link::EntityKey;
pub use judge::{Claim, Verdict, Witness, judge};
pub use record::{
    CasOutcome, CasRequest, Expect, Holder, Kept, Lease, LeaseGuard, MAX_CAPSULE_BYTES, Record, SessionCas,
    SessionOutcome, SessionRecord,
};
