//! Which updates go into a body that is too small for all of them.

use super::JSON_FACTOR;
use crate::glance::{Due, Scene, Tools};
use crate::observer::Observer;
use crate::row::{CHANNEL, KNOT, OWED, PENDING};
use crate::wire::Spelling;

/// Bytes of an entry that is not short, for the choice; what is written is counted exactly.
const LONG_BYTES: usize = 16;
const FIELDS_BYTES: usize = 40;
/// Distance at which urgency has halved.
const NEAR_METRES: f32 = 16.0;

impl Observer {
    /// The most urgent rows that fit, in order of aliases; the others stay due.
    pub(super) fn choose(&mut self, scene: &Scene<'_>, tools: &mut Tools, room: usize, spelling: Spelling) {
        let factor = if spelling == Spelling::Json { JSON_FACTOR } else { 1 };
        let size = |due: &Due, slot: usize| {
            let bytes = if due.word & OWED != 0 || due.changed != 0 {
                FIELDS_BYTES
            } else if due.word & (PENDING & !KNOT) != 0 {
                LONG_BYTES
            } else {
                let len = scene.objects.packed[slot][(due.word & CHANNEL) as usize].entry.len;
                2 + usize::from(len.max(4))
            };
            bytes * factor
        };
        let mut total = 0;
        for due in &tools.due {
            total += size(due, self.rows.slots[due.alias as usize] as usize);
        }
        if total <= room {
            return;
        }
        let centre = self.centre(scene);
        tools.order.clear();
        for (index, due) in tools.due.iter().enumerate() {
            let slot = self.rows.slots[due.alias as usize] as usize;
            tools.order.push((self.urgency(due, slot, centre, scene), index as u32));
        }
        let mean = (total / tools.due.len()).max(1);
        let count = (room / mean).clamp(1, tools.due.len());
        if count < tools.order.len() {
            tools.order.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for (_, index) in &tools.order[count..] {
                let due = tools.due[*index as usize];
                self.defer(&due, scene);
                tools.due[*index as usize] = Due { word: 0, changed: 0, ..due };
                tools.stats.deferred += 1;
            }
            // Whatever is due says something: a word beyond its channel, or changed fields.
            tools.due.retain(|due| due.word != 0 || due.changed != 0);
        }
    }

    /// Priority of the channel, times how long it has been owed, times nearness, times attention.
    fn urgency(&self, due: &Due, slot: usize, centre: Option<[f32; 3]>, scene: &Scene<'_>) -> f32 {
        let place = usize::from(scene.objects.profile[slot]);
        let profile = &scene.registry.profiles[place];
        let priority = profile.priority[(due.word & CHANNEL) as usize];
        let waiting = if self.rows.words[due.alias as usize] & PENDING == 0 {
            0
        } else {
            self.rows.waited(due.alias as usize, scene.clock.now).max(0)
        };
        let mut urgency = priority * (1 + waiting) as f32;
        let Some(centre) = centre else {
            return urgency;
        };
        let axes = &scene.objects.coordinates[place];
        let offset = [0, 1, 2].map(|axis| axes[axis][slot] - centre[axis]);
        let metres = offset.iter().map(|axis| axis * axis).sum::<f32>().sqrt();
        urgency *= NEAR_METRES / (NEAR_METRES + metres);
        if !self.attention.is_even()
            && let Some(facts) = scene.objects.facts(slot)
        {
            urgency *= self.attention.weight(facts.entity, offset);
        }
        urgency
    }

    /// Keeps what is owed for a later step.
    pub(super) fn defer(&mut self, due: &Due, scene: &Scene<'_>) {
        let alias = due.alias as usize;
        let word = self.rows.words[alias];
        let owed = due.word & !CHANNEL | word & CHANNEL | u16::from(due.changed) << 4;
        self.rows.owe(alias, owed, scene.clock.now);
    }
}
