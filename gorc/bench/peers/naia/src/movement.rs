//! Movement files: what every peer program replays. The format is in `../README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"HMOV1\0\0\0";
const HEADER_BYTES: usize = MAGIC.len() + 4 * 4;

/// A whole movement file in memory. A value of this type is always consistent.
pub struct Movement {
    /// Entities, and clients: each player is both.
    pub players: usize,
    /// Ticks that are recorded.
    pub ticks: usize,
    /// Ticks per second of play.
    pub hz: u32,
    /// Entities that each client sees.
    pub visible: usize,
    views: Vec<usize>,
    positions: Vec<[f32; 3]>,
}

/// Why a file is not a movement file. Write it anew.
#[derive(Debug, thiserror::Error)]
pub enum ReadMovementError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first bytes are not those of the format.
    #[error("not a movement file")]
    Magic,
    /// The header and the file disagree.
    #[error("{found} bytes, the header says {expected}")]
    Length {
        /// Bytes in the file.
        found: usize,
        /// Bytes that follow from the header.
        expected: usize,
    },
    /// A client sees an entity twice, or one that does not exist.
    #[error("client {client} sees an entity twice, or one that does not exist")]
    View {
        /// Index of the client.
        client: usize,
    },
    /// Infinite, or no number.
    #[error("a coordinate is no finite number")]
    Coordinate,
}

impl Movement {
    /// Reads a whole file.
    pub fn read(path: &Path) -> Result<Self, ReadMovementError> {
        let file =
            std::fs::read(path).map_err(|source| ReadMovementError::Io { path: path.to_owned(), source })?;
        let Some(rest) = file.strip_prefix(MAGIC).filter(|_| file.len() >= HEADER_BYTES) else {
            return Err(ReadMovementError::Magic);
        };
        let (words, _) = rest.as_chunks::<4>();
        let [players, ticks, hz, visible] = [0, 1, 2, 3].map(|at| u32::from_le_bytes(words[at]));
        let [players, ticks, visible] = [players, ticks, visible].map(|number| number as usize);
        let expected = HEADER_BYTES + 4 * players * visible + 12 * players * ticks;
        if file.len() != expected {
            return Err(ReadMovementError::Length { found: file.len(), expected });
        }

        let (views, coordinates) = words[4..].split_at(players * visible);
        let views = views.iter().map(|&word| u32::from_le_bytes(word) as usize).collect();
        let (triples, _) = coordinates.as_chunks::<3>();
        let positions = triples.iter().map(|triple| triple.map(f32::from_le_bytes)).collect();
        let movement = Self { players, ticks, hz, visible, views, positions };
        movement.check()?;
        Ok(movement)
    }

    fn check(&self) -> Result<(), ReadMovementError> {
        for client in 0..self.players {
            let view: BTreeSet<_> = self.visible_to(client).iter().collect();
            if view.len() != self.visible || view.last().is_some_and(|&&entity| entity >= self.players) {
                return Err(ReadMovementError::View { client });
            }
        }
        if self.positions.iter().flatten().any(|coordinate| !coordinate.is_finite()) {
            return Err(ReadMovementError::Coordinate);
        }
        Ok(())
    }

    /// The entities that a client sees, fixed over the run.
    pub fn visible_to(&self, client: usize) -> &[usize] {
        &self.views[client * self.visible..][..self.visible]
    }

    /// Where every entity is at a tick.
    pub fn positions_at(&self, tick: usize) -> &[[f32; 3]] {
        &self.positions[tick * self.players..][..self.players]
    }

    /// Deliveries of a tick: (client, visible entity) pairs that saw a coordinate change since the tick before.
    pub fn updates_at(&self, tick: usize) -> usize {
        let Some(before) = tick.checked_sub(1) else { return 0 };
        let (before, now) = (self.positions_at(before), self.positions_at(tick));
        self.views.iter().filter(|&&entity| before[entity] != now[entity]).count()
    }
}
