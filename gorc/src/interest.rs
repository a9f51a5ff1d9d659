//! How near an object is to an observer, and which channels that gives it.

use horizon_model::{CELL_METRES, Cell, ChannelSpec, Position};

/// Below every channel: nothing is held.
pub(crate) const NONE: u8 = 4;
/// Bands of distance: each channel's radius, and the hysteresis beyond it.
pub(crate) const BANDS: usize = 8;

/// The channel held next, by the channel held before and by one more than the band of distance; 0 for
/// what is beyond all bands.
///
/// A channel that was held is lost only beyond radius and hysteresis, one that was not is gained at the
/// radius. The channels further out come with it.
pub(crate) const LEVELS: [[u8; BANDS + 1]; 5] = levels();

const fn levels() -> [[u8; BANDS + 1]; 5] {
    let mut table = [[NONE; BANDS + 1]; 5];
    let mut held = 0;
    while held < 5 {
        let mut band = 0;
        while band < BANDS {
            let channel = band / 2;
            let in_slack = band % 2 == 1;
            table[held][band + 1] =
                if in_slack && held > channel { channel as u8 + 1 } else { channel as u8 };
            band += 1;
        }
        held += 1;
    }
    table
}

/// What distances are measured from.
#[derive(Debug, Clone, PartialEq)]
pub enum Anchor {
    /// An avatar or a camera.
    Point(Position),
    /// A neighbour region and everything it owns: the nearest of them counts.
    Hull {
        /// Lowest cell of the region; its z is ignored, regions reach without end up and down.
        low: Cell,
        /// Highest cell of the region, which still belongs to it; its z is ignored.
        high: Cell,
        /// Places of what it owns outside its cells.
        beyond: Vec<Position>,
    },
}

impl Anchor {
    /// Metres from here to `position`.
    pub fn distance(&self, position: &Position) -> f64 {
        match self {
            Self::Point(point) => point.distance(position),
            Self::Hull { low, high, beyond } => {
                let (cell, local) = (position.cell(), position.local());
                let dx = gap(low.x, high.x, cell.x, local[0]);
                let dy = gap(low.y, high.y, cell.y, local[1]);
                let squared = beyond
                    .iter()
                    .map(|point| point.distance_squared(position))
                    .fold(dx * dx + dy * dy, f64::min);
                squared.sqrt()
            }
        }
    }
}

/// Metres along one axis from a place to the cells `low..=high`, 0 among them.
fn gap(low: i32, high: i32, cell: i32, local: f32) -> f64 {
    let metres_from = |corner: i64| (i64::from(cell) - corner) as f64 * CELL_METRES + f64::from(local);
    (-metres_from(i64::from(low))).max(metres_from(i64::from(high) + 1)).max(0.0)
}

/// The eight limits of a table in metres, rising: radius and radius with hysteresis of each channel. A
/// hysteresis that would reach beyond the next radius ends there.
pub(crate) fn limits(specs: &[ChannelSpec; 4]) -> [f32; BANDS] {
    let mut limits = [0.0; BANDS];
    for (channel, spec) in specs.iter().enumerate() {
        let next = specs.get(channel + 1).map_or(f64::INFINITY, |next| next.radius_metres);
        limits[2 * channel] = spec.radius_metres as f32;
        limits[2 * channel + 1] = (spec.radius_metres + spec.hysteresis_metres).min(next) as f32;
    }
    limits
}

/// One more than the band of `metres`, 0 beyond all limits.
pub(crate) fn band(metres: f64, limits: &[f32; BANDS]) -> u8 {
    limits.iter().position(|limit| metres <= f64::from(*limit)).map_or(0, |band| band as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(x: f64, y: f64, z: f64) -> Position {
        Position::from_metres([x, y, z]).unwrap()
    }

    #[test]
    fn a_hull_is_its_cells_without_end_up_and_down_and_what_it_owns_outside() {
        let hull = |beyond| Anchor::Hull {
            low: Cell { x: 0, y: -1, z: 5 },
            high: Cell { x: 1, y: 0, z: 5 },
            beyond,
        };
        assert_eq!(hull(vec![]).distance(&place(99.0, -49.0, -1e6)), 0.0);
        assert_eq!(hull(vec![]).distance(&place(103.0, 54.0, 0.0)), 5.0);
        assert_eq!(hull(vec![]).distance(&place(-3.0, -54.0, 0.0)), 5.0);
        assert_eq!(hull(vec![place(110.0, 0.0, 0.0)]).distance(&place(112.0, 0.0, 0.0)), 2.0);
        assert_eq!(Anchor::Point(place(0.0, 0.0, 3.0)).distance(&place(0.0, 4.0, 0.0)), 5.0);
    }

    #[test]
    fn channels_are_gained_at_the_radius_and_lost_beyond_the_hysteresis() {
        let limits = limits(&ChannelSpec::DEFAULT);
        let level = |held: u8, metres| LEVELS[usize::from(held)][usize::from(band(metres, &limits))];
        assert_eq!([level(NONE, 50.0), level(NONE, 50.1), level(0, 53.0), level(0, 53.1)], [0, 1, 0, 1]);
        assert_eq!(
            [level(NONE, 1000.1), level(3, 1030.0), level(3, 1030.1), level(0, 1e9)],
            [NONE, 3, NONE, NONE]
        );
        assert_eq!(level(1, 51.0), 1, "an outer channel gives no slack to an inner one");
        assert_eq!([level(0, 160.0), level(NONE, 151.0)], [2, 2]);
    }
}
