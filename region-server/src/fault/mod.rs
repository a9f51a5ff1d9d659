//! Fail points: places where a test stops, kills or slows exactly this process.
//!
//! ```text
//!   step        where                                            S
//!   presync     a state left the source / reached the target     1
//!   frozen      frozen, and nothing of that tick written          2
//!   final       the final state left / arrived, not yet read      3
//!   asked       the move is about to be asked of the store        4
//!   answered    the store has decided, the region not heard it    4
//!   owner       the target owns, and has told nobody              5
//!   attached    edge and source were told / the source hears it   6
//!   post        a plugin's message left for another region        any
//! ```
//!
//! Armed by `HORIZON_FAULT`, a list of `STEP:ROLE:NTH:ACTION` with `;` between, or by lines on the Unix socket that
//! `HORIZON_FAULT_SOCKET` names. Only with the feature `faults`, which no ordinary build has: without it every function
//! here is empty and the compiler removes its calls. Points count what is about players; roles are `source` and `target`.
//!
//! | action | the process |
//! |---|---|
//! | `hold` | tells the socket and lets its tick thread wait for `go` there |
//! | `kill` | ends by SIGKILL |
//! | `stop` | stops by SIGSTOP |
//! | `panic` | panics on the tick thread |
//! | `delay=MS` | lets its tick thread wait |
//! | `repeat=MS` | sends the message of this point once more after that time: `presync`, `final`, `post`, and for `attached` the hint to the source |
//! | `late=MS` | sends it after that time only |
//! | `large=MS` | has players with luggage beyond what a capsule may hold, for that time |
//! | `disk-full` | finds the disk full from now on |

#[cfg(feature = "faults")]
mod armed;
#[cfg(feature = "faults")]
mod live;
#[cfg(not(feature = "faults"))]
mod none;

#[cfg(feature = "faults")]
pub(crate) use live::{
    after_outputs, after_step, begin, disk, handled, luggage, sends_whole_finals, taken, to_edge, to_worker,
    will_ask,
};
#[cfg(not(feature = "faults"))]
pub(crate) use none::{
    after_outputs, after_step, begin, disk, handled, luggage, sends_whole_finals, taken, to_edge, to_worker,
    will_ask,
};
