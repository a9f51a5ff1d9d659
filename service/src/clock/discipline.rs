//! How a follower learns the leader's offset: pure, with time as arguments.
//!
//! The true offset lies within half a round trip of what an answer says, so the quickest answer is
//! the most certain one; one that is older counts as slower by what two clocks may drift apart
//! meanwhile, and the least certain one is forgotten first: a link that is slow for a minute does not
//! push out what a quick one said before. Two answers that cannot both be right mean that a clock was
//! stepped in between, and only the newer one is kept. The clock then slews towards it:
//!
//! ```text
//! offset ▲            ______ target
//!        │         ／   the last 10 ms at 5 ms per second
//!        │       /
//!        │      /  before them at 50 ms per second
//!        │_____/
//!        └──┬────────────▶ boot time
//!         anchor
//! ```

use std::time::Duration;

/// Usual change of the offset, in millionths: 5 ms per second.
pub const SLEW_PPM: i64 = 5_000;

/// The change while there is more than [`FAR_NS`] to go: 50 ms per second. A step of a 60 Hz region then
/// takes between 15.8 and 17.6 ms, so none is missed or doubled, and a clock that lost 100 ms has them back
/// within four seconds.
pub const FAST_SLEW_PPM: i64 = 50_000;

/// See [`FAST_SLEW_PPM`].
const FAR_NS: i64 = 10_000_000;
/// Two clocks drift apart by at most this much, in millionths: each by 500, which is what NTP corrects at
/// most (RFC 5905, section 11.3) and far more than a quartz has.
const DRIFT_PPM: i64 = 1_000;
/// Answers that are remembered.
const SAMPLES: usize = 16;

/// See [`Discipline::slept`].
const SHORT_SLEEP: Duration = Duration::from_secs(1);
/// Granted to two answers beside what each may be wrong by: clocks are read in steps, too.
const CHANCE_NS: u64 = 100_000;

const MILLION: i64 = 1_000_000;

/// Grid time as a function of boot time: an offset that moves from `offset_ns` at `anchor_ns` to
/// `target_ns` at the slew rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Boot time at which the offset is `offset_ns`, in nanoseconds.
    pub anchor_ns: i64,
    /// Grid time minus boot time at the anchor, in nanoseconds.
    pub offset_ns: i64,
    /// Where the offset goes, in nanoseconds.
    pub target_ns: i64,
}

impl Line {
    /// Grid time at boot time `now`.
    pub fn at(&self, now: Duration) -> Duration {
        let now = nanos(now);
        Duration::from_nanos(u64::try_from(now + self.offset_at(now)).unwrap_or_default())
    }

    fn offset_at(&self, now: i64) -> i64 {
        let elapsed = i128::from((now - self.anchor_ns).max(0));
        let (whole, far) = (self.target_ns - self.offset_ns, i128::from(FAR_NS));
        let fast = (i128::from(whole).abs() - far).max(0);
        let fast_ns = fast * i128::from(MILLION) / i128::from(FAST_SLEW_PPM);
        let reach = if elapsed < fast_ns {
            elapsed * i128::from(FAST_SLEW_PPM) / i128::from(MILLION)
        } else {
            fast + (elapsed - fast_ns) * i128::from(SLEW_PPM) / i128::from(MILLION)
        };
        let reach = i64::try_from(reach).unwrap_or(i64::MAX);
        self.offset_ns + whole.clamp(-reach, reach)
    }
}

/// What a process knows about the grid's offset.
#[derive(Debug, Clone, Default)]
pub struct Discipline {
    line: Option<Line>,
    samples: Vec<Sample>,
    leads: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ns: i64,
    offset_ns: i64,
    /// Half the round trip.
    error_ns: i64,
}

impl Sample {
    /// Whether both may be right.
    fn agrees(&self, other: &Self, now: i64) -> bool {
        let apart = self.offset_ns.abs_diff(other.offset_ns);
        apart <= (self.error_at(now) + other.error_at(now)).unsigned_abs() + CHANCE_NS
    }

    /// How wrong it may be at `now`.
    fn error_at(&self, now: i64) -> i64 {
        self.error_ns + (now - self.at_ns).max(0) / MILLION * DRIFT_PPM
    }
}

impl Discipline {
    /// Follows, and knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leads from boot time `now` on: with the time it has, or with grid time `start`.
    pub fn lead(&mut self, now: Duration, start: Duration) {
        let now = nanos(now);
        let offset = self.line.map_or(nanos(start) - now, |line| line.offset_at(now));
        self.line = Some(Line { anchor_ns: now, offset_ns: offset, target_ns: offset });
        self.samples.clear();
        self.leads = true;
    }

    /// Follows from now on, and forgets samples of an earlier leader.
    pub fn follow(&mut self) {
        self.samples.clear();
        self.leads = false;
    }

    /// Whether it leads.
    pub const fn leads(&self) -> bool {
        self.leads
    }

