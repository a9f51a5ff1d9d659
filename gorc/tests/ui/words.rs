//! Words on fields and structs, and the parts of a pose.

use gorc::GorcObject;
use gorc::model::{Pose, Position};

#[derive(GorcObject)]
#[gorc(nam = "crate_box")]
#[gorc(name = 7)]
#[gorc]
struct Fields {
    health: u16,
    #[gorc(critcal)]
    shield: u16,
    #[gorc(always)]
    armour: u16,
    #[gorc(critical, detailed)]
    stance: u8,
    #[gorc(metadata)]
    #[gorc(skip)]
    title: String,
    #[gorc(cosmetic(rate_hz = 10))]
    glow: f32,
}

#[derive(GorcObject)]
#[gorc(name = "a", name = "b")]
#[gorc(critical(rate_hz = 30))]
#[gorc(critical(rate_hz = 60))]
struct Twice {
    #[gorc(critical)]
    position: Position,
    #[gorc(critical)]
    home: Position,
}

#[derive(GorcObject)]
struct PoseOnOtherChannels {
    #[gorc(metadata)]
    position: Position,
    #[gorc(critical)]
    velocity: [f32; 3],
    #[gorc(cosmetic)]
    heading: f32,
}

#[derive(GorcObject)]
struct PoseAndParts {
    #[gorc(critical)]
    pose: Pose,
    #[gorc(critical)]
    position: Position,
}

#[derive(GorcObject)]
struct Nowhere {
    #[gorc(detailed)]
    velocity: [f32; 3],
}

fn main() {}
