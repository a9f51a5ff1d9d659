//! Which regions an entity could step into next.

use horizon_model::{Position, RegionId, RegionMap};

use super::{MAX_ATTEMPTS, RELEASE_METRES};

/// The neighbouring regions within [`RELEASE_METRES`] of an entity, the nearest first, at most
/// [`MAX_ATTEMPTS`]: a grid has no more around one place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Near([Option<(RegionId, f64)>; MAX_ATTEMPTS]);

impl Near {
    /// No region but the own one.
    pub const NOBODY: Self = Self([None; MAX_ATTEMPTS]);

    /// Those of `neighbours` that are near `position`, seen from `home`.
    pub fn around(
        map: &RegionMap,
        home: RegionId,
        neighbours: impl IntoIterator<Item = RegionId>,
        position: &Position,
    ) -> Self {
        let room = map.bounds(home).map_or(0.0, |(low, high)| {
            let [x, y, _] = position.metres();
            (x - low[0]).min(high[0] - x).min(y - low[1]).min(high[1] - y)
        });
        if room > RELEASE_METRES {
            return Self::NOBODY;
        }
        neighbours
            .into_iter()
            .filter(|&region| region != home)
            .fold(Self::NOBODY, |near, region| near.with(region, map.distance(region, position)))
    }

    /// The same with `region` at `metres`, if that is near and not further than all others.
    #[must_use]
    pub fn with(mut self, region: RegionId, metres: f64) -> Self {
        let mut next = (metres <= RELEASE_METRES).then_some((region, metres));
        for slot in &mut self.0 {
            if let Some((_, metres)) = next
                && slot.is_none_or(|(_, other)| metres < other)
            {
                std::mem::swap(slot, &mut next);
            }
        }
        self
    }

    /// Whether nobody is near.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Metres to `region`, `None` where it is not near.
    pub fn metres(&self, region: RegionId) -> Option<f64> {
        self.iter().find(|(near, _)| *near == region).map(|(_, metres)| metres)
    }

    /// All of them, the nearest first, with the metres between.
    pub fn iter(&self) -> impl Iterator<Item = (RegionId, f64)> + use<> {
        self.0.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::GridMap;

    use super::*;

    #[test]
    fn the_nearest_come_first() {
        let grid = GridMap::new([-200.0, -200.0], 200.0, 2, 2).expect("on the lattice");
        let map = RegionMap { map_epoch: 1, grid };
        let near = |x, y| {
            let position = Position::from_metres([x, y, 0.0]).expect("in range");
            Near::around(&map, RegionId(0), map.regions(), &position)
        };
        assert_eq!(near(-21.0, -21.0), Near::NOBODY);
        assert!(near(-21.0, -21.0).is_empty());
        assert_eq!(near(-100.0, -7.0).iter().collect::<Vec<_>>(), [(RegionId(2), 7.0)]);
        assert_eq!(
            near(-4.0, -3.0).iter().collect::<Vec<_>>(),
            [(RegionId(2), 3.0), (RegionId(1), 4.0), (RegionId(3), 5.0)],
        );
        assert_eq!(near(1.0, -3.0).metres(RegionId(1)), Some(0.0), "beyond the border");
        assert_eq!(near(-4.0, -3.0).with(RegionId(9), 3.5).metres(RegionId(3)), None, "three at most");
    }
}