    /// Takes one answer at boot time `now`. The first one sets the clock, later ones slew it. Answers
    /// that arrive before they were asked for are ignored, as is everything while leading.
    pub fn sample(&mut self, now: Duration, sent: Duration, received: Duration, leader_grid_ns: u64) {
        let (Some(round_trip), Ok(grid)) = (received.checked_sub(sent), i64::try_from(leader_grid_ns)) else {
            return;
        };
        if self.leads {
            return;
        }
        let error = nanos(round_trip) / 2;
        let offset = grid + error - nanos(received);
        let sample = Sample { at_ns: nanos(received), offset_ns: offset, error_ns: error };
        let now = nanos(now);
        self.samples.retain(|earlier| earlier.agrees(&sample, now));
        if self.samples.len() == SAMPLES {
            let worst = self.samples.iter().enumerate().max_by_key(|(_, sample)| sample.error_at(now));
            let worst = worst.map_or(0, |(place, _)| place);
            self.samples.swap_remove(worst);
        }
        self.samples.push(sample);
        let target = self.best(now).map_or(offset, |best| best.offset_ns);
        let from = self.line.map_or(target, |line| line.offset_at(now));
        self.line = Some(Line { anchor_ns: now, offset_ns: from, target_ns: target });
    }

    /// The machine slept for `slept` and woke at boot time `now`. After less than a second the clock goes on from
    /// where it stood and catches up; after more, everybody has noticed anyway, and it is right at once.
    pub fn slept(&mut self, now: Duration, slept: Duration) {
        let Some(line) = self.line.as_mut().filter(|_| slept < SHORT_SLEEP) else { return };
        let shown = line.at(now.saturating_sub(slept));
        *line =
            Line { anchor_ns: nanos(now), offset_ns: nanos(shown) - nanos(now), target_ns: line.target_ns };
    }

    /// Grid time as a function of boot time, or `None` before the first answer.
    pub const fn line(&self) -> Option<Line> {
        self.line
    }

    /// How far the clock may be from the leader's at boot time `now`.
    pub fn uncertainty(&self, now: Duration) -> Option<Duration> {
        let (line, now) = (self.line?, nanos(now));
        if self.leads {
            return Some(Duration::ZERO);
        }
        let measured = self.best(now)?.error_at(now);
        let to_go = (line.target_ns - line.offset_at(now)).unsigned_abs();
        Some(Duration::from_nanos(measured.unsigned_abs().saturating_add(to_go)))
    }

