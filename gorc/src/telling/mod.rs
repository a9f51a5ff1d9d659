//! Writes what one observer is told in one step, the most urgent first where bytes are short.

mod choosing;
mod entering;
mod leaving;
mod updating;

use horizon_model::Pose;

use crate::glance::{Scene, Tools};
use crate::json;
use crate::objects::fresh;
use crate::observer::Observer;
use crate::row::{COMPLETE, KNOT, OWED, WHOLE};
use crate::wire::{Knot, LATTICES, LeaveReason, Section, Spelling, position_of, put_density, put_header};

/// Steps from one tidying to the next.
const TIDY_STEPS: u64 = 32;
/// How much longer an entry is in JSON, about.
const JSON_FACTOR: usize = 8;

/// Where in a body we are.
struct Pen<'a> {
    out: &'a mut Vec<u8>,
    text: &'a mut String,
    spelling: Spelling,
    limit: usize,
}

impl Pen<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.limit
    }

    /// Appends what stands in the text as the next item of the array.
    fn item(&mut self) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(self.text.as_bytes());
        self.text.clear();
    }
}

impl Observer {
    /// Everything held is owed again, and what may have been lost with its enter is entered again.
    pub(crate) fn owe_all(&mut self) {
        for alias in 0..self.rows.len() {
            if self.rows.slots[alias] != 0 {
                self.rows.words[alias] |= KNOT | OWED | WHOLE | COMPLETE;
            }
        }
    }

    /// Writes the body of this step into `tools.out`. The lists of `tools` are those of
    /// [`Self::glance`].
    pub(crate) fn tell(&mut self, scene: &Scene<'_>, tools: &mut Tools) {
        let mut out = std::mem::take(&mut tools.out);
        let mut text = std::mem::take(&mut tools.text);
        out.clear();
        text.clear();
        let limit = self.spec.budget_bytes.map_or(usize::MAX, |bytes| bytes as usize);
        let mut pen = Pen { out: &mut out, text: &mut text, spelling: self.spec.spelling, limit };
        if pen.spelling == Spelling::Json {
            pen.out.push(b'[');
        }
        if std::mem::take(&mut self.reset) {
            match pen.spelling {
                Spelling::Binary => put_header(pen.out, Section::Reset),
                Spelling::Json => {
                    json::write_reset(pen.text);
                    pen.item();
                }
            }
        }
        self.tell_leaves(scene, tools, &mut pen);
        self.tell_enters(scene, tools, &mut pen);
        self.tell_density(scene, tools, &mut pen);
        self.tell_updates(scene, tools, &mut pen);
        self.refresh = false;
        if pen.spelling == Spelling::Json {
            pen.out.push(b']');
        }
        (tools.out, tools.text) = (out, text);
    }

    /// Whether it is this observer's turn to forget what it told long ago: before it is asked, and now and
    /// then.
    fn tidies(&self, scene: &Scene<'_>) -> bool {
        self.refresh || self.has_turn(scene.clock.now as u64, TIDY_STEPS)
    }

    fn tell_density(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if !self.spec.density || !self.count_crowd(scene, tools) {
            return;
        }
        match pen.spelling {
            Spelling::Binary => put_density(pen.out, &tools.cells),
            Spelling::Json => {
                json::write_density(pen.text, &tools.cells);
                pen.item();
            }
        }
    }
}

/// The knot that an observer is to hold: that of its channel, or the newest sample for a region.
fn knot_of(scene: &Scene<'_>, slot: usize, channel: u8, sees_ghosts: bool) -> Option<Knot> {
    if sees_ghosts {
        scene.objects.knot(slot, channel).copied()
    } else {
        scene.objects.exact(slot, scene.clock.rate.hz())
    }
}

fn pose_of(knot: &Knot, channel: u8) -> Option<Pose> {
    let lattice = &LATTICES[usize::from(channel)];
    Some(Pose {
        position: position_of(lattice.metres(knot.place))?,
        velocity: lattice.mps(knot.velocity).map(|axis| axis as f32),
        yaw: crate::wire::dequantise_yaw(knot.yaw),
    })
}

const _: () = assert!(fresh::KNOT == 0xf && LeaveReason::OutOfRange as u8 == 0, "bits keep their places");
