//! Ticks that are missed or doubled, for each pair of an observer and a runner, at crossings and elsewhere.
//!
//! A runner says for each tick where it is, and says it early enough to wait for the step of that tick. So
//! where a picture belongs is known exactly, and how many ticks it is behind or ahead of that.
//!
//! | fault | meaning |
//! |---|---|
//! | stall | a picture has fallen a tick further behind, or the observer had no frame for a step |
//! | double step | a picture has moved a tick too far, or a frame came for a tick that had been shown |
//!
//! What is nearer to a crossing than [`NEAR_TICKS`], of the observer or of the runner, counts as at a
//! crossing. Everything else is the control: it says what the machine does to players who cross nothing.

use std::collections::BTreeMap;

use horizon_model::{EntityId, Epoch, TICKS_PER_SECOND, Tick};
use serde::Serialize;
use tracing::debug;

use crate::runner::Run;

/// Ticks after a crossing within which something happens at it. Half as many before it: pictures show the past.
const NEAR_TICKS: u64 = TICKS_PER_SECOND;
/// A picture has changed its place among the ticks when it is so far from the old one: halfway, and half
/// of what a picture of the nearest channel may be off.
const BEYOND_TICKS: f64 = 0.75;
/// After a runner came into sight, or nearer, its curve has so long to be right.
const SETTLING_TICKS: u64 = TICKS_PER_SECOND / 2;
/// Frames of one epoch from which the steps of its region are known.
const FEW_FRAMES: usize = 8;
/// Faults of one client that are kept; what goes beyond is as bad.
const MAX_FAULTS: usize = 10_000;

/// One object as one client draws it on the nearest channel.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// Whom.
    pub entity: EntityId,
    /// The source tick that is drawn.
    pub tick: Tick,
    /// Where.
    pub metres: [f64; 3],
}

/// Something that should not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault {
    /// The runner; `None` for a frame.
    of: Option<EntityId>,
    /// The newest frame's.
    at: Tick,
    /// Ticks missed, or doubled where negative.
    ticks: i64,
}

/// What one client saw.
#[derive(Debug, Clone, Default)]
pub struct Account {
    own: Option<EntityId>,
    crossings: Vec<Tick>,
    faults: Vec<Fault>,
    judged: u64,
    frames: u64,
}

/// What all clients saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Steps {
    /// Pictures of runners that were judged.
    pub pictures: u64,
    /// Frames that were judged.
    pub frames: u64,
    /// Ticks missed at crossings.
    pub stalls: u64,
    /// Ticks doubled at crossings.
    pub double_steps: u64,
    /// Ticks missed elsewhere.
    pub control_stalls: u64,
    /// Ticks doubled elsewhere.
    pub control_double_steps: u64,
}

/// Watches one client's frames.
#[derive(Debug, Default)]
pub struct StepMeter {
    account: Account,
    seen: BTreeMap<EntityId, Seen>,
    epoch: Option<Epoch>,
    /// Ticks of the frames of this epoch.
    ticks: Vec<Tick>,
    /// The last frame of the epoch before, and the steps of its region.
    before: Option<(Tick, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    since: Tick,
    last: Tick,
    /// Ticks behind, as counted so far.
    behind: i64,
}

impl StepMeter {
    /// For the client whose avatar is `own`.
    pub fn new(own: EntityId) -> Self {
        Self { account: Account { own: Some(own), ..Account::default() }, ..Self::default() }
    }

    /// One frame, and what is drawn as of it. `runs` are the ways of all runners.
    pub fn frame(
        &mut self,
        epoch: Epoch,
        tick: Tick,
        pictures: impl Iterator<Item = Picture>,
        runs: &BTreeMap<EntityId, Run>,
    ) {
        if self.epoch.is_some_and(|before| epoch > before) {
            self.account.crossings.push(tick);
            self.judge_frames();
        }
        self.epoch = Some(epoch);
        self.ticks.push(tick);
        for Picture { entity, tick: drawn, metres } in pictures {
            let Some(run) = runs.get(&entity) else { continue };
            let seen = self.seen.entry(entity).or_insert(Seen { since: tick, last: tick, behind: 0 });
            if tick.saturating_since(seen.last) > SETTLING_TICKS {
                *seen = Seen { since: tick, last: tick, behind: 0 };
            }
            seen.last = tick;
            let settled = drawn > seen.since + SETTLING_TICKS;
            let Some(behind) = run.behind(drawn, metres).filter(|_| settled) else { continue };
            self.account.judged += 1;
            if (behind - seen.behind as f64).abs() >= BEYOND_TICKS {
                let ticks = behind.round() as i64 - seen.behind;
                seen.behind += ticks;
                push(&mut self.account.faults, Fault { of: Some(entity), at: tick, ticks });
            }
        }
    }

    /// The connection broke or a crash was announced: what follows is judged anew.
    pub fn restart(&mut self) {
        self.judge_frames();
        (self.epoch, self.before) = (None, None);
        self.seen.clear();
    }

    /// The session is over.
    pub fn end(mut self) -> Account {
        self.judge_frames();
        self.account
    }

