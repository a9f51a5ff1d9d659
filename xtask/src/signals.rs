//! Ctrl-C and SIGTERM.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Outcome;

/// What ends a command early. From its creation on, signals no longer end the process by themselves, so that
/// no child is left behind.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    heard_at: Option<Instant>,
}

/// Whoever ends a process group often tells its leader twice; within this time it is one wish.
const SAME_WISH: Duration = Duration::from_secs(1);

impl Signals {
    /// Begins to listen.
    pub(crate) fn new() -> Outcome<Self> {
        let failed = |error| format!("cannot listen to signals: {error}");
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate()).map_err(failed)?, heard_at: None })
    }

    /// Waits for the next wish to end.
    pub(crate) async fn heard(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            if self.heard_at.is_none_or(|at| at.elapsed() > SAME_WISH) {
                self.heard_at = Some(Instant::now());
                return;
            }
        }
    }
}
