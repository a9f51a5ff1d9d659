//! Types on channels that are not for them.

use std::collections::BTreeMap;

use gorc::GorcObject;
use gorc::model::Position;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Stance {
    Standing,
}

#[derive(Clone, Copy)]
struct Unknown;

#[derive(GorcObject)]
struct Unbounded {
    #[gorc(critical)]
    title: String,
    #[gorc(critical)]
    scores: BTreeMap<u8, u32>,
    #[gorc(detailed)]
    path: Vec<u8>,
    #[gorc(detailed)]
    stance: Stance,
}

#[derive(GorcObject)]
struct Unsendable {
    #[gorc(metadata)]
    unknown: Unknown,
    #[gorc(metadata)]
    homes: Vec<Position>,
    #[gorc(metadata)]
    borrowed: &'static str,
}

struct Pose;

#[derive(GorcObject)]
struct OddParts {
    #[gorc(critical)]
    position: [f32; 2],
    #[gorc(detailed)]
    velocity: f64,
    #[gorc(detailed)]
    yaw: String,
}

#[derive(GorcObject)]
struct OddPose {
    #[gorc(critical)]
    pose: Pose,
}

fn main() {}