    /// The frames of one epoch are all there: the shortest time between two of them is the region's step.
    fn judge_frames(&mut self) {
        let ticks = std::mem::take(&mut self.ticks);
        self.account.frames += ticks.len() as u64;
        let between =
            || ticks.windows(2).map(|pair| (pair[1], pair[1].0.abs_diff(pair[0].0), pair[1] <= pair[0]));
        let shortest = between().filter(|(.., repeats)| !repeats).map(|(_, apart, _)| apart).min();
        let known = shortest.filter(|_| ticks.len() >= FEW_FRAMES);
        let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else { return };
        let Some(step) = known.or(self.before.map(|(_, step)| step)) else { return };
        if let Some((before, step_before)) = self.before {
            let (apart, due) = (first.0.abs_diff(before.0), step.max(step_before));
            self.frames_apart(*first, apart, due, *first <= before);
        }
        for (at, apart, repeats) in between() {
            self.frames_apart(at, apart, step, repeats);
        }
        self.before = Some((*last, step));
    }

    fn frames_apart(&mut self, at: Tick, apart: u64, due: u64, repeats: bool) {
        let ticks = if repeats { -(apart as i64 + due as i64) } else { apart.saturating_sub(due) as i64 };
        if ticks != 0 {
            push(&mut self.account.faults, Fault { of: None, at, ticks });
        }
    }
}

fn push(faults: &mut Vec<Fault>, fault: Fault) {
    debug!(?fault, "a tick is missed, or doubled where it is negative");
    if faults.len() < MAX_FAULTS {
        faults.push(fault);
    }
}

/// Puts together what all clients saw: a runner's crossings are told by its own client.
pub fn sum_up(accounts: &[Account]) -> Steps {
    let crossings: BTreeMap<EntityId, &[Tick]> =
        accounts.iter().filter_map(|account| Some((account.own?, &account.crossings[..]))).collect();
    let is_near = |crossings: &[Tick], at: Tick| {
        crossings.iter().any(|crossing| at <= *crossing + NEAR_TICKS && *crossing <= at + NEAR_TICKS / 2)
    };
    let mut steps = Steps::default();
    for account in accounts {
        steps.pictures += account.judged;
        steps.frames += account.frames;
        for fault in &account.faults {
            let theirs = fault.of.and_then(|entity| crossings.get(&entity)).copied().unwrap_or_default();
            let at_crossing = is_near(&account.crossings, fault.at) || is_near(theirs, fault.at);
            let count = match (fault.ticks > 0, at_crossing) {
                (true, true) => &mut steps.stalls,
                (true, false) => &mut steps.control_stalls,
                (false, true) => &mut steps.double_steps,
                (false, false) => &mut steps.control_double_steps,
            };
            *count += fault.ticks.unsigned_abs();
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: EntityId = match EntityId::from_bits(7) {
        Some(id) => id,
        None => panic!("not zero"),
    };
    const RUNNER: EntityId = match EntityId::from_bits(8) {
        Some(id) => id,
        None => panic!("not zero"),
    };

    /// Frames from tick 600 on, `step` ticks apart, and how many ticks behind the runner is drawn in each.
    /// The observer crosses a border at tick 750, the runner at tick 850.
    fn watch(step: impl Fn(u64) -> u64, behind: impl Fn(u64) -> u64) -> Steps {
        let run = Run::new(0, [0.0, 0.0]).beginning(Tick(600));
        let runs = BTreeMap::from([(RUNNER, run)]);
        let mut meter = StepMeter::new(OWN);
        let mut tick = 600;
        while tick < 950 {
            let drawn = Tick(tick - 6);
            let metres = run.pose(Tick(drawn.0 - behind(tick))).position.metres();
            let picture = Picture { entity: RUNNER, tick: drawn, metres };
            meter.frame(Epoch::new(1, 1 + tick / 750), Tick(tick), std::iter::once(picture), &runs);
            tick += step(tick);
        }
        let runner = Account { own: Some(RUNNER), crossings: vec![Tick(850)], ..Account::default() };
        sum_up(&[meter.end(), runner])
    }

    fn found(steps: Steps) -> [u64; 4] {
        [steps.stalls, steps.double_steps, steps.control_stalls, steps.control_double_steps]
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        let steps = watch(|_| 2, |_| 0);
        assert_eq!(found(steps), [0; 4]);
        assert!(steps.pictures > 80 && steps.frames == 175, "{steps:?}");
        // A region of 60 Hz beyond the border.
        assert_eq!(found(watch(|tick| if tick < 750 { 2 } else { 1 }, |_| 0)), [0; 4]);
        assert_eq!(found(watch(|tick| if tick < 750 { 1 } else { 2 }, |_| 0)), [0; 4]);
    }

    #[test]
    fn a_tick_that_a_picture_misses_is_a_stall_and_a_double_step_where_it_is_made_up_for() {
        let behind = |from: u64, to: u64| move |tick| u64::from((from..to).contains(&tick)) * 2;
        assert_eq!(found(watch(|_| 2, behind(860, 864))), [2, 2, 0, 0], "the runner crosses");
        assert_eq!(found(watch(|_| 2, behind(756, 999))), [2, 0, 0, 0], "the observer crosses");
        assert_eq!(found(watch(|_| 2, behind(700, 704))), [0, 0, 2, 2], "nobody does");
    }

    #[test]
    fn a_frame_that_does_not_come_is_a_stall() {
        let steps = watch(|tick| if tick == 748 { 4 } else { 2 }, |_| 0);
        assert_eq!(found(steps), [2, 0, 0, 0]);
        let steps = watch(|tick| if tick == 660 { 6 } else { 2 }, |_| 0);
        assert_eq!(found(steps), [0, 0, 4, 0]);
    }
}
