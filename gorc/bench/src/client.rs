//! A client as it should be: reads its frames, draws every held object as far behind as its channel says.

use gorc::{Curve, DecodeError, Decoder, Enter, LeaveReason, Update, Visitor};
use horizon_model::{ChannelSpec, EntityId, Epoch, RegionId, Tick, TickRate};

/// The entity that is object `number` of a scene.
///
/// # Panics
///
/// Never: scenes have fewer than four billion objects.
pub fn entity(number: usize) -> EntityId {
    let counter = u32::try_from(number + 1).expect("scenes have fewer than four billion objects");
    EntityId::mint(RegionId(1), Epoch::new(0, 1), counter).expect("the counter is not zero")
}

/// The number in its scene of an entity.
pub fn number(entity: EntityId) -> usize {
    (entity.bits() & u64::from(u32::MAX)) as usize - 1
}

/// What the frames said, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Bytes of bodies.
    pub bytes: u64,
    /// Bodies.
    pub frames: u64,
    /// Enters of what was not held.
    pub enters: u64,
    /// Enters of what was held already.
    pub repeated_enters: u64,
    /// Updates.
    pub updates: u64,
    /// Leaves.
    pub leaves: u64,
    /// Updates and leaves of what is not held, which nobody should say.
    pub strays: u64,
}

/// One receiver of frames.
#[derive(Debug)]
pub struct Client {
    decoder: Decoder,
    holdings: Holdings,
}

#[derive(Debug)]
struct Holdings {
    /// What frames are for.
    frame: Tick,
    delays: [u64; 4],
    bounds: [f64; 4],
    /// By number of the object.
    objects: Vec<Object>,
    count: usize,
    told: Told,
    worst_flips: u32,
    flips: u64,
}

#[derive(Debug, Default)]
struct Object {
    held: Option<Held>,
    /// The second in which it flipped last, and how often it did in it.
    flips: (u64, u32),
}

#[derive(Debug)]
struct Held {
    curve: Curve,
    channel: u8,
    /// The picture comes from a coarser channel until the frame of this tick, and may be this far off.
    loose: (u64, f64),
}

/// An object as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// The source tick that is shown.
    pub tick: u64,
    /// Where.
    pub metres: [f64; 3],
    /// Metres that it may be off.
    pub bound: f64,
}

impl Client {
    /// Holds nothing yet, of `objects` whose channels are these, in a region that steps at `rate`.
    pub fn new(channels: &[ChannelSpec; 4], rate: TickRate, objects: usize) -> Self {
        let holdings = Holdings {
            frame: Tick(0),
            delays: channels.map(|channel| channel.delay_ticks(rate)),
            bounds: channels.map(|channel| f64::from(channel.precision_cm) / 100.0),
            objects: (0..objects).map(|_| Object::default()).collect(),
            count: 0,
            told: Told::default(),
            worst_flips: 0,
            flips: 0,
        };
        Self { decoder: Decoder::new(), holdings }
    }

    /// Reads the frame of `tick`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the server wrote what it must not.
    pub fn take(&mut self, tick: Tick, body: &[u8]) -> Result<(), DecodeError> {
        self.holdings.frame = tick;
        self.holdings.told.bytes += body.len() as u64;
        self.holdings.told.frames += 1;
        self.decoder.decode(body, tick, &mut self.holdings)
    }

    /// Where object `number` is drawn when the newest frame is that of `tick`; `None` if it is not held.
    pub fn draw(&mut self, number: usize, tick: Tick) -> Option<Drawn> {
        let Holdings { delays, bounds, objects, .. } = &mut self.holdings;
        let held = objects[number].held.as_mut()?;
        let channel = usize::from(held.channel);
        let at = tick.0.saturating_sub(delays[channel]);
        // Another channel may draw up to a second earlier.
        held.curve.forget_before(tick.0.saturating_sub(60) as f64);
        let (metres, _) = held.curve.at(at as f64);
        let loose = if tick.0 < held.loose.0 { held.loose.1 } else { 0.0 };
        Some(Drawn { tick: at, metres, bound: bounds[channel].max(loose) })
    }

    /// Innermost channel held of object `number`.
    pub fn channel(&self, number: usize) -> Option<u8> {
        Some(self.holdings.objects[number].held.as_ref()?.channel)
    }

    /// How many objects are held.
    pub fn held_count(&self) -> usize {
        self.holdings.count
    }

    /// What frames said since counting began.
    pub fn told(&self) -> Told {
        Told { strays: self.holdings.told.strays + self.decoder.strays(), ..self.holdings.told }
    }

    /// Changes of channel, enters and leaves among them: all, and the most of one object in one second.
    pub fn flips(&self) -> (u64, u32) {
        (self.holdings.flips, self.holdings.worst_flips)
    }

    /// Begins to count from here on.
    pub fn count_anew(&mut self) {
        self.holdings.told = Told::default();
        (self.holdings.flips, self.holdings.worst_flips) = (0, 0);
        for object in &mut self.holdings.objects {
            object.flips = (0, 0);
        }
    }
}

impl Holdings {
    fn flip(&mut self, number: usize) {
        let second = self.frame.0 / 60;
        let flips = &mut self.objects[number].flips;
        *flips = if flips.0 == second { (second, flips.1 + 1) } else { (second, 1) };
        self.worst_flips = self.worst_flips.max(flips.1);
        self.flips += 1;
    }
}

impl Visitor for Holdings {
    fn reset(&mut self) {
        for object in &mut self.objects {
            object.held = None;
        }
        self.count = 0;
    }

    fn enter(&mut self, enter: Enter<'_>) {
        let number = number(enter.entity);
        let metres = enter.pose.position.metres();
        let velocity = enter.pose.velocity.map(f64::from);
        if let Some(held) = &mut self.objects[number].held {
            self.told.repeated_enters += 1;
            let delay = self.delays[usize::from(held.channel)];
            let yaw = Some(enter.pose.yaw);
            held.curve.push(self.frame, delay, enter.tick, metres, velocity, yaw, false);
            held.channel = enter.channel;
            return;
        }
        self.told.enters += 1;
        self.count += 1;
        let curve = Curve::new(enter.tick, metres, velocity, enter.pose.yaw);
        self.objects[number].held = Some(Held { curve, channel: enter.channel, loose: (0, 0.0) });
        self.flip(number);
    }

    fn update(&mut self, update: Update<'_>) {
        self.told.updates += 1;
        let number = number(update.entity);
        let Some(held) = &mut self.objects[number].held else {
            self.told.strays += 1;
            return;
        };
        let (before, now) = (usize::from(held.channel), usize::from(update.channel));
        if let (Some(position), Some(velocity)) = (update.position, update.velocity) {
            let (metres, velocity) = (position.metres(), velocity.map(f64::from));
            let delay = self.delays[before];
            held.curve.push(self.frame, delay, update.tick, metres, velocity, update.yaw, update.snap);
        }
        if before != now {
            if now < before {
                held.loose = (self.frame.0 + self.delays[before], self.bounds[before]);
            }
            held.channel = update.channel;
            self.flip(number);
        }
    }

    fn leave(&mut self, entity: EntityId, _reason: LeaveReason) {
        self.told.leaves += 1;
        let number = number(entity);
        if self.objects[number].held.take().is_some() {
            self.count -= 1;
            self.flip(number);
        } else {
            self.told.strays += 1;
        }
    }
}
