//! Interest beyond distance: what an observer cares for more, or less, than its distance says.
//!
//! Weights change the order in which things are told where bytes are short. They never show an object
//! that distance hides.

use std::collections::BTreeMap;

use horizon_model::EntityId;

/// Bounds of a weight, so that nothing is starved for ever.
const WEIGHTS: std::ops::RangeInclusive<f32> = 0.05..=20.0;

/// Where an observer looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cone {
    /// A vector along the line of sight; its length does not matter.
    pub direction: [f32; 3],
    /// Half of the opening angle in radians.
    pub half_angle: f32,
    /// Factor for what is inside.
    pub weight: f32,
}

/// What an observer cares for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attention {
    weights: BTreeMap<EntityId, f32>,
    cone: Option<(Cone, f32)>,
}

impl Attention {
    pub(crate) fn set_weight(&mut self, entity: EntityId, weight: f32) {
        if weight == 1.0 || !weight.is_finite() {
            self.weights.remove(&entity);
        } else {
            self.weights.insert(entity, weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()));
        }
    }

    pub(crate) fn set_cone(&mut self, cone: Option<Cone>) {
        self.cone = cone.and_then(|cone| {
            let length = cone.direction.iter().map(|axis| axis * axis).sum::<f32>().sqrt();
            if !(length.is_finite() && length > 0.0 && cone.weight.is_finite()) {
                return None;
            }
            let direction = cone.direction.map(|axis| axis / length);
            let weight = cone.weight.clamp(*WEIGHTS.start(), *WEIGHTS.end());
            Some((Cone { direction, weight, ..cone }, cone.half_angle.cos()))
        });
    }

    pub(crate) fn forget(&mut self, entity: EntityId) {
        self.weights.remove(&entity);
    }

    pub(crate) fn is_even(&self) -> bool {
        self.weights.is_empty() && self.cone.is_none()
    }

    /// Factor for `entity`, which stands `offset` metres from the observer.
    pub(crate) fn weight(&self, entity: EntityId, offset: [f32; 3]) -> f32 {
        let own = self.weights.get(&entity).copied().unwrap_or(1.0);
        let Some((cone, cosine)) = &self.cone else {
            return own;
        };
        let length = offset.iter().map(|axis| axis * axis).sum::<f32>().sqrt();
        let along: f32 = offset.iter().zip(cone.direction).map(|(a, b)| a * b).sum();
        if along >= cosine * length { own * cone.weight } else { own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_sight_or_dear_weighs_more() {
        let id = |n| EntityId::from_bits(n).unwrap();
        let mut attention = Attention::default();
        assert!(attention.is_even());
        attention.set_cone(Some(Cone { direction: [2.0, 0.0, 0.0], half_angle: 0.5, weight: 3.0 }));
        attention.set_weight(id(7), 1e9);
        assert_eq!(attention.weight(id(1), [5.0, 1.0, 0.0]), 3.0);
        assert_eq!(attention.weight(id(1), [-5.0, 1.0, 0.0]), 1.0);
        assert_eq!(attention.weight(id(7), [0.0, 5.0, 0.0]), 20.0);
        attention.set_weight(id(7), f32::NAN);
        attention.set_cone(Some(Cone { direction: [0.0; 3], half_angle: 0.5, weight: 3.0 }));
        assert!(attention.is_even());
    }
}
