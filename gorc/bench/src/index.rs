//! Questions to the index, and the same questions to others.

use gorc::grid::{Grid, Hits, Isa, Limits};
use kiddo::SquaredEuclidean;
use rstar::RTree;
use rstar::primitives::GeomWithData;

use crate::chance::Chance;
use crate::clock::best_ns;
use crate::scene::edge_of;

/// Edge of the index's cells in metres.
pub const CELL_METRES: f32 = 25.0;
/// Questions are asked for all objects this often, and the best round counts.
const ROUNDS: usize = 15;
/// Objects asked for in one round, at most.
const ASKED: usize = 10_000;

/// Points in a plane, on a lattice of sixteenths of a metre so that squares of distances below 128 m are
/// exact in single precision, whoever multiplies in which order.
#[derive(Debug, Clone, Default)]
pub struct Points {
    /// Along x, metres.
    pub xs: Vec<f32>,
    /// Along y, metres.
    pub ys: Vec<f32>,
    zs: Vec<f32>,
}

/// What a way to ask costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// One question, nanoseconds.
    pub query_ns: f64,
    /// Making the index anew, nanoseconds by point.
    pub rebuild_ns: f64,
    /// Hits of all questions of a round.
    pub hits: u64,
    /// Hits weighted by the band they fall into, so that bands are compared too.
    pub bands: u64,
}

impl Points {
    /// The nearest lattice points of `places`.
    pub fn of(places: &[[f64; 3]]) -> Self {
        let axis = |axis: usize| places.iter().map(|at| ((at[axis] * 16.0).round() / 16.0) as f32).collect();
        Self { xs: axis(0), ys: axis(1), zs: vec![0.0; places.len()] }
    }

    /// `count` players of whom each has `neighbours` others within 50 m.
    pub fn players(count: usize, neighbours: f64) -> Self {
        let (mut chance, edge) = (Chance::seeded(0x9e0), edge_of(count, neighbours));
        let places = (0..count).map(|_| [chance.between(0.0, edge), chance.between(0.0, edge), 0.0]);
        Self::of(&places.collect::<Vec<_>>())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.xs.len()
    }

    /// The index of them.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(CELL_METRES);
        self.fill(&mut grid);
        grid
    }

    /// Makes the index of them anew.
    pub fn fill(&self, grid: &mut Grid) {
        grid.rebuild(&self.xs, &self.ys, &self.zs);
    }

    /// The same as an R*-tree.
    pub fn rstar(&self) -> RTree<GeomWithData<[f32; 2], u32>> {
        let points = self.pairs().into_iter().zip(0..);
        RTree::bulk_load(points.map(|(at, slot)| GeomWithData::new(at, slot)).collect())
    }

    /// Each as x and y.
    pub fn pairs(&self) -> Vec<[f32; 2]> {
        self.xs.iter().zip(&self.ys).map(|(x, y)| [*x, *y]).collect()
    }
}

/// Asks the grid for everything around each point.
///
/// # Panics
///
/// Where `radii` do not rise: the caller's mistake.
pub fn ask_grid(points: &Points, radii: &[f32], isa: Isa) -> Asked {
    let limits = Limits::new(radii).expect("radii rise");
    let mut grid = points.grid();
    let rebuild_ns = best_ns(ROUNDS, points.count(), || points.fill(&mut grid));
    let mut found = Hits::default();
    let asked = points.count().min(ASKED);
    let (mut hits, mut bands) = (0, 0);
    let query_ns = best_ns(ROUNDS, asked, || {
        (hits, bands) = (0, 0);
        for slot in 0..asked {
            grid.query(isa, [points.xs[slot], points.ys[slot], 0.0], &limits, &mut found);
            hits += found.len() as u64;
            bands += found.bands().iter().map(|band| u64::from(*band)).sum::<u64>();
        }
    });
    Asked { query_ns, rebuild_ns, hits, bands }
}

