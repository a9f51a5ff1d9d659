//! What a fault costs one player: the time until play is back, and how far the body went back.
//!
//! ```text
//!   shown ──────────▶ fault ─────────────── silence ──────────────▶ first frame of a newer epoch
//!                       └── inputs sent from here on ──────────────────────▶ one of them applied
//!                       ◀───────────────────── back_s ─────────────────────▶ (the later of both)
//! ```
//!
//! Where an edge is lost the owner stays, and epochs with it: there the first frame after a resume stands in
//! place of the first of a newer epoch, and only who lost a connection was touched.
//!
//! A rollback is measured along what the client itself has sent since two seconds before the fault: what was
//! shown last before, and what is shown first afterwards, are looked up on the path of sent poses, and the
//! way from the later place to the earlier one counts. What is shown beside the path counts by its distance
//! to it. Where the path crosses itself, the place on it nearest to the one before counts.

use std::collections::VecDeque;
use std::time::Duration;

use horizon_model::Epoch;
use serde::Serialize;
use tokio::time::Instant;

/// Poses kept of what was sent: a minute of a walker's twenty a second.
const KEPT_POSES: usize = 1_200;
/// How long before the fault the path begins: longer than poses take to be shown.
const PATH_BEFORE: Duration = Duration::from_secs(2);
/// A place on the path this much further off, in metres, is as good: poses are quantised.
const AS_NEAR_METRES: f64 = 0.1;
/// Who hears the same owner this long after a fault was not touched by it: more than frames take on their way.
const STILL_HEARD: Duration = Duration::from_millis(500);

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The owner of the players of a region.
    Region,
    /// The connections of an edge.
    Edge,
}

/// A fault that somebody caused, as bots are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// 1, 2, 3 …
    pub number: u32,
    /// When it was caused.
    pub at: Instant,
    /// What was lost.
    pub of: Of,
}

impl Fault {
    /// As it is told on a line: nanoseconds of the monotonic clock, of which it is `now_ns` now, and `edge`
    /// behind them where one of those is lost.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn read(number: u32, line: &str, now_ns: u64) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let at_ns = words.next().unwrap_or_default().parse().map_err(|_| "no time".to_owned())?;
        let of = match words.next() {
            None | Some("region") => Of::Region,
            Some("edge") => Of::Edge,
            Some(other) => return Err(format!("{other:?} is lost by no fault")),
        };
        Ok(Self { number, at: instant_of(at_ns, now_ns), of })
    }
}

/// What one fault cost one player.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hiccup {
    /// Which fault.
    pub fault: u32,
    /// From the fault until play was back, in seconds; `None` where it is not.
    pub back_s: Option<f64>,
    /// How far the shown body went back, in metres.
    pub rollback_m: Option<f64>,
    /// From the fault until the first frame of a newer epoch, in seconds.
    pub frame_s: Option<f64>,
}

/// Follows one player through faults.
#[derive(Debug, Default)]
pub struct HiccupMeter {
    sent: VecDeque<(Instant, [f64; 2])>,
    /// The own body as shown last.
    shown: Option<[f64; 2]>,
    epoch: Epoch,
    last_frame: Option<Instant>,
    /// When a connection was lost last, and when the session went on over a new one.
    disconnected: Option<Instant>,
    resumed: Option<Instant>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    fault: Fault,
    /// The epoch before.
    epoch: Epoch,
    /// First input sent after the fault.
    seq: Option<u32>,
    /// As shown before any frame of afterwards.
    before: Option<[f64; 2]>,
    /// When the first frame of afterwards came: of a newer epoch, or after a resume.
    renewed: Option<Instant>,
    rollback_m: Option<f64>,
}

impl HiccupMeter {
    /// A pose was sent at `now`, metres.
    pub fn moved(&mut self, now: Instant, to: [f64; 3]) {
        if self.sent.len() == KEPT_POSES {
            self.sent.pop_front();
        }
        self.sent.push_back((now, [to[0], to[1]]));
    }

    /// The body jumps: what was sent before is no path to what follows.
    pub fn jumped(&mut self) {
        self.sent.clear();
        self.shown = None;
    }

    /// A fault was caused. One that is still open is given back, unfinished.
    pub fn begin(&mut self, fault: Fault) -> Option<Hiccup> {
        let unfinished = self.end_before(Some(fault.at));
        let (epoch, before) = (self.epoch, self.shown);
        self.open = Some(Open { fault, epoch, seq: None, before, renewed: None, rollback_m: None });
        unfinished
    }

