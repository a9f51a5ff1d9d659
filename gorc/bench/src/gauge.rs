//! Compares what clients draw with what is true.

use horizon_model::Tick;

use crate::client::{Client, Drawn};
use crate::errors::Errors;
use crate::movement::{History, distance};

/// Metres that a picture may be beyond its bound before it counts as untold: rounding of poses.
const SLACK_METRES: f64 = 0.01;

/// From where a client looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Eye {
    /// From this object.
    Object(usize),
    /// From this place, in metres.
    Place([f64; 3]),
}

/// How objects are sorted by distance, so that errors near and far are told apart. Distances are true
/// ones, at the moment that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Classes {
    /// Near up to the first, far beyond the second, in metres.
    Metres([f64; 2]),
    /// The nearest `count` are near, all others far.
    Nearest {
        /// How many.
        count: usize,
        /// The channel on which they are held: they are counted at the moment it draws.
        channel: usize,
    },
}

/// Errors by class, and how long anything stayed untold.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Of what is near, in the middle, and far.
    pub errors: [Errors; 3],
    /// Ticks that a picture was further off than its bound, or an object in reach was not held, at the
    /// longest.
    pub untold_ticks: u64,
    /// Objects drawn, over all clients and frames.
    pub drawn: u64,
    /// Clients looked through, over all frames.
    pub looks: u64,
    /// Recorded samples of the objects held, over all clients.
    pub recorded: u64,
}

/// One client and what is known about its pictures.
#[derive(Debug)]
pub struct Gauge {
    /// The client.
    pub client: Client,
    /// From where it looks.
    pub eye: Eye,
    /// Since when each object is untold.
    untold_since: Vec<Option<u64>>,
    distances: Vec<f64>,
}

impl Gauge {
    /// Of `client`, which looks from `eye` at `objects`.
    pub fn new(client: Client, eye: Eye, objects: usize) -> Self {
        Self { client, eye, untold_since: vec![None; objects], distances: Vec::new() }
    }

    /// Draws everything after the frame of `tick`.
    ///
    /// What is not held within `reach` metres counts as untold. `near_delay` is how far behind the classes
    /// by count are drawn, in ticks.
    pub fn measure(
        &mut self,
        tick: Tick,
        history: &History,
        classes: Classes,
        reach: f64,
        near_delay: u64,
        found: &mut Found,
    ) {
        let shown = tick.0.saturating_sub(near_delay);
        let nearest = match classes {
            Classes::Nearest { count, .. } => self.rank(history, shown, count),
            Classes::Metres(_) => None,
        };
        found.looks += 1;
        for object in 0..self.untold_since.len() {
            let untold = match self.client.draw(object, tick) {
                Some(drawn) => {
                    let Some(true_metres) = history.at(object, drawn.tick) else { continue };
                    let error = distance(drawn.metres, true_metres);
                    let class = match (classes, nearest) {
                        (Classes::Metres(limits), _) => self
                            .metres_from_eye(history, &drawn, true_metres)
                            .map(|from_eye| limits.iter().filter(|limit| from_eye > **limit).count()),
                        (Classes::Nearest { .. }, Some(limit)) => {
                            Some(if self.distances[object] <= limit { 0 } else { 2 })
                        }
                        (Classes::Nearest { .. }, None) => None,
                    };
                    if let Some(class) = class {
                        found.errors[class].add(error);
                    }
                    found.drawn += 1;
                    error > drawn.bound + SLACK_METRES
                }
                None => self.is_in_reach(history, object, tick.0, reach),
            };
            let since = &mut self.untold_since[object];
            if untold {
                let since = *since.get_or_insert(tick.0);
                found.untold_ticks = found.untold_ticks.max(tick.0 - since);
            } else {
                *since = None;
            }
        }
    }

    /// Distance of the `count`-th nearest object at `tick`; fills in all distances.
    fn rank(&mut self, history: &History, tick: u64, count: usize) -> Option<f64> {
        let eye = self.place(history, tick)?;
        self.distances.clear();
        let from_eye = |object| history.at(object, tick).map_or(f64::INFINITY, |at| distance(eye, at));
        self.distances.extend((0..self.untold_since.len()).map(from_eye));
        let mut sorted = self.distances.clone();
        let last = count.min(sorted.len()).checked_sub(1)?;
        Some(*sorted.select_nth_unstable_by(last, f64::total_cmp).1)
    }

    fn metres_from_eye(&self, history: &History, drawn: &Drawn, object: [f64; 3]) -> Option<f64> {
        Some(distance(self.place(history, drawn.tick)?, object))
    }

    fn is_in_reach(&self, history: &History, object: usize, tick: u64, reach: f64) -> bool {
        let places = self.place(history, tick).zip(history.at(object, tick));
        places.is_some_and(|(eye, at)| distance(eye, at) <= reach)
    }

    fn place(&self, history: &History, tick: u64) -> Option<[f64; 3]> {
        match self.eye {
            Eye::Object(object) => history.at(object, tick),
            Eye::Place(metres) => Some(metres),
        }
    }
}
