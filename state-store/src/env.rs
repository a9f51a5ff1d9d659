//! Time and chance as arguments of a store.

use std::sync::Arc;
use std::time::Duration;

/// Where a store takes its time and its secrets from.
#[derive(Clone)]
pub struct Env {
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    secret: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
}

impl Env {
    /// The machine's own: time since boot, which counts while the machine is suspended, and the
    /// system's random numbers.
    pub fn system() -> Self {
        Self::new(since_boot, || {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).expect("the system gives random numbers");
            secret
        })
    }

    /// `now` must not go backwards; only differences of it are used. `secret` is called for each
    /// sealing key that is made.
    pub fn new(
        now: impl Fn() -> Duration + Send + Sync + 'static,
        secret: impl Fn() -> [u8; 32] + Send + Sync + 'static,
    ) -> Self {
        Self { now: Arc::new(now), secret: Arc::new(secret) }
    }

    pub(crate) fn now(&self) -> Duration {
        (self.now)()
    }

    pub(crate) fn secret(&self) -> [u8; 32] {
        (self.secret)()
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("now", &self.now()).finish_non_exhaustive()
    }
}

fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
