//! One player runs past another in a wavy line; prints what the second one's client reads each second.
//!
//! He comes in on the outermost channel, which tells little and coarsely, goes through all four and out
//! again. A client that reads binary watches beside the one that reads JSON, for the bytes.

use gorc::{Gorc, NewObject, ObserverId, ObserverSpec, Spelling};
use horizon_model::{
    Channel, EntityId, Epoch, FieldSpec, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, RegionId,
    Tick, TickRate,
};

const BINARY: ObserverId = ObserverId(2);
const JSON: ObserverId = ObserverId(3);
const METRES_PER_SECOND: f64 = 50.0;

fn main() {
    let rate = TickRate::from_hz(30).expect("30 divides 60");
    let mut players = ObjectSchema::named("player");
    players.fields.push(FieldSpec { name: "name".to_owned(), channel: Channel::Metadata });
    let mut gorc = Gorc::new(rate, players);

    let walker = EntityId::mint(RegionId(1), Epoch::new(0, 1), 1).expect("counters begin at 1");
    let at = |x: f64| {
        Position::from_metres([x, 5.0 + 4.0 * (x / 15.0).sin(), 0.0]).expect("a few hundred metres fit")
    };
    gorc.spawn(NewObject {
        entity: walker,
        type_id: ObjectTypeId::PLAYER,
        player: Some(PlayerId(1)),
        ghost: false,
        tick: Tick(0),
        pose: Pose::at(at(-400.0)),
        fields: vec![Some(br#""Ada""#.to_vec())],
    });
    let eye = Position::from_metres([0.0; 3]).expect("the origin is in the world");
    gorc.add_observer(BINARY, ObserverSpec::client(eye));
    gorc.add_observer(JSON, ObserverSpec { spelling: Spelling::Json, ..ObserverSpec::client(eye) });

    for second in 0..16_u64 {
        let (mut bytes, mut updates, mut last) = (0, 0, String::new());
        for step in 0..rate.hz() {
            let tick = Tick(second * 60 + step * rate.step());
            let x = tick.0 as f64 / 60.0 * METRES_PER_SECOND - 400.0;
            gorc.sample(walker, tick, &Pose::at(at(x)), false);
            gorc.step(tick, &mut |_| true, &mut |observer, body| {
                if observer == BINARY {
                    bytes += body.len();
                    updates += u32::from(!body.is_empty());
                } else if body != b"[]" {
                    last = String::from_utf8_lossy(body).into_owned();
                }
            });
        }
        let channel = gorc.held(BINARY, walker).map_or("none".to_owned(), |channel| channel.to_string());
        println!(
            "second {second:2}, channel {channel}: {updates:2} bodies, {bytes:3} bytes, the last {last}"
        );
    }
}