    /// A reliable input was numbered.
    pub fn sent(&mut self, seq: u32) {
        if let Some(open) = &mut self.open {
            open.seq.get_or_insert(seq);
        }
    }

    /// The connection was lost at `now`.
    pub fn disconnected(&mut self, now: Instant) {
        self.disconnected = Some(now);
    }

    /// The session goes on over a new connection since `now`.
    pub fn resumed(&mut self, now: Instant) {
        self.resumed = Some(now);
    }

    /// A frame of `epoch` that came at `now` shows the own body at `own`, metres.
    pub fn frame(&mut self, now: Instant, epoch: Epoch, own: Option<[f64; 3]>) {
        self.last_frame = Some(now);
        let own = own.map(|at| [at[0], at[1]]);
        self.epoch = self.epoch.max(epoch);
        if let Some(open) = &mut self.open {
            let renewed = match open.fault.of {
                Of::Region => epoch > open.epoch,
                Of::Edge => self.resumed.is_some_and(|at| at > open.fault.at),
            };
            if renewed {
                open.renewed.get_or_insert(now);
                if let (None, Some(before), Some(after)) = (open.rollback_m, open.before, own) {
                    let since = open.fault.at - PATH_BEFORE;
                    let path: Vec<_> =
                        self.sent.iter().filter(|(at, _)| *at >= since).map(|(_, to)| *to).collect();
                    open.rollback_m = Some(rollback(&path, before, after));
                }
            } else {
                open.before = own.or(open.before);
            }
        }
        self.shown = own.or(self.shown);
    }

    /// Inputs up to `applied` are applied as of `now`. Returns the hiccup once it is over.
    pub fn applied(&mut self, now: Instant, applied: u32) -> Option<Hiccup> {
        let open = self.open.as_ref()?;
        if open.renewed.is_none() || open.rollback_m.is_none() || open.seq.is_none_or(|seq| applied < seq) {
            return None;
        }
        let open = self.open.take()?;
        Some(Hiccup { back_s: Some((now - open.fault.at).as_secs_f64()), ..open.so_far() })
    }

    /// No more is to be seen: what is still open did not come back. Who went on hearing the same owner was
    /// not touched by the fault.
    pub fn end(&mut self) -> Option<Hiccup> {
        self.end_before(None)
    }

    /// The same where the next fault was at `next`: a connection that was lost later was lost by that one, of
    /// which the player may hear after it has felt it.
    fn end_before(&mut self, next: Option<Instant>) -> Option<Hiccup> {
        let open = self.open.take()?;
        let since = |at: Option<Instant>, then| at.is_some_and(|at| at > then);
        let lost = self.disconnected.filter(|at| next.is_none_or(|next| *at < next));
        let touched = match open.fault.of {
            Of::Region => open.renewed.is_some() || !since(self.last_frame, open.fault.at + STILL_HEARD),
            Of::Edge => since(lost, open.fault.at),
        };
        touched.then(|| open.so_far())
    }
}

impl Open {
    fn so_far(&self) -> Hiccup {
        let frame_s = self.renewed.map(|at| (at - self.fault.at).as_secs_f64());
        Hiccup { fault: self.fault.number, back_s: None, rollback_m: self.rollback_m, frame_s }
    }
}

/// Metres from `before` back to `after` along `path`, and from `after` to the path.
fn rollback(path: &[[f64; 2]], before: [f64; 2], after: [f64; 2]) -> f64 {
    let Some((before_m, _)) = locate(path, before, f64::INFINITY) else { return distance(before, after) };
    let Some((after_m, beside)) = locate(path, after, before_m) else { return distance(before, after) };
    (before_m - after_m).max(0.0) + beside
}

