//! World grid time of a process: one clock per process, led by one edge and followed by the others.
//!
//! Grid time is boot time plus an offset. The leader chooses the offset once. A follower asks over
//! its links, takes the offset of the quickest answer, and slews towards it: after the first answer
//! its clock is never stepped and never runs backwards. Boot time goes on while a machine sleeps and
//! is the same for all processes of a machine, so there a follower only measures the link. What a short sleep
//! added to it is slewed, too.

mod discipline;
#[cfg(any(feature = "faults", test))]
#[cfg_attr(not(feature = "faults"), expect(dead_code, reason = "its tests run in every build"))]
mod fault;
#[cfg(not(feature = "faults"))]
mod right;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use horizon_model::Tick;
use rustix::time::{ClockId, clock_gettime};

#[cfg(feature = "faults")]
use fault as source;
#[cfg(not(feature = "faults"))]
use right as source;

pub use discipline::{Discipline, FAST_SLEW_PPM, Line, SLEW_PPM};

/// Time since the machine started, including sleep. Only rises.
pub fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    source::own(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default()))
}

/// Boot time moves ahead of the time that the machine was awake only while it sleeps; less than this is the
/// time between two readings.
const SLEEP_NS: i64 = 5_000_000;

/// By how much boot time is ahead of the time awake, in nanoseconds. Boot time is read first, so that whoever
/// has to wait in between finds less, never more.
fn asleep_ns() -> (Duration, i64) {
    let boot = boot_time();
    let awake = clock_gettime(ClockId::Monotonic);
    let awake = Duration::new(awake.tv_sec.unsigned_abs(), u32::try_from(awake.tv_nsec).unwrap_or_default());
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4);
    (boot, nanos(boot) - nanos(awake))
}

/// The grid clock of this process. Clones share it; reading takes no lock.
#[derive(Debug, Clone)]
pub struct GridClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    discipline: Mutex<Discipline>,
    published: Published,
    /// Highest time ever read, so that no two threads see it run backwards.
    latest_ns: AtomicU64,
    /// The most that was ever read of [`asleep_ns`].
    asleep_ns: AtomicI64,
}

impl GridClock {
    /// A clock that leads: grid time is `start` now.
    pub fn leader(start: Duration) -> Self {
        let clock = Self::follower();
        clock.lead(start);
        clock
    }

