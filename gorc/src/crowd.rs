//! The density layer: where many are that are not told one by one.

use crate::glance::{Scene, Tools};
use crate::grid::Hits;
use crate::observer::Observer;

/// Edge of a cell in metres, that of the world's lattice.
const CELL_METRES: f64 = horizon_model::CELL_METRES;

impl Observer {
    /// Counts the objects within reach that are not held, by cell, into `tools.cells`. Returns whether
    /// it is time to tell them.
    pub(crate) fn count_crowd(&self, scene: &Scene<'_>, tools: &mut Tools) -> bool {
        if !self.has_turn(scene.clock.now as u64, scene.clock.rate.hz()) {
            return false;
        }
        let Some(centre) = self.centre(scene) else {
            return false;
        };
        tools.cells.clear();
        for slot in &self.rows.slots {
            tools.bands[*slot as usize] = 1;
        }
        tools.hits.resize_with(scene.grids.len(), Hits::default);
        for (place, grid) in scene.grids.iter().enumerate() {
            let hits = &mut tools.hits[place];
            grid.query(scene.isa, centre, &scene.limits[place], hits);
            let radius = scene.limits[place].squared();
            let within = radius[radius.len() - 2];
            for (slot, squared) in hits.slots().iter().zip(hits.squared()) {
                let slot = *slot as usize;
                if tools.bands[slot] == 0 && *squared <= within {
                    let axes = &scene.objects.coordinates[place];
                    let cell = [0, 1].map(|axis| {
                        let metres = scene.clock.origin[axis] + f64::from(axes[axis][slot]);
                        (metres / CELL_METRES).floor() as i32
                    });
                    tools.cells.push((cell[0], cell[1], 1));
                }
            }
        }
        for slot in &self.rows.slots {
            tools.bands[*slot as usize] = 0;
        }
        tools.cells.sort_unstable();
        tools.cells.dedup_by(|later, kept| {
            let same = (later.0, later.1) == (kept.0, kept.1);
            if same {
                kept.2 += 1;
            }
            same
        });
        true
    }
}