/// Asks an R*-tree, loaded in bulk.
pub fn ask_rstar(points: &Points, radii: &[f32]) -> Asked {
    let mut tree = points.rstar();
    let rebuild_ns = best_ns(3, points.count(), || tree = points.rstar());
    let squared: Vec<f32> = radii.iter().map(|radius| radius * radius).collect();
    let asked = points.count().min(ASKED);
    let (mut hits, mut bands) = (0, 0);
    let query_ns = best_ns(ROUNDS, asked, || {
        (hits, bands) = (0, 0);
        for at in points.pairs().into_iter().take(asked) {
            for hit in tree.locate_within_distance(at, squared[squared.len() - 1]) {
                let [x, y] = hit.geom();
                let distance = (x - at[0]) * (x - at[0]) + (y - at[1]) * (y - at[1]);
                hits += 1;
                bands += band(&squared, distance);
            }
        }
    });
    Asked { query_ns, rebuild_ns, hits, bands }
}

/// Asks an immutable k-d tree.
///
/// # Panics
///
/// Where it cannot be made: points are finite, so it can.
pub fn ask_kiddo(points: &Points, radii: &[f32]) -> Asked {
    let pairs = points.pairs();
    let make = || KdTree::new_from_slice(&pairs).expect("points are finite");
    let mut tree = make();
    let rebuild_ns = best_ns(3, points.count(), || tree = make());
    let squared: Vec<f32> = radii.iter().map(|radius| radius * radius).collect();
    let asked = points.count().min(ASKED);
    let (mut hits, mut bands) = (0, 0);
    let query_ns = best_ns(ROUNDS, asked, || {
        (hits, bands) = (0, 0);
        for at in pairs.iter().take(asked) {
            for hit in kiddo_hits(&tree, at, squared[squared.len() - 1]) {
                hits += 1;
                bands += band(&squared, hit.distance);
            }
        }
    });
    Asked { query_ns, rebuild_ns, hits, bands }
}

/// A k-d tree of points in a plane.
pub type KdTree = kiddo::ImmutableKdTree<f32, 2>;

/// All points of a k-d tree whose squared distance is at most `squared`.
pub fn kiddo_hits(tree: &KdTree, at: &[f32; 2], squared: f32) -> Vec<kiddo::QueryResultItem<(), u32, f32>> {
    // Room from the beginning, as its documentation advises.
    tree.query(at).within::<SquaredEuclidean<f32>>(squared).unsorted().with_result_capacity(256).execute()
}

fn band(squared: &[f32], distance: f32) -> u64 {
    squared.iter().filter(|limit| distance > **limit).count() as u64
}

/// One question to the grid in this scene: everything within the outermost radius of an eye.
pub fn scene_query_ns(places: &[[f64; 3]], eyes: &[[f64; 3]], radii: &[f32], isa: Isa) -> Option<f64> {
    let limits = Limits::new(radii).ok()?;
    let axis = |axis: usize| -> Vec<f32> { places.iter().map(|at| at[axis] as f32).collect() };
    let mut grid = Grid::new(CELL_METRES);
    grid.rebuild(&axis(0), &axis(1), &axis(2));
    let mut found = Hits::default();
    let asked = eyes.len().min(ASKED);
    let rounds = if places.len() * asked > 10_000_000 { 3 } else { ROUNDS };
    (asked > 0).then(|| {
        best_ns(rounds, asked, || {
            for eye in &eyes[..asked] {
                grid.query(isa, eye.map(|axis| axis as f32), &limits, &mut found);
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_find_the_same() {
        let mut chance = Chance::seeded(7);
        let places: Vec<[f64; 3]> =
            (0..2000).map(|_| [chance.between(0.0, 500.0), chance.between(0.0, 500.0), 0.0]).collect();
        let points = Points::of(&places);
        let radii = [10.0, 25.0, 50.0, 100.0];
        let rstar = ask_rstar(&points, &radii);
        let kiddo = ask_kiddo(&points, &radii);
        assert_eq!((rstar.hits, rstar.bands), (kiddo.hits, kiddo.bands));
        for isa in Isa::available() {
            let grid = ask_grid(&points, &radii, isa);
            assert_eq!((grid.hits, grid.bands), (rstar.hits, rstar.bands), "{isa:?}");
        }
    }
}
