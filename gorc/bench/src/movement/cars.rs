//! Recorded cars and balls, several matches at once, side by side or on top of each other.

use std::rc::Rc;

use super::recording::is_jump;
use super::{Match, Movement, Sample, Truth, wrapped};
use crate::chance::Chance;

/// Bodies with fewer samples only watched the match.
const FEWEST_SAMPLES: usize = 100;
/// Seconds of a match that are passed over: everybody waits for the start.
const OPENING_SECONDS: f64 = 20.0;

/// Which body of which recording an object replays, from when on and where.
#[derive(Debug, Clone)]
pub struct Part {
    /// Number of the pitch.
    pub pitch: usize,
    /// Body of the match; 0 is the ball.
    pub body: u32,
    samples: Rc<[Sample]>,
    length: f64,
    from: f64,
    offset: [f64; 2],
}

/// Recorded bodies at the steps of a world: on straight lines between recorded samples, with the velocity
/// of the last step. A jump of more than eight metres is a snap, and so is beginning the match again.
#[derive(Debug, Clone)]
pub struct Cars {
    step_seconds: f64,
    step: u64,
    parts: Vec<(Part, Progress)>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Times the whole match has been played.
    laps: f64,
    /// The next sample.
    next: usize,
    passed: u64,
    last: Option<[f64; 3]>,
}

impl Cars {
    /// `count` cars on one pitch, taken from all matches in turn, each from its own moment on, so that
    /// none begins again within `seconds` where the match is long enough.
    pub fn crowd(matches: &[Match], seed: u64, count: usize, seconds: f64, hz: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let mut cars: Vec<Part> = Vec::new();
        for recording in matches {
            cars.extend(parts(recording, 0, 0.0, [0.0; 2]).into_iter().filter(|part| part.body > 0));
        }
        let parts = (0..count).map(|number| {
            let mut part = cars[number % cars.len()].clone();
            let latest = (part.length - seconds).max(OPENING_SECONDS + 1.0);
            part.from = chance.between(OPENING_SECONDS, latest);
            part
        });
        Self::new(parts.collect(), hz)
    }

    /// `count` pitches on a grid, `spacing` metres from centre to centre, each with a match of its own
    /// or, where matches are too few, with a moment of its own.
    pub fn pitches(matches: &[Match], count: usize, spacing: [f64; 2], hz: u64) -> Self {
        let columns = (count as f64).sqrt().ceil() as usize;
        let parts = (0..count).flat_map(|pitch| {
            let recording = &matches[pitch % matches.len()];
            let share = (pitch / matches.len()) as f64 / count.div_ceil(matches.len()) as f64;
            let from = OPENING_SECONDS + share * recording.length;
            let offset = [(pitch % columns) as f64 * spacing[0], (pitch / columns) as f64 * spacing[1]];
            parts(recording, pitch, from, offset)
        });
        Self::new(parts.collect(), hz)
    }

    fn new(parts: Vec<Part>, hz: u64) -> Self {
        let parts = parts.into_iter().map(|part| (part, Progress::default())).collect();
        Self { step_seconds: 1.0 / hz as f64, step: 0, parts }
    }

    /// What each object replays.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|(part, _)| part)
    }
}

impl Movement for Cars {
    fn count(&self) -> usize {
        self.parts.len()
    }

    fn step(&mut self, now: &mut [Truth]) {
        let seconds = self.step as f64 * self.step_seconds;
        for ((part, progress), truth) in self.parts.iter_mut().zip(now) {
            *truth = progress.step(part, part.from + seconds, self.step_seconds);
        }
        self.step += 1;
    }

    fn recorded(&self, object: usize) -> u64 {
        self.parts[object].1.passed
    }
}

impl Progress {
    fn step(&mut self, part: &Part, seconds: f64, step_seconds: f64) -> Truth {
        let laps = (seconds / part.length).floor();
        let mut jumped = false;
        if laps > self.laps {
            (self.laps, self.next, jumped) = (laps, 0, true);
        }
        let at = seconds - laps * part.length;
        let is_first = self.last.is_none();
        while let Some(sample) = part.samples.get(self.next).filter(|sample| sample.at <= at) {
            jumped |= self.next > 0 && is_jump(&part.samples[self.next - 1], sample);
            self.next += 1;
            self.passed += u64::from(!is_first);
        }
        let Some(here) = self.next.checked_sub(1).map(|here| part.samples[here]) else {
            return Truth::default();
        };
        let mut place = here;
        if let Some(there) = part.samples.get(self.next).filter(|there| !is_jump(&here, there)) {
            // There is time between them: the next one is later than now, this one is not.
            let share = (at - here.at) / (there.at - here.at);
            place.metres = [0, 1, 2].map(|n| here.metres[n] + (there.metres[n] - here.metres[n]) * share);
            let turn = wrapped(f64::from(there.yaw) - f64::from(here.yaw));
            place.yaw = wrapped(f64::from(here.yaw) + turn * share) as f32;
        }
        let metres = [place.metres[0] + part.offset[0], place.metres[1] + part.offset[1], place.metres[2]];
        let velocity = match self.last {
            Some(last) if !jumped => [0, 1, 2].map(|n| ((metres[n] - last[n]) / step_seconds) as f32),
            _ => here.velocity,
        };
        self.last = Some(metres);
        Truth { metres, velocity, yaw: place.yaw, snap: jumped && !is_first, present: true }
    }
}

/// The bodies of a match that play, the ball first.
fn parts(recording: &Match, pitch: usize, from: f64, offset: [f64; 2]) -> Vec<Part> {
    let playing = recording.bodies.iter().filter(|(_, samples)| samples.len() >= FEWEST_SAMPLES);
    let part = |(&body, samples): (&u32, &Vec<Sample>)| Part {
        pitch,
        body,
        samples: samples.as_slice().into(),
        length: recording.length,
        from,
        offset,
    };
    playing.map(part).collect()
}
