//! Being asked to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is asked to end, by SIGTERM or by Ctrl-C. Returns the signal's name.
///
/// # Errors
///
/// Where the system does not let the process listen to signals.
pub async fn shutdown() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}