    /// A clock without a time until the first [`Self::sample`].
    pub fn follower() -> Self {
        let shared = Shared {
            discipline: Mutex::new(Discipline::new()),
            published: Published::default(),
            latest_ns: AtomicU64::new(0),
            asleep_ns: AtomicI64::new(asleep_ns().1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Leads from now on: with the time it has, or with `start` where it has none.
    pub fn lead(&self, start: Duration) {
        self.change(|discipline, now| discipline.lead(now, start));
    }

    /// Follows from now on, towards samples to come; keeps the time it has.
    pub fn follow(&self) {
        self.change(|discipline, _| discipline.follow());
    }

    /// Whether others should follow this clock.
    pub fn leads(&self) -> bool {
        self.shared.discipline.lock().unwrap_or_else(PoisonError::into_inner).leads()
    }

    /// One question and answer: asked at `sent_boot`, answered by the leader with `leader_grid_ns`
    /// nanoseconds of grid time, received at `received_boot`. Ignored while leading.
    pub fn sample(&self, sent_boot: Duration, received_boot: Duration, leader_grid_ns: u64) {
        let (sent, received) = source::asked_and_heard(sent_boot, received_boot);
        self.change(|discipline, now| {
            if discipline.line().is_none() || !source::believes_the_first_answer() {
                discipline.sample(now, sent, received, leader_grid_ns);
            }
        });
    }

    /// Grid time now, or `None` before the first sample. Never less than any earlier answer.
    pub fn grid_now(&self) -> Option<Duration> {
        let (boot, asleep) = asleep_ns();
        let slept = asleep - self.shared.asleep_ns.fetch_max(asleep, Ordering::AcqRel);
        if slept > SLEEP_NS {
            let slept = Duration::from_nanos(slept.unsigned_abs());
            self.change(|discipline, now| discipline.slept(now, slept));
        }
        let line = self.shared.published.read()?;
        let now = u64::try_from(line.at(boot).as_nanos()).unwrap_or(u64::MAX);
        let earlier = self.shared.latest_ns.fetch_max(now, Ordering::AcqRel);
        Some(Duration::from_nanos(now.max(earlier)))
    }

    /// The tick of [`Self::grid_now`].
    pub fn tick_now(&self) -> Option<Tick> {
        self.grid_now().map(Tick::at)
    }

    /// Real time until `tick` begins, zero if it has begun; `None` before the first sample.
    pub fn until(&self, tick: Tick) -> Option<Duration> {
        self.grid_now().map(|now| tick.since_origin().saturating_sub(now))
    }

    /// How far from the leader's time this clock may be now; `None` before the first sample.
    pub fn uncertainty(&self) -> Option<Duration> {
        self.shared.discipline.lock().unwrap_or_else(PoisonError::into_inner).uncertainty(boot_time())
    }

    fn change(&self, change: impl FnOnce(&mut Discipline, Duration)) {
        let mut discipline = self.shared.discipline.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut discipline, boot_time());
        if let Some(line) = discipline.line() {
            self.shared.published.write(line);
        }
    }
}

/// A [`Line`] that one writer at a time replaces and anybody reads: an odd version means that a
/// write is under way, and a changed one that the reader saw two lines.
#[derive(Debug, Default)]
struct Published {
    version: AtomicU64,
    anchor_ns: AtomicU64,
    offset_ns: AtomicU64,
    target_ns: AtomicU64,
}

impl Published {
    fn write(&self, line: Line) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.anchor_ns.store(line.anchor_ns.cast_unsigned(), Ordering::Relaxed);
        self.offset_ns.store(line.offset_ns.cast_unsigned(), Ordering::Relaxed);
        self.target_ns.store(line.target_ns.cast_unsigned(), Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    fn read(&self) -> Option<Line> {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let line = Line {
                anchor_ns: self.anchor_ns.load(Ordering::Relaxed).cast_signed(),
                offset_ns: self.offset_ns.load(Ordering::Relaxed).cast_signed(),
                target_ns: self.target_ns.load(Ordering::Relaxed).cast_signed(),
            };
            fence(Ordering::Acquire);
            let after = self.version.load(Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return (before > 0).then_some(line);
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_has_the_leaders_time_after_one_answer() {
        let (leader, follower) = (GridClock::leader(Duration::from_secs(1000)), GridClock::follower());
        assert_eq!(follower.grid_now(), None);
        let sent = boot_time();
        let answer = leader.grid_now().expect("leads");
        follower.sample(sent, boot_time(), u64::try_from(answer.as_nanos()).expect("small"));
        let between = leader.grid_now().expect("leads")..;
        let follows = follower.grid_now().expect("locked") + follower.uncertainty().expect("locked");
        assert!(between.contains(&follows), "{follows:?} in {between:?}");
        assert!(leader.leads() && !follower.leads());
    }

    #[test]
    fn threads_never_see_time_run_backwards() {
        let clock = GridClock::leader(Duration::from_secs(5));
        clock.follow();
        let reader = clock.clone();
        let read = std::thread::spawn(move || {
            let mut last = Duration::ZERO;
            for _ in 0..50_000 {
                let now = reader.grid_now().expect("has a time");
                assert!(now >= last, "{now:?} after {last:?}");
                last = now;
            }
        });
        for n in 0..5_000_u64 {
            let now = boot_time();
            let wrong = clock.grid_now().expect("has a time") + Duration::from_millis(n % 3);
            clock.sample(now, now, u64::try_from(wrong.as_nanos()).expect("small").saturating_sub(1_000_000));
        }
        read.join().expect("only rises");
    }
}
