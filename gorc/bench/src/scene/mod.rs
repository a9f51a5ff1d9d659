//! Scenes: what moves, who looks at it, and by which rules.

mod crossing;
mod run;
mod table;
mod world;

pub use crossing::crossing;
pub use run::{Measured, Run, RunError, run};
pub use table::{Inputs, NAMES, edge_of, players, scenes};
pub use world::World;

use gorc::grid::Isa;
use horizon_model::{ChannelSpec, TickRate};

use crate::gauge::{Classes, Eye};
use crate::movement::Movement;

/// Makes the same movement anew each time.
pub type Moves = Box<dyn Fn() -> Box<dyn Movement>>;

/// One situation that is measured.
pub struct Scene {
    /// As it is asked for.
    pub name: String,
    /// Steps per second.
    pub hz: u64,
    /// Of every object.
    pub channels: [ChannelSpec; 4],
    /// What the objects do.
    pub moves: Moves,
    /// From where each observer looks.
    pub eyes: Vec<Eye>,
    /// Whether what moves as foretold is told less often.
    pub suppression: bool,
    /// Bytes that a body may have.
    pub budget_bytes: Option<u32>,
    /// Which errors are told apart.
    pub classes: Classes,
    /// Seconds that pass before anything is counted.
    pub warm_up_seconds: f64,
    /// Seconds that are counted.
    pub seconds: f64,
    /// How many observers are followed picture by picture.
    pub tracked: usize,
    /// Instructions of the index.
    pub isa: Isa,
    /// Whether to run it a second time with silent observers, to tell encoding from the rest.
    pub splits_encoding: bool,
}

impl Scene {
    /// The same as a rate.
    ///
    /// # Panics
    ///
    /// Where `hz` does not divide the grid: its author's mistake.
    pub fn rate(&self) -> TickRate {
        TickRate::from_hz(self.hz).expect("scenes step at rates that divide the grid")
    }

    /// Seconds as steps of this scene, at least one.
    pub fn steps(&self, seconds: f64) -> usize {
        ((seconds * self.hz as f64).round() as usize).max(1)
    }
}

#[cfg(test)]
mod tests;