    fn best(&self, now: i64) -> Option<&Sample> {
        self.samples.iter().min_by_key(|sample| sample.error_at(now))
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A leader whose clock runs `ppm` faster than ours.
    fn leader_at(boot_ns: u64, offset_ns: u64, ppm: i64) -> u64 {
        let drift = i64::try_from(boot_ns).expect("small") / MILLION * ppm;
        (boot_ns + offset_ns).checked_add_signed(drift).expect("small")
    }

    /// Asks at `boot_ns` with these one-way delays.
    fn ask(clock: &mut Discipline, boot_ns: u64, there: u64, back: u64, leader: impl Fn(u64) -> u64) {
        let received = Duration::from_nanos(boot_ns + there + back);
        clock.sample(received, Duration::from_nanos(boot_ns), received, leader(boot_ns + there));
    }

    fn error(clock: &Discipline, boot_ns: u64, leader: impl Fn(u64) -> u64) -> i64 {
        let ours = nanos(clock.line().expect("locked").at(Duration::from_nanos(boot_ns)));
        ours - i64::try_from(leader(boot_ns)).expect("small")
    }

    #[test]
    fn the_first_answer_sets_the_clock_and_a_skew_of_100_ms_is_slewed_away() {
        let mut clock = Discipline::new();
        assert!(clock.line().is_none());
        ask(&mut clock, SECOND, 1_000, 200_001_000, |boot| leader_at(boot, 500 * SECOND, 0));
        let leader = |boot| leader_at(boot, 500 * SECOND, 0);
        let skew = error(&clock, 2 * SECOND, leader);
        assert!((-101_000_000..-99_000_000).contains(&skew), "a one-sided delay skews: {skew}");
        let mut last = 0;
        for second in 2..=30 {
            ask(&mut clock, second * SECOND, 500_000, 500_000, leader);
            let now =
                nanos(clock.line().expect("locked").at(Duration::from_nanos(second * SECOND + 1_000_000)));
            let moved = now - last;
            assert!(last == 0 || (moved - 1_000_000_000).abs() <= 50_000_000, "stepped by {moved}");
            last = now;
        }
        assert!(error(&clock, 31 * SECOND, leader).abs() < 10_000);
        let uncertainty = clock.uncertainty(Duration::from_millis(30_001)).expect("locked");
        assert!(uncertainty < Duration::from_millis(1), "{uncertainty:?}");
    }

    #[test]
    fn a_drifting_leader_is_followed_within_a_few_milliseconds() {
        for ppm in [-100, 100] {
            let leader = |boot| leader_at(boot, 500 * SECOND, ppm);
            let mut clock = Discipline::new();
            for second in 1..600 {
                ask(&mut clock, second * SECOND, 300_000, 300_000 + (second % 7) * 400_000, leader);
                let error = error(&clock, (second + 1) * SECOND, leader);
                let bound = clock.uncertainty(Duration::from_secs(second + 1)).expect("locked");
                assert!(
                    error.unsigned_abs() <= nanos(bound).unsigned_abs(),
                    "{ppm} ppm: {error} ns, {bound:?}"
                );
                assert!(bound < Duration::from_millis(5), "{bound:?}");
            }
        }
    }

    /// Questions take up to 100 ms longer on one way, for twenty seconds all of them at least half of that.
    #[test]
    fn a_link_that_becomes_slow_on_one_way_does_not_pull_the_clock() {
        for (ppm, there) in [(-500, true), (-500, false), (500, true), (500, false), (0, true)] {
            let leader = |boot| leader_at(boot, 500 * SECOND, ppm);
            let mut clock = Discipline::new();
            for second in 1..120 {
                let late = if second % 40 < 20 { 50_000_000 + second * 7_919_333 % 50_000_000 } else { 0 };
                let (to, fro) = if there { (late, 0) } else { (0, late) };
                ask(&mut clock, second * SECOND, 300_000 + to, 300_000 + fro, leader);
                let error = error(&clock, (second + 1) * SECOND, leader);
                assert!(second < 20 || error.abs() < 12_000_000, "{ppm} ppm, {second} s: {error} ns");
            }
        }
    }

    #[test]
    fn a_stepped_clock_is_believed_at_once_and_slewed_within_seconds() {
        for by in [-100_000_000_i64, 100_000_000] {
            let before = |boot| leader_at(boot, 500 * SECOND, 0);
            let after = |boot: u64| (boot + 500 * SECOND).checked_add_signed(by).expect("small");
            let mut clock = Discipline::new();
            for second in 1..30 {
                ask(&mut clock, second * SECOND, 300_000, 300_000, before);
            }
            for second in 30..34 {
                ask(&mut clock, second * SECOND, 400_000, 400_000, after);
            }
            assert!(
                error(&clock, 34 * SECOND, after).abs() < 10_000,
                "{}",
                error(&clock, 34 * SECOND, after)
            );
        }
    }

    #[test]
    fn a_short_sleep_is_caught_up_with_and_a_long_one_is_jumped_over() {
        let leader = |boot| leader_at(boot, 500 * SECOND, 0);
        for (slept_ms, behind_ms, behind_later_ms) in [(50, 50, 4), (900, 900, 800), (5_000, 0, 0)] {
            let mut clock = Discipline::new();
            ask(&mut clock, SECOND, 1_000, 1_000, leader);
            clock.slept(Duration::from_secs(9), Duration::from_millis(slept_ms));
            let behind = |second| -(error(&clock, second * SECOND, leader) as f64 / 1e6).round() as i64;
            assert_eq!((behind(9), behind(11)), (behind_ms, behind_later_ms), "{slept_ms} ms");
        }
    }

    #[test]
    fn a_leader_keeps_the_time_it_followed() {
        let leader = |boot| leader_at(boot, 500 * SECOND, 0);
        let mut clock = Discipline::new();
        ask(&mut clock, SECOND, 1_000, 1_000, leader);
        clock.lead(Duration::from_secs(2), Duration::from_secs(1));
        assert!(error(&clock, 3 * SECOND, leader).abs() < 2_000);
        ask(&mut clock, 3 * SECOND, 0, 0, |boot| leader_at(boot, 900 * SECOND, 0));
        assert!(error(&clock, 9 * SECOND, leader).abs() < 2_000, "a leader takes no answers");
        clock.follow();
        assert_eq!(clock.uncertainty(Duration::from_secs(9)), None, "nobody has answered yet");
    }

    proptest! {
        /// Whatever the answers say, the clock never runs backwards and never faster than the fast slew.
        #[test]
        fn never_backwards(answers in proptest::collection::vec((0..2_000_000_000_u64, 0..300_000_000_u64, any::<u32>()), 1..60)) {
            let mut clock = Discipline::new();
            let mut boot = SECOND;
            let mut last: Option<(u64, Duration)> = None;
            for (wait, delay, grid) in answers {
                boot += wait;
                let at = Duration::from_nanos(boot);
                if let Some(line) = clock.line() {
                    let (then, earlier) = last.unwrap_or((boot, line.at(at)));
                    let now = line.at(at);
                    prop_assert!(now >= earlier);
                    let most = u128::from(boot - then) * 1_050 / 1_000 + 2;
                    prop_assert!((now - earlier).as_nanos() <= most);
                    last = Some((boot, now));
                }
                clock.sample(at, Duration::from_nanos(boot.saturating_sub(delay)), at, 60 * SECOND + u64::from(grid));
                if let Some(line) = clock.line() {
                    last.get_or_insert((boot, line.at(at)));
                }
            }
        }
    }
}
