//! C15: the clock of a real `redis-server` is set sixty seconds forth and back while it decides.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use horizon_model::WorldId;
use horizon_state_store::{AcquireError, LeaseError, Redis, StateStore};

use crate::fixture::{Clock, Fixture, WORLD};
use crate::rows::{self, A, ANNA, BERT, TTL, after, cas, first, lease, player, won};
use crate::server::Server;

/// A server whose clock a file sets.
struct Skewed {
    clock: Clock,
    server: Server,
}

/// Stands before the C library's own: the wall clock is off by as many seconds as the file says. No memory is
/// asked for, because the server's allocator asks for the time while it begins.
const SHIM: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    struct timespec now;
    char text[32] = {0};
    int file = open(getenv("CLOCK_FILE"), O_RDONLY);
    (void)zone;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
    }
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec + atol(text);
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"#;

impl Skewed {
    fn start() -> Option<Self> {
        let mut server = Server::start()?;
        server.kill();
        let (source, library) = (server.path().join("clock.c"), server.path().join("clock.so"));
        std::fs::write(&source, SHIM).expect("written");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this row, because no C compiler is installed");
            return None;
        }
        let file = server.path().join("clock");
        set(&file, "0");
        let mut command = Command::new("redis-server");
        command.env("LD_PRELOAD", library).env("CLOCK_FILE", file);
        server.run_as(command, &crate::server::DURABLE);
        Some(Self { clock: Clock::default(), server })
    }

    /// The clock is off by so many seconds from now on.
    fn set(&self, seconds: &str) {
        set(&self.server.path().join("clock"), seconds);
    }
}

/// Renamed into place, so that nobody reads half of it.
fn set(file: &std::path::Path, seconds: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, seconds).expect("written");
    std::fs::rename(next, file).expect("renamed");
}

impl Fixture for Skewed {
    type Store = Redis;

    async fn open(&self, world: WorldId) -> Redis {
        Redis::connect(&self.server.address(), world).await.expect("connects")
    }

    async fn restart(&mut self) {
        unreachable!("no row that is run here restarts");
    }

    async fn keep(&mut self) {
        unreachable!("no row that is run here keeps a copy");
    }

    async fn put_back(&mut self) {
        unreachable!("no row that is run here keeps a copy");
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

#[tokio::test]
async fn c15_a_clock_that_jumps_moves_leases_and_no_epoch() {
    let Some(skewed) = Skewed::start() else { return };
    let store = skewed.open(WORLD).await;
    let anna = lease(&store, A, ANNA).await;
    let born = won(cas(&store, first(player(1), &anna, 1)).await);
    assert!(matches!(store.acquire(A, BERT, TTL).await, Err(AcquireError::Held { .. })));
    skewed.set("60");
    assert_eq!(store.confirm(&anna).await, Ok(()), "expiry alone takes nothing");
    let bert = lease(&store, A, BERT).await;
    assert!(bert.epoch > anna.epoch, "early, and fenced");
    assert_eq!(store.confirm(&anna).await, Err(LeaseError::Lost));
    let late = cas(&store, after(&born, player(1), &anna, 2)).await;
    assert_eq!(late, horizon_handoff::CasOutcome::LeaseLost);
    let kept = won(cas(&store, after(&born, player(1), &bert, 3)).await);
    skewed.set("-60");
    let Err(AcquireError::Held { remaining, .. }) = store.acquire(A, ANNA, TTL).await else {
        panic!("the lease is held");
    };
    assert!(remaining <= TTL, "for its length, not until the clock has caught up: {remaining:?}");
    won(cas(&store, after(&kept, player(1), &bert, 4)).await);
}

/// What a repeated attempt wins does not depend on time, also while the clock jumps all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_decisions_are_right_while_the_clock_jumps() {
    let Some(mut skewed) = Skewed::start() else { return };
    let (file, stop) = (skewed.server.path().join("clock"), Arc::new(AtomicBool::new(false)));
    let jumping = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            for offset in ["60", "-60", "0"].iter().cycle() {
                set(&file, offset);
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        }
    });
    rows::c6_a_repeated_handoff_wins_again(&mut skewed).await;
    stop.store(true, Ordering::SeqCst);
    jumping.join().expect("it does not panic");
}
