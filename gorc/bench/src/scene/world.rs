//! A region's use of gorc, with moving objects and observers that follow them.

use std::time::Duration;

use gorc::{Anchor, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec};
use horizon_model::{ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick};

use super::Scene;
use crate::client::entity;
use crate::clock::thread_time;
use crate::counting::allocations;
use crate::gauge::Eye;
use crate::movement::{Movement, Truth};

/// The grid tick of the first step: any that every rate steps.
const FIRST_TICK: u64 = 6_000;

/// Objects, observers and a Gorc.
pub struct World {
    /// What is measured.
    pub gorc: Gorc,
    movement: Box<dyn Movement>,
    truths: Vec<Truth>,
    poses: Vec<Pose>,
    /// Which objects have been spawned, and in this very step.
    lives: Vec<Life>,
    eyes: Vec<Eye>,
    frozen: bool,
    tick: Tick,
    step_ticks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Absent,
    New,
    Known,
}

/// What one or more steps cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor time of this thread.
    pub time: Duration,
    /// Allocations, where they are counted.
    pub allocations: u64,
}

impl World {
    /// The scene before its first step, with observers that look from `eyes`.
    ///
    /// # Panics
    ///
    /// Where the scene has a rate or channels that cannot be: its author's mistake.
    pub fn new(scene: &Scene, eyes: &[Eye]) -> Self {
        let (movement, rate) = ((scene.moves)(), scene.rate());
        horizon_model::ChannelSpec::check_all(&scene.channels).expect("scenes have valid channels");
        let schema = ObjectSchema { channels: scene.channels, ..ObjectSchema::named("player") };
        let mut gorc = Gorc::new(rate, schema);
        gorc.set_isa(scene.isa);
        gorc.set_suppression(scene.suppression);
        let somewhere = Position::default();
        for (number, eye) in eyes.iter().enumerate() {
            let at = match eye {
                Eye::Object(_) => somewhere,
                Eye::Place(metres) => Position::from_metres(*metres).unwrap_or(somewhere),
            };
            let spec = ObserverSpec { budget_bytes: scene.budget_bytes, ..ObserverSpec::client(at) };
            gorc.add_observer(observer(number), spec);
        }
        let count = movement.count();
        Self {
            gorc,
            movement,
            truths: vec![Truth::default(); count],
            poses: vec![Pose::default(); count],
            lives: vec![Life::Absent; count],
            eyes: eyes.to_vec(),
            frozen: false,
            tick: Tick(FIRST_TICK - rate.step()),
            step_ticks: rate.step(),
        }
    }

    /// Moves everything to the next step, which is not measured, and lets objects appear.
    pub fn advance(&mut self) {
        self.tick = self.tick + self.step_ticks;
        if self.frozen {
            return;
        }
        self.movement.step(&mut self.truths);
        for (number, truth) in self.truths.iter().enumerate() {
            let life = &mut self.lives[number];
            self.poses[number] = truth.pose();
            *life = match (*life, truth.present) {
                (Life::Absent, true) => {
                    self.gorc.spawn(NewObject {
                        entity: entity(number),
                        type_id: ObjectTypeId::PLAYER,
                        player: Some(PlayerId(number as u128 + 1)),
                        ghost: false,
                        tick: self.tick,
                        pose: self.poses[number],
                        fields: Vec::new(),
                    });
                    Life::New
                }
                (Life::Absent, false) => Life::Absent,
                (Life::New | Life::Known, true) => Life::Known,
                (Life::New | Life::Known, false) => {
                    self.gorc.despawn(entity(number), LeaveReason::Gone);
                    Life::Absent
                }
            };
        }
    }

    /// What a region does in a step: samples of all objects, places of all observers, and the bodies.
    /// All of it is measured, what `out` allocates is not.
    pub fn replicate(&mut self, out: &mut dyn FnMut(usize, &[u8])) -> Cost {
        let (tick, gorc) = (self.tick, &mut self.gorc);
        let mut allocated_by_out = 0;
        let (allocations_before, from) = (allocations(), thread_time());
        for (number, life) in self.lives.iter().enumerate() {
            if *life == Life::Known {
                gorc.sample(entity(number), tick, &self.poses[number], self.truths[number].snap);
            }
        }
        for (number, eye) in self.eyes.iter().enumerate() {
            if let Eye::Object(object) = eye {
                gorc.move_observer(observer(number), Anchor::Point(self.poses[*object].position));
            }
        }
        gorc.step(tick, &mut |_| true, &mut |id, body| {
            let before = allocations();
            out((id.0 - 1) as usize, body);
            allocated_by_out += allocations() - before;
        });
        let time = thread_time().saturating_sub(from);
        Cost { time, allocations: allocations() - allocations_before - allocated_by_out }
    }

    /// Steps whose bodies nobody reads.
    pub fn run(&mut self, steps: usize) -> Cost {
        let mut sum = Cost::default();
        for _ in 0..steps {
            self.advance();
            let Cost { time, allocations } = self.replicate(&mut |_, _| ());
            sum = Cost { time: sum.time + time, allocations: sum.allocations + allocations };
        }
        sum
    }

    /// From now on everything stands still, and is said to.
    pub fn freeze(&mut self) {
        self.frozen = true;
        for (pose, truth) in self.poses.iter_mut().zip(&mut self.truths) {
            (pose.velocity, truth.snap) = ([0.0; 3], false);
        }
    }

    /// The tick of the latest step.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Grid ticks between steps.
    pub fn step_ticks(&self) -> u64 {
        self.step_ticks
    }

    /// What the objects did in the latest step.
    pub fn truths(&self) -> &[Truth] {
        &self.truths
    }

    /// Samples of a recording that the object has passed so far.
    pub fn recorded(&self, object: usize) -> u64 {
        self.movement.recorded(object)
    }
}

/// The observer with this number, from 0.
pub(super) fn observer(number: usize) -> ObserverId {
    ObserverId(number as u64 + 1)
}
