//! The leaves of one body.

use super::Pen;
use crate::glance::{Scene, Tools};
use crate::json;
use crate::observer::{Leave, Observer, REPEAT};
use crate::wire::{Spelling, put_gap, put_leaves_header};

impl Observer {
    pub(super) fn tell_leaves(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if self.tidies(scene) {
            while self.left.front().is_some_and(|&(told, _)| scene.tick.saturating_since(told) > REPEAT) {
                self.left.pop_front();
            }
        }
        let fresh = self.leaves.len();
        if self.refresh {
            for place in 0..self.left.len() {
                let (_, leave) = self.left[place];
                if !self.is_left_anew(&leave, scene, pen.spelling) {
                    self.leaves.push(leave);
                }
            }
        }
        for place in 0..fresh {
            let leave = self.leaves[place];
            self.rows.free(leave.alias as usize);
            self.left.push_back((scene.tick, leave));
        }
        let mut leaves = std::mem::take(&mut self.leaves);
        leaves.sort_unstable_by_key(|leave| (leave.reason, leave.alias));
        let start = pen.out.len();
        for group in leaves.chunk_by(|a, b| a.reason == b.reason) {
            if pen.spelling == Spelling::Binary {
                put_leaves_header(pen.out, group[0].reason, group.len() as u32);
            }
            let mut previous = -1;
            for leave in group {
                match pen.spelling {
                    Spelling::Binary => {
                        put_gap(pen.out, (i64::from(leave.alias) - previous - 1) as u32);
                        previous = i64::from(leave.alias);
                    }
                    Spelling::Json => {
                        json::write_leave(pen.text, leave.entity, leave.reason);
                        pen.item();
                    }
                }
            }
        }
        tools.stats.leaves += fresh as u64;
        tools.stats.channel_bytes[3] += (pen.out.len() - start) as u64;
        tools.stats.leave_bytes += (pen.out.len() - start) as u64;
        leaves.clear();
        self.leaves = leaves;
    }

    /// Whether a leave told lately needs no repeating: it stands in this body, or what it names is held
    /// again. Binary names an alias, which an enter of another object has freed as well; JSON the object.
    fn is_left_anew(&self, leave: &Leave, scene: &Scene<'_>, spelling: Spelling) -> bool {
        match spelling {
            Spelling::Binary => {
                self.leaves.iter().any(|known| known.alias == leave.alias)
                    || self.rows.is_used(leave.alias as usize)
            }
            Spelling::Json => {
                self.leaves.iter().any(|known| known.entity == leave.entity)
                    || self.strangers.iter().any(|stranger| stranger.held.entity == leave.entity)
                    || scene.objects.slot(leave.entity).is_some_and(|slot| self.told(slot).is_some())
            }
        }
    }
}
