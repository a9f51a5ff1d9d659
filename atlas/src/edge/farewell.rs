//! How a connection ends: the code that says why, and how long its last words may take.

use std::time::Duration;

use horizon_protocol::client::{ClosingReason, RefusedReason};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Time for a last message and a close to reach the client.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

/// Close code that belongs to a refusal.
pub(super) const fn refusal_code(reason: RefusedReason) -> CloseCode {
    match reason {
        RefusedReason::Busy => CloseCode::Again,
        _ => CloseCode::Policy,
    }
}

/// Close code that belongs to a closing.
pub(super) const fn closing_code(reason: ClosingReason) -> CloseCode {
    match reason {
        ClosingReason::Draining | ClosingReason::Shutdown => CloseCode::Away,
        ClosingReason::Replaced => CloseCode::Library(4001),
        ClosingReason::Slow => CloseCode::Again,
        ClosingReason::Silent => CloseCode::Library(4002),
        ClosingReason::Protocol => CloseCode::Policy,
    }
}
