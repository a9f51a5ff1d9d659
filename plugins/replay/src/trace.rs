//! One body's path out of a recording.

/// Two places further apart than this are a jump, in metres: nothing moves so far in the tenth of a
/// second between two samples, let alone in a tick.
pub(crate) const JUMP_METRES: f64 = 8.0;

/// Where the body was at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the recording began.
    pub t_ms: f64,
    /// Metres from the centre of the pitch.
    pub position: [f64; 3],
    /// Metres per second.
    pub velocity: [f32; 3],
    /// Heading in radians.
    pub yaw: f32,
}

/// A path in order of time; never empty, and longer than zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace(Vec<Sample>);

/// Why a recording cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Not there or not readable.
    #[error("cannot be read: {0}; put the file there or correct the path")]
    Read(String),
    /// Still packed.
    #[error("is compressed; unpack it with gunzip and name the .csv file")]
    Compressed,
    /// A line is not what it should be.
    #[error("line {0} is not t_ms,id,x,y,z,yaw,vx,vy,vz in order of time; choose another file")]
    Line(usize),
    /// Nothing to replay.
    #[error("holds no path of the ball, which has id 0; choose another file")]
    Empty,
}

impl Trace {
    /// Reads the ball's path from a file.
    ///
    /// # Errors
    ///
    /// [`TraceError`], which says who must do what.
    pub fn read(path: &str) -> Result<Self, TraceError> {
        let bytes = std::fs::read(path).map_err(|error| TraceError::Read(error.to_string()))?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(TraceError::Compressed);
        }
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Reads the ball's path from text.
    ///
    /// # Errors
    ///
    /// [`TraceError::Line`] or [`TraceError::Empty`].
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut samples: Vec<Sample> = Vec::new();
        for (index, line) in text.lines().enumerate().skip(1) {
            let error = || TraceError::Line(index + 1);
            let mut columns = [0.0_f64; 9];
            let mut words = line.split(',');
            for column in &mut columns {
                let word = words.next().ok_or_else(error)?;
                *column = word.trim().parse().map_err(|_| error())?;
            }
            let [t_ms, id, x, y, z, yaw, vx, vy, vz] = columns;
            if columns.iter().any(|value| !value.is_finite()) {
                return Err(error());
            }
            if id != 0.0 {
                continue;
            }
            let (velocity, yaw) = ([vx as f32, vy as f32, vz as f32], yaw as f32);
            let sample = Sample { t_ms, position: [x, y, z], velocity, yaw };
            match samples.last_mut() {
                Some(last) if last.t_ms > t_ms => return Err(error()),
                // Two samples of one moment: the later one is what the game settled on.
                Some(last) if last.t_ms == t_ms => *last = sample,
                _ => samples.push(sample),
            }
        }
        if samples.len() < 2 {
            return Err(TraceError::Empty);
        }
        let start = samples[0].t_ms;
        for sample in &mut samples {
            sample.t_ms -= start;
        }
        Ok(Self(samples))
    }

    /// Where the path begins.
    pub fn first(&self) -> &Sample {
        &self.0[0]
    }

    /// From the first sample to the last, in milliseconds; above zero.
    pub fn length_ms(&self) -> f64 {
        self.0[self.0.len() - 1].t_ms
    }

    /// Where the body is at a moment: between two samples in a straight line, and at the earlier one
    /// while a jump is due.
    pub fn at(&self, t_ms: f64) -> Sample {
        let index = self.index(t_ms);
        let (from, to) = (&self.0[index], &self.0[(index + 1).min(self.0.len() - 1)]);
        if from.t_ms >= to.t_ms || t_ms <= from.t_ms || is_jump(from, to) {
            return *from;
        }
        let share = ((t_ms - from.t_ms) / (to.t_ms - from.t_ms)).min(1.0);
        let mix = |a: f64, b: f64| a + (b - a) * share;
        let turn = (to.yaw - from.yaw + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU)
            - std::f32::consts::PI;
        Sample {
            t_ms,
            position: std::array::from_fn(|axis| mix(from.position[axis], to.position[axis])),
            velocity: std::array::from_fn(|axis| {
                mix(f64::from(from.velocity[axis]), f64::from(to.velocity[axis])) as f32
            }),
            yaw: from.yaw + turn * share as f32,
        }
    }

    /// The last sample at or before a moment.
    fn index(&self, t_ms: f64) -> usize {
        self.0.partition_point(|sample| sample.t_ms <= t_ms).saturating_sub(1)
    }
}

fn is_jump(from: &Sample, to: &Sample) -> bool {
    let squares = from.position.iter().zip(to.position).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>() > JUMP_METRES * JUMP_METRES
}
