//! What was lost on the way is told again, also where an alias has changed hands in between.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{Said, Scribe, client, entity, object, place, pose, rate, schema};
use gorc::{Decoder, Gorc, LeaveReason, ObserverId, ObserverSpec, Spelling, decode_json};
use horizon_model::Tick;

const ID: ObserverId = ObserverId(1);

/// What a client holds that read only the bodies of some ticks. A, then B, then C stand behind one alias.
fn held(spelling: Spelling, lost: &[u64]) -> BTreeSet<u64> {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.add_observer(ID, ObserverSpec { spelling, ..client(place(0.0, 0.0, 0.0)) });
    let (mut decoder, mut held) = (Decoder::new(), BTreeSet::new());
    for tick in (2..=12).step_by(2) {
        match tick {
            2 => gorc.spawn(object(1, tick, pose(1.0, 0.0, 0.0))),
            4 => gorc.despawn(entity(1), LeaveReason::Gone),
            6 => gorc.spawn(object(2, tick, pose(1.0, 0.0, 0.0))),
            8 => gorc.despawn(entity(2), LeaveReason::Gone),
            10 => gorc.spawn(object(3, tick, pose(1.0, 0.0, 0.0))),
            _ => gorc.refresh(ID),
        }
        gorc.step(Tick(tick), &mut |_| true, &mut |_, body| {
            if lost.contains(&tick) {
                return;
            }
            let mut scribe = Scribe::default();
            match spelling {
                Spelling::Binary => decoder.decode(body, Tick(tick), &mut scribe).unwrap(),
                Spelling::Json => {
                    decode_json(std::str::from_utf8(body).unwrap(), Tick(tick), &mut scribe).unwrap();
                }
            }
            for said in scribe.0 {
                match said {
                    Said::Enter { entity, .. } => _ = held.insert(entity.bits() & 0xff),
                    Said::Leave(entity, _) => _ = held.remove(&(entity.bits() & 0xff)),
                    _ => {}
                }
            }
        });
    }
    held
}

#[test]
fn whichever_frames_were_lost_the_client_holds_what_there_is() {
    for spelling in [Spelling::Binary, Spelling::Json] {
        for bits in 0..32 {
            let lost: Vec<u64> = (0..5).filter(|n| bits & 1 << n != 0).map(|n| 2 + 2 * n).collect();
            assert_eq!(held(spelling, &lost), BTreeSet::from([3]), "{spelling:?}, lost {lost:?}");
        }
    }
}
