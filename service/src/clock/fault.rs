//! A clock that is wrong on purpose: only with the feature `faults`, which no ordinary build has.
//!
//! `HORIZON_CLOCK` is a list of words with `;` between:
//!
//! | word | the process' own clock |
//! |---|---|
//! | `skew_ms=N` | is off by N ms from the start |
//! | `drift_ppm=N` | gains N microseconds a second |
//! | `jump_ms=N@S` | jumps N ms ahead, S seconds after the start, as a clock does that was given too much after a sleep |
//! | `lose_ms=N@S` | stands still for N ms, as a clock does of a guest that was paused without being told |
//! | `there_ms=N` | is as it is; questions about the grid take up to N ms longer on their way, from the fourth second on, and in turns of five seconds at least half of that |
//! | `back_ms=N` | the same for the answers |
//! | `wall` | is the wall clock, which anybody may set |
//! | `first_answer` | is compared with the grid once, and believed from then on |

use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is wrong, read once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Wrong {
    skew_ms: i64,
    drift_ppm: i64,
    jumps: Vec<Jump>,
    there_ms: u64,
    back_ms: u64,
    wall: bool,
    first_answer: bool,
}

/// Milliseconds that are gained at once, or lost one after the other where they are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    ms: i64,
    after_s: i64,
}

/// Every word that is no word is told to whoever wrote it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} in HORIZON_CLOCK is no fault of a clock; write such as skew_ms=-100;drift_ppm=500;jump_ms=50@5"
)]
struct WrongError(String);

impl FromStr for Wrong {
    type Err = WrongError;

    fn from_str(text: &str) -> Result<Self, WrongError> {
        let mut wrong = Self::default();
        for word in text.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            let refused = || WrongError(word.to_owned());
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<i64>().map_err(|_| refused());
            let jump = |sign: i64| {
                let (ms, after) = value.split_once('@').ok_or_else(refused)?;
                let (ms, after_s) = (ms.parse::<u32>(), after.parse::<u32>());
                let (Ok(ms), Ok(after_s)) = (ms, after_s) else { return Err(refused()) };
                Ok(Jump { ms: sign * i64::from(ms), after_s: i64::from(after_s) })
            };
            match key {
                "skew_ms" => wrong.skew_ms = number()?,
                "drift_ppm" => wrong.drift_ppm = number()?,
                "jump_ms" => wrong.jumps.push(jump(1)?),
                "lose_ms" => wrong.jumps.push(jump(-1)?),
                "there_ms" => wrong.there_ms = number()?.unsigned_abs(),
                "back_ms" => wrong.back_ms = number()?.unsigned_abs(),
                "wall" => wrong.wall = true,
                "first_answer" => wrong.first_answer = true,
                _ => return Err(refused()),
            }
        }
        Ok(wrong)
    }
}

impl Wrong {
    /// What the clock shows when it should show `right` and began at `begun`, both nanoseconds.
    fn shows(&self, right: i64, begun: i64) -> i64 {
        let since = (right - begun).max(0);
        let drift = since / 1_000_000 * self.drift_ppm;
        let jumps: i64 = self
            .jumps
            .iter()
            .map(|jump| {
                let elapsed = since - jump.after_s * 1_000_000_000;
                match jump.ms * 1_000_000 {
                    _ if elapsed < 0 => 0,
                    gained if gained >= 0 => gained,
                    lost => lost.max(-elapsed),
                }
            })
            .sum();
        right + self.skew_ms * 1_000_000 + drift + jumps
    }

    /// How much longer a message takes that is sent `at` nanoseconds after the start, where `most` ms are
    /// possible.
    fn late(at: i64, most: u64) -> i64 {
        let Some(at) = u64::try_from(at).ok().and_then(|at| at.checked_sub(3_000_000_000)) else { return 0 };
        let most = most * 1_000_000;
        let least = if (at / 5_000_000_000).is_multiple_of(2) { most / 2 } else { 0 };
        let drawn = (at / 1_000_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let more = (u128::from(most - least) * u128::from(drawn)) >> 24;
        i64::try_from(u128::from(least) + more).unwrap_or_default()
    }
}

fn wrong() -> &'static Wrong {
    static WRONG: OnceLock<Wrong> = OnceLock::new();
    WRONG.get_or_init(|| {
        let words = std::env::var("HORIZON_CLOCK").unwrap_or_default();
        words.parse().unwrap_or_else(|error| panic!("{error}"))
    })
}

/// What boot time and the wall clock were when this was first asked.
fn begun(right: i64) -> (i64, i64) {
    static BEGUN: OnceLock<(i64, i64)> = OnceLock::new();
    *BEGUN.get_or_init(|| (right, wall()))
}

/// What the clock of this process shows at `right`.
pub(super) fn own(right: Duration) -> Duration {
    let right = nanos(right);
    let (begun, wall_begun) = begun(right);
    let right = if wrong().wall { begun + wall() - wall_begun } else { right };
    Duration::from_nanos(u64::try_from(wrong().shows(right, begun)).unwrap_or_default())
}

/// When a question about the grid seems to have been asked and answered.
pub(super) fn asked_and_heard(asked: Duration, heard: Duration) -> (Duration, Duration) {
    let (at, wrong) = (nanos(asked) - begun(nanos(asked)).0, wrong());
    let (there, back) = (Wrong::late(at, wrong.there_ms), Wrong::late(at, wrong.back_ms));
    let by = |ns: i64| Duration::from_nanos(ns.unsigned_abs());
    (asked.saturating_sub(by(there)), heard + by(back))
}

/// Whether nothing is believed after the first answer.
pub(super) fn believes_the_first_answer() -> bool {
    wrong().first_answer
}

fn wall() -> i64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const S: i64 = 1000 * MS;

    #[test]
    fn clocks_are_wrong_as_they_were_told() {
        let rows: [(&str, &[(i64, i64)]); 5] = [
            ("", &[(0, 0), (9 * S, 9 * S)]),
            ("skew_ms=-100", &[(0, -100 * MS), (S, 900 * MS)]),
            ("drift_ppm=500", &[(0, 0), (10 * S, 10 * S + 5 * MS)]),
            ("jump_ms=50@2", &[(2 * S - 1, 2 * S - 1), (2 * S, 2 * S + 50 * MS)]),
            (
                "lose_ms=50@2; drift_ppm=0",
                &[(2 * S, 2 * S), (2 * S + 20 * MS, 2 * S), (3 * S, 3 * S - 50 * MS)],
            ),
        ];
        for (words, shown) in rows {
            let wrong: Wrong = words.parse().expect("words of the table");
            for (since, expected) in shown {
                assert_eq!(wrong.shows(100 * S + since, 100 * S), 100 * S + expected, "{words} at {since}");
            }
        }
        assert_eq!("skew=3".parse::<Wrong>(), Err(WrongError("skew=3".to_owned())));
        assert!("jump_ms=3".parse::<Wrong>().is_err());
    }

    #[test]
    fn messages_are_late_by_what_was_said_and_by_half_of_it_in_turns() {
        let late = |second: i64| (0..290).map(move |n| Wrong::late(second * S + n * 17 * MS, 100));
        assert!((0..40).flat_map(late).all(|late| (0..=100 * MS).contains(&late)));
        assert!(late(3).all(|late| late >= 50 * MS));
        assert!(late(8).any(|late| late < 10 * MS) && late(8).any(|late| late > 90 * MS));
        assert_eq!([Wrong::late(2 * S, 100), Wrong::late(5 * S, 0)], [0, 0]);
    }
}
