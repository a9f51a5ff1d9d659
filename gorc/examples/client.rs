//! Both ends in one program: a region tells a client of a walker, and the client draws him. Prints the
//! picture from above, and what it cost.
//!
//! ```text
//!   o  a knot that was told      +  where the curve between the knots ran
//! ```

use std::collections::BTreeMap;

use gorc::model::{ChannelSpec, EntityId, ObjectSchema, ObjectTypeId, Pose, Position, Tick, TickRate};
use gorc::{Curve, Decoder, Enter, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec, Update, Visitor};

/// Corners of the walk in metres, along which he goes again and again.
const CORNERS: [[f64; 2]; 5] = [[-30.0, -8.0], [-12.0, 8.0], [0.0, -6.0], [18.0, 9.0], [30.0, -8.0]];
const METRES_PER_SECOND: f64 = 5.0;
const SECONDS: u64 = 18;
/// Columns and rows of the picture, one and two metres each.
const SIZE: [usize; 2] = [68, 11];

/// What a client keeps of one object.
struct Drawn {
    channel: u8,
    curve: Curve,
}

/// A client between the socket and the screen.
struct Client {
    decoder: Decoder,
    world: World,
}

/// What bodies fill.
struct World {
    /// Newest frame read.
    frame: Tick,
    /// How far behind it each channel is drawn, in ticks.
    delays: [u64; 4],
    objects: BTreeMap<EntityId, Drawn>,
    /// Where knots were, for the picture.
    knots: Vec<[f64; 3]>,
}

impl Visitor for World {
    fn reset(&mut self) {
        self.objects.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        let metres = enter.pose.position.metres();
        let curve = Curve::new(enter.tick, metres, enter.pose.velocity.map(f64::from), enter.pose.yaw);
        self.knots.push(metres);
        self.objects.insert(enter.entity, Drawn { channel: enter.channel, curve });
    }

    fn update(&mut self, update: Update<'_>) {
        let Some(drawn) = self.objects.get_mut(&update.entity) else {
            return;
        };
        let before = std::mem::replace(&mut drawn.channel, update.channel);
        if let (Some(position), Some(velocity)) = (update.position, update.velocity) {
            let metres = position.metres();
            let delay = self.delays[usize::from(before)];
            let velocity = velocity.map(f64::from);
            drawn.curve.push(self.frame, delay, update.tick, metres, velocity, update.yaw, update.snap);
            self.knots.push(metres);
        }
    }

    fn leave(&mut self, entity: EntityId, _: LeaveReason) {
        self.objects.remove(&entity);
    }
}

impl Client {
    fn new(rate: TickRate, channels: &[ChannelSpec; 4]) -> Self {
        let world = World {
            frame: Tick(0),
            delays: channels.map(|channel| channel.delay_ticks(rate)),
            objects: BTreeMap::new(),
            knots: Vec::new(),
        };
        Self { decoder: Decoder::at_rate(rate), world }
    }

    fn read(&mut self, frame: Tick, body: &[u8]) {
        self.world.frame = frame;
        self.decoder.decode(body, frame, &mut self.world).expect("bodies of this build are whole");
    }
}

/// Where the walker is.
fn pose(tick: u64) -> Pose {
    let mut rest = tick as f64 / 60.0 * METRES_PER_SECOND;
    for leg in CORNERS.windows(2) {
        let by = [leg[1][0] - leg[0][0], leg[1][1] - leg[0][1]];
        let length = by[0].hypot(by[1]);
        if rest <= length {
            let position = Position::from_metres([
                leg[0][0] + by[0] * rest / length,
                leg[0][1] + by[1] * rest / length,
                0.0,
            ])
            .expect("a few metres fit");
            let velocity = by.map(|axis| (axis / length * METRES_PER_SECOND) as f32);
            let yaw = velocity[1].atan2(velocity[0]);
            return Pose { position, velocity: [velocity[0], velocity[1], 0.0], yaw };
        }
        rest -= length;
    }
    let [x, y] = CORNERS[CORNERS.len() - 1];
    Pose::at(Position::from_metres([x, y, 0.0]).expect("a few metres fit"))
}

fn put(picture: &mut [Vec<char>], metres: [f64; 3], sign: char) {
    let column = (metres[0] + SIZE[0] as f64 / 2.0) as usize;
    let row = (SIZE[1] as f64 / 2.0 - metres[1] / 2.0) as usize;
    if let Some(place) = picture.get_mut(row).and_then(|row| row.get_mut(column)) {
        *place = sign;
    }
}

fn main() {
    let rate = TickRate::from_hz(30).expect("30 divides 60");
    let players = ObjectSchema::named("player");
    let mut client = Client::new(rate, &players.channels);
    let mut gorc = Gorc::new(rate, players);
    let walker = EntityId::from_bits(1).expect("only 0 is no entity");
    gorc.spawn(NewObject {
        entity: walker,
        type_id: ObjectTypeId::PLAYER,
        player: None,
        ghost: false,
        tick: Tick(0),
        pose: pose(0),
        fields: Vec::new(),
    });
    let middle = Position::from_metres([0.0; 3]).expect("the origin is in the world");
    gorc.add_observer(ObserverId(1), ObserverSpec::client(middle));

    let mut picture = vec![vec![' '; SIZE[0]]; SIZE[1]];
    let (mut samples, mut bytes, mut furthest) = (0, 0, 0.0_f64);
    for tick in (2..SECONDS * 60).step_by(rate.step() as usize) {
        gorc.sample(walker, Tick(tick), &pose(tick), false);
        samples += 1;
        gorc.step(Tick(tick), &mut |_| true, &mut |_, body| {
            bytes += body.len();
            client.read(Tick(tick), body);
        });
        // Twice per frame, as a screen of 60 Hz does. The region knows the walker at every other tick, and
        // the bound holds at those.
        let Some(drawn) = client.world.objects.get_mut(&walker) else {
            continue;
        };
        let newest = tick.saturating_sub(client.world.delays[usize::from(drawn.channel)]);
        for at in [newest.saturating_sub(1), newest] {
            let (metres, _) = drawn.curve.at(at as f64);
            put(&mut picture, metres, '+');
        }
        let ([x, y, _], [true_x, true_y, _]) =
            (drawn.curve.at(newest as f64).0, pose(newest).position.metres());
        furthest = furthest.max((x - true_x).hypot(y - true_y));
        // Channels differ in their delay by less than a second.
        drawn.curve.forget_before(newest.saturating_sub(60) as f64);
    }
    for knot in &client.world.knots {
        put(&mut picture, *knot, 'o');
    }
    for row in picture {
        println!("{}", String::from_iter(row).trim_end());
    }
    let bound = f64::from(ChannelSpec::DEFAULT[0].precision_cm) / 100.0;
    println!("{samples} samples, {} knots, {bytes} bytes in {SECONDS} s", client.world.knots.len());
    println!("drawn at most {furthest:.3} m off; the bound of the channel is {bound} m");
}
