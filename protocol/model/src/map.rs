//! Which region a place belongs to.
//!
//! `owner_of`, `neighbours_within` and `distance` are the only questions anybody asks about
//! geometry. A fixed grid is the first map, never an assumption elsewhere: a region is a set of
//! cells on a map that is versioned by its epoch.

use rkyv::{Archive, Deserialize, Serialize};

use crate::{CELL_METRES, Cell, Position, RegionId};

/// A version of the world's division into regions.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct RegionMap {
    /// Rises with every change of the map.
    pub map_epoch: u64,
    /// How the cells are shared out.
    pub grid: GridMap,
}

/// A rectangle of equal regions, each reaching without end up and down.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct GridMap {
    origin: [i32; 2],
    cells_per_region: u32,
    columns: u32,
    rows: u32,
}

/// A grid that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MapError {
    /// Regions are made of whole cells.
    #[error("a region of {0} m is not a whole number of 50 m cells; choose a multiple of 50")]
    Size(f64),
    /// The corner of the world lies on a cell border.
    #[error("origin {0} m is not on the 50 m lattice; choose a multiple of 50")]
    Origin(f64),
    /// Region ids are 16 bits, and a world has at least one region.
    #[error("{0} × {1} regions; a world has between 1 and 65535")]
    Count(u32, u32),
}

impl GridMap {
    /// `columns` × `rows` square regions of `region_metres`, the first with its lower corner at
    /// `origin_metres`. Region ids count along x first.
    ///
    /// # Errors
    ///
    /// [`MapError`] where sizes are off the lattice or ids would not fit.
    pub fn new(
        origin_metres: [f64; 2],
        region_metres: f64,
        columns: u32,
        rows: u32,
    ) -> Result<Self, MapError> {
        let cells = region_metres / CELL_METRES;
        if !(cells.fract() == 0.0 && (1.0..=100_000.0).contains(&cells)) {
            return Err(MapError::Size(region_metres));
        }
        let mut origin = [0; 2];
        for (cell, metres) in origin.iter_mut().zip(origin_metres) {
            let at = metres / CELL_METRES;
            if at.fract() != 0.0 || at.abs() > 1e9 {
                return Err(MapError::Origin(metres));
            }
            *cell = at as i32;
        }
        if !(1..=65_535).contains(&(u64::from(columns) * u64::from(rows))) {
            return Err(MapError::Count(columns, rows));
        }
        Ok(Self { origin, cells_per_region: cells as u32, columns, rows })
    }

    /// Edge of one region in metres.
    pub fn region_metres(&self) -> f64 {
        f64::from(self.cells_per_region) * CELL_METRES
    }

    fn at(&self, region: RegionId) -> Option<(u32, u32)> {
        let index = u32::from(region.0);
        (index < self.columns * self.rows).then(|| (index % self.columns, index / self.columns))
    }
}

impl RegionMap {
    /// Every region of the map, in id order.
    pub fn regions(&self) -> impl Iterator<Item = RegionId> + use<> {
        (0..self.grid.columns * self.grid.rows).map(|n| RegionId(n as u16))
    }

    /// The region that `position` belongs to, or `None` outside the map.
    pub fn owner_of(&self, position: &Position) -> Option<RegionId> {
        self.owner_of_cell(position.cell())
    }

    /// The region that `cell` belongs to, or `None` outside the map.
    pub fn owner_of_cell(&self, cell: Cell) -> Option<RegionId> {
        let size = i64::from(self.grid.cells_per_region);
        let column = (i64::from(cell.x) - i64::from(self.grid.origin[0])).div_euclid(size);
        let row = (i64::from(cell.y) - i64::from(self.grid.origin[1])).div_euclid(size);
        let inside = (0..i64::from(self.grid.columns)).contains(&column)
            && (0..i64::from(self.grid.rows)).contains(&row);
        inside.then(|| RegionId((row * i64::from(self.grid.columns) + column) as u16))
    }

    /// Lower and upper corner of `region` in metres on x and y; `None` for a region not on the map.
    pub fn bounds(&self, region: RegionId) -> Option<([f64; 2], [f64; 2])> {
        let (column, row) = self.grid.at(region)?;
        let size = self.grid.region_metres();
        let low = [
            f64::from(self.grid.origin[0]) * CELL_METRES + f64::from(column) * size,
            f64::from(self.grid.origin[1]) * CELL_METRES + f64::from(row) * size,
        ];
        Some((low, [low[0] + size, low[1] + size]))
    }

    /// Metres from `position` to the nearest point of `region`, 0 inside; infinite for a region not
    /// on the map.
    pub fn distance(&self, region: RegionId, position: &Position) -> f64 {
        let Some((low, high)) = self.bounds(region) else {
            return f64::INFINITY;
        };
        let [x, y, _] = position.metres();
        let dx = (low[0] - x).max(x - high[0]).max(0.0);
        let dy = (low[1] - y).max(y - high[1]).max(0.0);
        // `hypot` guards against overflow that positions in metres cannot reach, and is several times slower.
        (dx * dx + dy * dy).sqrt()
    }

    /// Regions whose nearest point is at most `metres` from `region`, itself left out, in id order.
    pub fn neighbours_within(&self, region: RegionId, metres: f64) -> Vec<RegionId> {
        let Some((low, high)) = self.bounds(region) else {
            return Vec::new();
        };
        self.regions()
            .filter(|&other| other != region)
            .filter(|&other| {
                let (l, h) = self.bounds(other).expect("listed regions are on the map");
                let dx = (low[0] - h[0]).max(l[0] - high[0]).max(0.0);
                let dy = (low[1] - h[1]).max(l[1] - high[1]).max(0.0);
                dx * dx + dy * dy <= metres * metres
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> RegionMap {
        let grid = GridMap::new([-200.0, -200.0], 200.0, 2, 2).expect("on the lattice");
        RegionMap { map_epoch: 1, grid }
    }

    fn place(x: f64, y: f64) -> Position {
        Position::from_metres([x, y, 1.0]).expect("in range")
    }

    #[test]
    fn every_place_has_at_most_one_owner_and_distance_agrees() {
        let map = map();
        assert_eq!(map.owner_of(&place(-1.0, -1.0)), Some(RegionId(0)));
        assert_eq!(map.owner_of(&place(0.0, -1.0)), Some(RegionId(1)));
        assert_eq!(map.owner_of(&place(0.0, 0.0)), Some(RegionId(3)));
        assert_eq!(map.owner_of(&place(201.0, 0.0)), None);
        assert_eq!(map.distance(RegionId(0), &place(3.0, 4.0)), 5.0);
        assert_eq!(map.distance(RegionId(3), &place(3.0, 4.0)), 0.0);
    }

    #[test]
    fn neighbours_are_by_distance() {
        assert_eq!(map().neighbours_within(RegionId(0), 0.0), [RegionId(1), RegionId(2), RegionId(3)]);
        assert!(GridMap::new([0.0, 0.0], 210.0, 1, 1).is_err());
    }
}