/// The place on `path` nearest to `at`: metres along it, and metres beside it. Of those that are as near, the
/// one closest to `around` metres along.
fn locate(path: &[[f64; 2]], at: [f64; 2], around: f64) -> Option<(f64, f64)> {
    let mut along = 0.0;
    let places: Vec<(f64, f64)> = path
        .windows(2)
        .map(|pair| {
            let (from, to) = (pair[0], pair[1]);
            let length = distance(from, to);
            let way = [to[0] - from[0], to[1] - from[1]];
            let ahead = (at[0] - from[0]) * way[0] + (at[1] - from[1]) * way[1];
            let share = if length > 0.0 { (ahead / (length * length)).clamp(0.0, 1.0) } else { 0.0 };
            let beside = distance(at, [from[0] + share * way[0], from[1] + share * way[1]]);
            let place = (along + share * length, beside);
            along += length;
            place
        })
        .collect();
    let nearest = places.iter().map(|(_, beside)| *beside).min_by(f64::total_cmp)?;
    let beside = |n: usize| places.get(n).map_or(f64::INFINITY, |(_, beside)| *beside);
    let as_near = places.iter().enumerate().filter(|(n, (_, there))| {
        let turns_away =
            *there <= beside(n + 1) && n.checked_sub(1).is_none_or(|before| *there <= beside(before));
        turns_away && *there <= nearest + AS_NEAR_METRES
    });
    // Before the fault the latest is meant.
    let away = |along: f64| if around.is_finite() { (along - around).abs() } else { -along };
    as_near.map(|(_, place)| *place).min_by(|(a, _), (b, _)| away(*a).total_cmp(&away(*b)))
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// All players' hiccups of one fault, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HiccupSummary {
    /// Players who were touched.
    pub players: usize,
    /// Of them, those for whom play is not back.
    pub not_back: usize,
    /// Median of the seconds until play was back.
    pub back_s_p50: Option<f64>,
    /// 99th percentile of them.
    pub back_s_p99: Option<f64>,
    /// The longest.
    pub back_s_max: Option<f64>,
    /// Median of the seconds until the first frame of the new owner.
    pub frame_s_p50: Option<f64>,
    /// 99th percentile of them.
    pub frame_s_p99: Option<f64>,
    /// 99th percentile of the metres that the shown body went back.
    pub rollback_m_p99: Option<f64>,
    /// The largest.
    pub rollback_m_max: Option<f64>,
}

/// The sum of `hiccups`.
pub fn summarise<'a>(hiccups: impl Iterator<Item = &'a Hiccup> + Clone) -> HiccupSummary {
    let mut back: Vec<f64> = hiccups.clone().filter_map(|hiccup| hiccup.back_s).collect();
    let mut frames: Vec<f64> = hiccups.clone().filter_map(|hiccup| hiccup.frame_s).collect();
    frames.sort_by(f64::total_cmp);
    let mut rolled: Vec<f64> = hiccups.clone().filter_map(|hiccup| hiccup.rollback_m).collect();
    back.sort_by(f64::total_cmp);
    rolled.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], share: f64| {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
    };
    let players = hiccups.count();
    HiccupSummary {
        players,
        not_back: players - back.len(),
        back_s_p50: at(&back, 0.5),
        back_s_p99: at(&back, 0.99),
        back_s_max: at(&back, 1.0),
        frame_s_p50: at(&frames, 0.5),
        frame_s_p99: at(&frames, 0.99),
        rollback_m_p99: at(&rolled, 0.99),
        rollback_m_max: at(&rolled, 1.0),
    }
}

