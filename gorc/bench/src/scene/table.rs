//! The scenes by name.

use std::f64::consts::PI;
use std::rc::Rc;

use gorc::grid::Isa;
use horizon_model::ChannelSpec;

use super::{Moves, Scene};
use crate::gauge::{Classes, Eye};
use crate::movement::{Cars, Match, Movement, Movers, Square, Truth, Walkers, Zigzag};

/// Every scene, in the order in which they run.
pub const NAMES: [&str; 11] = [
    "movers-1000x60",
    "movers-1000x60-raw",
    "pikko-1000-walk",
    "pikko-1000-drive",
    "players-10k",
    "crowd-1000",
    "crowd-1000-tight",
    "pitches-20",
    "pitches-20-own",
    "crossing",
    "zigzag",
];

/// What scenes are made of besides their seeds.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Recorded matches, at least one.
    pub matches: Rc<[Match]>,
    /// Seconds to count, in place of each scene's own.
    pub seconds: Option<f64>,
}

const HZ: u64 = 30;
/// Metres beyond which no scene reaches.
const EVERYWHERE: f64 = 100_000.0;
/// Metres in which only an observer's own avatar stands.
const HERE: f64 = 0.05;

/// The scenes of this name: one for each set of instructions where the scene is about them. Nothing for
/// a name without scenes, and for `crossing`, which is run by [`super::crossing`].
pub fn scenes(name: &str, inputs: &Inputs) -> Vec<Scene> {
    let mut scenes = match name {
        "movers-1000x60" => vec![movers(name, true)],
        "movers-1000x60-raw" => vec![movers(name, false)],
        "pikko-1000-walk" => vec![pikko_walk(name)],
        "pikko-1000-drive" => vec![pikko_drive(name, inputs)],
        "players-10k" => Isa::available().map(|isa| players(10_000, 50.0, isa)).collect(),
        "crowd-1000" => vec![crowd(name, 16_000)],
        "crowd-1000-tight" => vec![crowd(name, 4_000)],
        "pitches-20" => vec![pitches(name, inputs, [100.0, 140.0])],
        // Further apart than the outermost channel reaches.
        "pitches-20-own" => vec![pitches(name, inputs, [2500.0, 2500.0])],
        "zigzag" => vec![zigzag(name)],
        _ => vec![],
    };
    for scene in &mut scenes {
        scene.seconds = inputs.seconds.unwrap_or(scene.seconds);
    }
    scenes
}

fn scene(name: &str, moves: Moves, channels: [ChannelSpec; 4]) -> Scene {
    let eyes = (0..moves().count()).map(Eye::Object).collect();
    Scene {
        name: name.to_owned(),
        hz: HZ,
        channels,
        moves,
        eyes,
        suppression: true,
        budget_bytes: None,
        classes: Classes::Metres([EVERYWHERE; 2]),
        warm_up_seconds: 3.0,
        seconds: 10.0,
        tracked: 32,
        isa: Isa::detect(),
        splits_encoding: true,
    }
}

fn with_radii(radii: [f64; 4], hysteresis_metres: f64) -> [ChannelSpec; 4] {
    let mut channels = ChannelSpec::DEFAULT;
    for (channel, radius_metres) in channels.iter_mut().zip(radii) {
        (channel.radius_metres, channel.hysteresis_metres) = (radius_metres, hysteresis_metres);
    }
    channels
}

/// 1000 movers of whom each sees 60, itself among them, all at 30 Hz and as exactly as can be.
fn movers(name: &str, suppression: bool) -> Scene {
    let moves: Moves = Box::new(|| Box::new(Movers::new(0x60, 1000, Square::centred(190.0), HZ)));
    let radius = radius_with(60.0, moves().as_mut());
    let mut channels = with_radii([radius, radius + 0.01, radius + 0.02, radius + 0.03], 0.0);
    for channel in &mut channels {
        // A hand's breadth of the outer channels is in sight, and shall not be drawn a second later.
        channel.rate_hz = 30;
    }
    Scene { suppression, ..scene(name, moves, channels) }
}

