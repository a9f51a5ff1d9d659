//! One player walks past another; prints what the second one's client reads each second.

use gorc::{Gorc, NewObject, ObserverId, ObserverSpec, Spelling};
use horizon_model::{
    Channel, EntityId, Epoch, FieldSpec, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, RegionId,
    Tick, TickRate,
};

fn main() {
    let rate = TickRate::from_hz(30).expect("30 divides 60");
    let mut players = ObjectSchema::named("player");
    players.fields.push(FieldSpec { name: "name".to_owned(), channel: Channel::Metadata });
    let mut gorc = Gorc::new(rate, players);

    let walker = EntityId::mint(RegionId(1), Epoch::new(0, 1), 1).expect("counters begin at 1");
    let at = |x: f64| Position::from_metres([x, 5.0, 0.0]).expect("a few hundred metres fit");
    gorc.spawn(NewObject {
        entity: walker,
        type_id: ObjectTypeId::PLAYER,
        player: Some(PlayerId(1)),
        ghost: false,
        tick: Tick(0),
        pose: Pose::at(at(-400.0)),
        fields: vec![Some(br#""Ada""#.to_vec())],
    });
    gorc.add_observer(
        ObserverId(2),
        ObserverSpec { spelling: Spelling::Json, ..ObserverSpec::client(at(0.0)) },
    );

    for second in 0..16_u64 {
        let (mut bytes, mut last) = (0, String::new());
        for step in 0..rate.hz() {
            let tick = Tick(second * 60 + step * rate.step());
            let pose =
                Pose { velocity: [50.0, 0.0, 0.0], ..Pose::at(at(tick.0 as f64 / 60.0 * 50.0 - 400.0)) };
            gorc.sample(walker, tick, &pose, false);
            gorc.step(tick, &mut |_| true, &mut |_, body| {
                bytes += body.len();
                if body.len() > 2 {
                    last = String::from_utf8_lossy(body).into_owned();
                }
            });
        }
        let updates = gorc.take_stats().updates;
        println!("second {second:2}: {updates:2} updates, {bytes:4} bytes, the last {last}");
    }
}
