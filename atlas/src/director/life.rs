//! The life of a region server, from the start of its process to its end, as one table.
//!
//! ```text
//!                   Refused
//!               ┌────────────┐
//!  Registered   ▼    Told    │  Served     Released or Dismissed  Ended
//!  Starting ─▶ Ready ─────▶ Placed ─────▶ Serving ─────▶ Draining ─────▶ Retired
//!               ▲ └─────────── Dismissed ──────────────────▲  │
//!               └───────────── Freed ─────────────────────────┘
//!
//!  from every state but Retired ─▶ Failed: Missed, Fenced, Crashed
//! ```
//!
//! Invariant: nothing else changes a state, and what the table forbids the director does not do, whatever it
//! is told. Who has failed is believed no more: it can only end.

use Outcome::{Never, Stays, To};

/// What a region server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// Its process was started and has not registered.
    Starting,
    /// Free for whichever region needs it.
    Ready,
    /// Was told to take over a region.
    Placed,
    /// Serves a region.
    Serving,
    /// Gives back its region, or ends.
    Draining,
    /// Has ended because it was told to.
    Retired,
    /// Has ended unasked, or is to end: it let a deadline pass, or its region was given to another one.
    Failed,
}

impl Life {
    /// Every state, in the order of the table's columns.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Ready,
        Self::Placed,
        Self::Serving,
        Self::Draining,
        Self::Retired,
        Self::Failed,
    ];

    /// The word for it, as the status shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Placed => "placed",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }

    /// What `event` does to who is in this state.
    pub const fn after(self, event: Event) -> Outcome {
        TABLE[event as usize][self as usize]
    }
}

/// What can change what a region server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It says who it is, and that it has no region.
    Registered,
    /// It says that it serves a region, and nobody has a better right to that.
    Served,
    /// It could not take over a region.
    Refused,
    /// It has given back its region, and was not told to end.
    Freed,
    /// The director tells it to take over a region.
    Told,
    /// The director tells it to give back its region and to stay.
    Released,
    /// The director tells it to give back what it has and to end.
    Dismissed,
    /// The director gives its region to another one.
    Fenced,
    /// It did not do in time what it had to; where its process is within reach it is ended by force.
    Missed,
    /// Its process has ended, and was told to.
    Ended,
    /// Its process has ended or is out of reach, and was not told to end.
    Crashed,
}

impl Event {
    /// Every event, in the order of the table's rows.
    pub const ALL: [Self; 11] = [
        Self::Registered,
        Self::Served,
        Self::Refused,
        Self::Freed,
        Self::Told,
        Self::Released,
        Self::Dismissed,
        Self::Fenced,
        Self::Missed,
        Self::Ended,
        Self::Crashed,
    ];
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The state is this one now.
    To(Life),
    /// Nothing: it comes late, or for a second time.
    Stays,
    /// The director does not let it happen.
    Never,
}

const READY: Outcome = To(Life::Ready);
const PLACED: Outcome = To(Life::Placed);
const SERVING: Outcome = To(Life::Serving);
const DRAINING: Outcome = To(Life::Draining);
const RETIRED: Outcome = To(Life::Retired);
const FAILED: Outcome = To(Life::Failed);

/// By event and state.
#[rustfmt::skip]
const TABLE: [[Outcome; 7]; 11] = [
    //              Starting  Ready     Placed    Serving   Draining  Retired  Failed
    /* Registered */ [READY,   Stays,    Stays,    READY,    Stays,    Never,   Stays],
    /* Served     */ [SERVING, SERVING,  SERVING,  Stays,    SERVING,  Never,   Stays],
    /* Refused    */ [Never,   Stays,    READY,    Stays,    Stays,    Never,   Stays],
    /* Freed      */ [Never,   Stays,    READY,    READY,    READY,    Never,   Stays],
    /* Told       */ [Never,   PLACED,   Never,    Never,    Never,    Never,   Never],
    /* Released   */ [Never,   Never,    Never,    DRAINING, Never,    Never,   Never],
    /* Dismissed  */ [DRAINING,DRAINING, DRAINING, DRAINING, Stays,    Never,   Stays],
    /* Fenced     */ [Never,   FAILED,   FAILED,   FAILED,   FAILED,   Never,   Stays],
    /* Missed     */ [FAILED,  FAILED,   FAILED,   FAILED,   FAILED,   Never,   Stays],
    /* Ended      */ [Never,   Never,    Never,    Never,    RETIRED,  Never,   Stays],
    /* Crashed    */ [FAILED,  FAILED,   FAILED,   FAILED,   FAILED,   Never,   Stays],
];