/// Within how many metres each object has `visible` others on average, itself counted, once they have
/// moved for a while: who turns at walls comes to be near them.
fn radius_with(visible: f64, movement: &mut dyn Movement) -> f64 {
    let mut now = vec![Truth::default(); movement.count()];
    (0..8 * HZ).for_each(|_| movement.step(&mut now));
    let mut all: Vec<f64> = Vec::with_capacity(now.len() * now.len());
    for from in &now {
        all.extend(now.iter().map(|to| crate::movement::distance(from.metres, to.metres)));
    }
    let rank = ((visible * now.len() as f64) as usize).clamp(1, all.len()) - 1;
    *all.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The nearest 125 at 15 Hz, all others at 3 Hz.
fn pikko_channels(near_cm: u32, far_cm: u32) -> [ChannelSpec; 4] {
    let [critical, detailed, cosmetic, metadata] =
        with_radii([HERE, EVERYWHERE, EVERYWHERE + 1.0, EVERYWHERE + 2.0], 0.0);
    [
        critical,
        ChannelSpec { nearest: 125, rate_hz: 15, precision_cm: near_cm, ..detailed },
        // As the next one, and only there so that the nearest have some slack in their rank.
        ChannelSpec { nearest: 150, rate_hz: 3, precision_cm: far_cm, ..cosmetic },
        ChannelSpec { rate_hz: 3, precision_cm: far_cm, ..metadata },
    ]
}

fn pikko(name: &str, moves: Moves, channels: [ChannelSpec; 4]) -> Scene {
    Scene {
        classes: Classes::Nearest { count: 125, channel: 1 },
        warm_up_seconds: 5.0,
        seconds: 20.0,
        ..scene(name, moves, channels)
    }
}

fn pikko_walk(name: &str) -> Scene {
    let moves = || Box::new(Walkers::new(0x125, 1000, Square::centred(200.0), HZ)) as Box<dyn Movement>;
    pikko(name, Box::new(moves), pikko_channels(25, 100))
}

fn pikko_drive(name: &str, inputs: &Inputs) -> Scene {
    let matches = Rc::clone(&inputs.matches);
    let seconds = inputs.seconds.unwrap_or(20.0) + 10.0;
    let moves = move || Box::new(Cars::crowd(&matches, 0x126, 1000, seconds, HZ)) as Box<dyn Movement>;
    pikko(name, Box::new(moves), pikko_channels(60, 150))
}

/// Edge in metres of a square in which `count` players have `neighbours` others within 50 m, at the walls
/// fewer.
pub fn edge_of(count: usize, neighbours: f64) -> f64 {
    (count as f64 * PI * 50.0 * 50.0 / neighbours).sqrt()
}

/// `count` moving players, with `neighbours` of each within 50 m, on channels of 10, 25, 50 and 100 m.
pub fn players(count: usize, neighbours: f64, isa: Isa) -> Scene {
    let edge = edge_of(count, neighbours);
    let moves = move || Box::new(Movers::new(0x10, count, Square::centred(edge), HZ)) as Box<dyn Movement>;
    let mut channels = ChannelSpec::DEFAULT;
    for (channel, (radius_metres, rate_hz)) in
        channels.iter_mut().zip([(10.0, 30), (25.0, 15), (50.0, 10), (100.0, 5)])
    {
        *channel =
            ChannelSpec { radius_metres, rate_hz, hysteresis_metres: radius_metres * 0.06, ..*channel };
    }
    Scene {
        classes: Classes::Metres([10.0, 50.0]),
        tracked: 64,
        isa,
        ..scene("players-10k", Box::new(moves), channels)
    }
}

/// 1000 players none of whom is further than 25 m from the middle, on so many bytes a second each.
fn crowd(name: &str, bytes_per_second: u32) -> Scene {
    let edge = 50.0 / 2.0_f64.sqrt();
    let moves = move || Box::new(Movers::new(0x25, 1000, Square::centred(edge), HZ)) as Box<dyn Movement>;
    let mut channels = ChannelSpec::DEFAULT;
    for (channel, nearest) in channels.iter_mut().zip([40, 160, 400, 0]) {
        channel.nearest = nearest;
    }
    Scene {
        budget_bytes: Some(bytes_per_second / HZ as u32),
        classes: Classes::Nearest { count: 40, channel: 0 },
        warm_up_seconds: 10.0,
        seconds: 20.0,
        ..scene(name, Box::new(moves), channels)
    }
}

/// Twenty matches side by side, with an observer in every car.
fn pitches(name: &str, inputs: &Inputs, spacing: [f64; 2]) -> Scene {
    let matches = Rc::clone(&inputs.matches);
    let cars = Cars::pitches(&matches, 20, spacing, HZ);
    let eyes = cars.parts().enumerate().filter(|(_, part)| part.body > 0);
    let eyes = eyes.map(|(number, _)| Eye::Object(number)).collect();
    let moves = move || Box::new(Cars::pitches(&matches, 20, spacing, HZ)) as Box<dyn Movement>;
    Scene {
        eyes,
        classes: Classes::Metres([50.0, 150.0]),
        warm_up_seconds: 5.0,
        seconds: 60.0,
        tracked: 40,
        ..scene(name, Box::new(moves), ChannelSpec::DEFAULT)
    }
}

/// Objects that swing over every radius of the one observer, and over the edge of every hysteresis.
fn zigzag(name: &str) -> Scene {
    let radii = ChannelSpec::DEFAULT
        .map(|channel| [channel.radius_metres, channel.radius_metres + channel.hysteresis_metres]);
    let radii = radii.concat();
    let moves = move || Box::new(Zigzag::new(0x22, &radii, 8, HZ)) as Box<dyn Movement>;
    Scene {
        eyes: vec![Eye::Place([0.0; 3])],
        classes: Classes::Metres([50.0, 150.0]),
        seconds: 20.0,
        ..scene(name, Box::new(moves), ChannelSpec::DEFAULT)
    }
}
