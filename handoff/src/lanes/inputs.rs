//! The reliable input lane.

use std::collections::BTreeMap;

use crate::mutant::{Mutant, Switch};

use super::ReadLaneError;

/// Inputs held while an earlier one is missing: one client window.
pub const MAX_HELD_INPUTS: usize = 64;

/// Applies numbered inputs in order, each once.
///
/// Invariant: what was handed out is exactly `1..=applied`. Only that number travels; what was held
/// back was never acknowledged, so the next owner asks for it.
#[derive(Debug, Clone)]
pub struct InputLane<T> {
    applied: u32,
    held: BTreeMap<u32, T>,
    asked: Option<u32>,
    switch: Switch,
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission<T> {
    /// Apply these now, in this order: the input, and held ones that follow it.
    Accepted(Vec<(u32, T)>),
    /// It was applied before: acknowledge again.
    Duplicate,
    /// It waits for an earlier one that was asked for already. One beyond the window is dropped; only a
    /// client that ignores its window sends such.
    Held,
    /// It waits for an earlier one: ask for everything from that number on.
    Gap {
        /// First missing.
        from: u32,
    },
}

impl<T> InputLane<T> {
    /// Name of this part in a capsule.
    pub const PART: &'static str = "horizon.inputs";

    /// A lane that has handed out `1..=applied`.
    pub fn new(applied: u32) -> Self {
        Self { applied, held: BTreeMap::new(), asked: None, switch: Switch::default() }
    }

    /// The same lane with one guard switched off.
    #[cfg(any(test, feature = "mutants"))]
    #[must_use]
    pub fn without(mut self, guard: Mutant) -> Self {
        self.switch = Switch::without(guard);
        self
    }

    /// Highest input handed out.
    pub const fn applied(&self) -> u32 {
        self.applied
    }

    /// Takes one input.
    pub fn accept(&mut self, seq: u32, input: T) -> Admission<T> {
        let next = self.applied + 1;
        if seq < next {
            if self.switch.off(Mutant::ApplyTwice) {
                return Admission::Accepted(vec![(seq, input)]);
            }
            return Admission::Duplicate;
        }
        if seq > next {
            if seq - next <= MAX_HELD_INPUTS as u32 {
                self.held.insert(seq, input);
            }
            // One question per gap: an answer to each input behind it would send the window squared.
            let asked = self.asked.replace(next) == Some(next);
            return if asked { Admission::Held } else { Admission::Gap { from: next } };
        }
        let mut run = vec![(seq, input)];
        self.applied = seq;
        while let Some(input) = self.held.remove(&(self.applied + 1)) {
            self.applied += 1;
            run.push((self.applied, input));
        }
        self.held.retain(|&seq, _| seq > self.applied);
        Admission::Accepted(run)
    }

    /// The bytes of this part.
    pub fn encode(&self) -> Vec<u8> {
        self.applied.to_le_bytes().to_vec()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`ReadLaneError`] on anything but four bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReadLaneError> {
        let applied = bytes.try_into().map(u32::from_le_bytes).map_err(|_| ReadLaneError {
            lane: Self::PART,
            reason: format!("{} bytes where 4 are expected", bytes.len()),
        })?;
        Ok(Self::new(applied))
    }
}