/// The instant of a reading of the machine's monotonic clock in nanoseconds, given one that is made now.
fn instant_of(reading_ns: u64, now_ns: u64) -> Instant {
    Instant::now() - Duration::from_nanos(now_ns.saturating_sub(reading_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked() -> HiccupMeter {
        let mut meter = HiccupMeter::default();
        for step in 0..=100 {
            meter.moved(Instant::now(), [f64::from(step) * 0.5, 0.0, 0.0]);
        }
        meter
    }

    fn of_region(number: u32, at: Instant) -> Fault {
        Fault { number, at, of: Of::Region }
    }

    #[test]
    fn after_an_edge_play_is_back_over_a_new_connection() {
        let start = Instant::now();
        let s = |seconds| start + Duration::from_secs_f64(seconds);
        let fault = Fault { number: 3, at: start, of: Of::Edge };
        let mut meter = walked();
        meter.frame(start, Epoch(4), Some([40.0, 0.0, 0.0]));
        meter.begin(fault);
        meter.sent(8);
        meter.frame(s(0.01), Epoch(5), Some([40.5, 0.0, 0.0]));
        assert_eq!(meter.applied(s(0.02), 8), None, "a crossing is no resume");
        assert_eq!(meter.end(), None, "of another edge");
        meter.begin(fault);
        meter.sent(9);
        meter.disconnected(s(0.1));
        meter.resumed(s(0.3));
        meter.frame(s(0.4), Epoch(5), Some([40.5, 0.0, 0.0]));
        let hiccup = meter.applied(s(0.5), 9).expect("back");
        assert_eq!((hiccup.back_s, hiccup.frame_s.map(|s| (s * 10.0).round())), (Some(0.5), Some(4.0)));
        meter.begin(Fault { at: s(1.0), ..fault });
        meter.frame(s(1.1), Epoch(5), None);
        meter.disconnected(s(1.2));
        assert_eq!(meter.end().map(|lost| lost.back_s), Some(None), "not back");
        meter.begin(Fault { at: s(2.0), ..fault });
        meter.disconnected(s(3.01));
        assert_eq!(meter.begin(Fault { at: s(3.0), ..fault }), None, "felt before it was told");
        assert_eq!(meter.end().map(|lost| lost.back_s), Some(None), "of the second fault");
    }

    #[test]
    fn faults_are_read_from_lines() {
        let read = |line| Fault::read(1, line, 5_000).map(|fault| fault.of);
        assert_eq!((read("4000"), read("4000 edge\n")), (Ok(Of::Region), Ok(Of::Edge)));
        assert!(read("soon").is_err() && read("4000 sun").is_err());
    }

    #[test]
    fn play_is_back_with_a_new_epoch_and_an_input_of_afterwards() {
        let mut meter = walked();
        let start = Instant::now();
        let s = |seconds| start + Duration::from_secs_f64(seconds);
        meter.frame(start, Epoch(4), Some([40.0, 0.0, 0.0]));
        meter.sent(7);
        assert_eq!(meter.begin(of_region(1, start)), None);
        meter.frame(start, Epoch(4), Some([41.0, 0.0, 0.0]));
        meter.sent(8);
        assert_eq!(meter.applied(s(0.1), 8), None, "the old epoch says nothing");
        meter.frame(start, Epoch(5), Some([38.5, 0.0, 0.0]));
        assert_eq!(meter.applied(s(1.0), 7), None, "that one was sent before");
        meter.frame(start, Epoch(5), Some([45.0, 0.0, 0.0]));
        let hiccup = meter.applied(s(1.5), 8).expect("back");
        assert_eq!((hiccup.fault, hiccup.back_s, hiccup.rollback_m), (1, Some(1.5), Some(2.5)));
        assert_eq!(meter.applied(s(2.0), 9), None, "once");
        assert_eq!(meter.end(), None);
    }

    #[test]
    fn forwards_is_no_rollback_and_beside_the_path_is_one() {
        let path: Vec<[f64; 2]> = walked().sent.into_iter().map(|(_, to)| to).collect();
        assert!(rollback(&path, [10.0, 0.0], [12.0, 0.0]).abs() < 1e-9);
        assert!((rollback(&path, [10.0, 0.0], [12.0, 3.0]) - 3.0).abs() < 1e-9);
        assert!((rollback(&path, [10.2, 0.0], [7.7, 0.0]) - 2.5).abs() < 1e-9);
        assert!((rollback(&[], [1.0, 0.0], [0.0, 0.0]) - 1.0).abs() < 1e-9, "no path");
        // Once around a square of 10 m, through the start again.
        let around = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [0.0, -10.0]];
        assert!((rollback(&around, [0.0, -1.0], [0.0, 0.0]) - 1.0).abs() < 1e-9, "not the whole way around");
    }

    #[test]
    fn who_does_not_come_back_is_told() {
        let mut meter = walked();
        let start = Instant::now();
        meter.frame(start, Epoch(4), Some([40.0, 0.0, 0.0]));
        meter.begin(of_region(1, start));
        let lost = meter.begin(of_region(2, start)).expect("unfinished");
        meter.frame(start + 2 * STILL_HEARD, Epoch(4), Some([40.0, 0.0, 0.0]));
        assert_eq!(meter.end(), None, "another region's fault");
        assert_eq!((lost.fault, lost.back_s), (1, None));
        let back = Hiccup { fault: 2, back_s: Some(1.0), rollback_m: Some(0.5), frame_s: None };
        let all = summarise([lost, back].iter());
        assert_eq!(
            (all.players, all.not_back, all.back_s_max, all.rollback_m_p99),
            (2, 1, Some(1.0), Some(0.5))
        );
        assert_eq!(summarise([].iter()).back_s_p50, None);
    }
}
