//! Everything a struct may say, in a crate that knows nothing but gorc and serde.

use std::collections::BTreeMap;

use gorc::GorcObject;
use gorc::model::{Pose, Position};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Stance {
    Standing,
    Leaning { degrees: f32 },
}

#[derive(GorcObject)]
#[gorc(name = "crate_box", metadata(radius_metres = 2_000.5, rate_hz = 1))]
#[gorc(critical(
    radius_metres = 60,
    hysteresis_metres = 0,
    rate_hz = 60,
    precision_cm = 6,
    priority = 9.5,
    nearest = 20
))]
pub struct CrateBox {
    #[gorc(critical)]
    pub(crate) position: Position,
    #[gorc(detailed)]
    velocity: [f32; 3],
    #[gorc(detailed)]
    yaw: f32,
    #[gorc(critical)]
    r#type: Option<(u16, [u8; 4])>,
    #[gorc(detailed)]
    stance: Stance,
    #[gorc(cosmetic)]
    labels: BTreeMap<String, Vec<(u8, u8)>>,
    #[gorc(metadata)]
    title: String,
    #[gorc(skip)]
    spawned_at: Position,
    #[gorc(skip)]
    then: fn(u8, u8) -> Option<u8>,
}

#[derive(GorcObject)]
struct Ball {
    #[gorc(critical)]
    body: Pose,
}

/// Metres, as an engine has them.
struct Metres(f64, f64, f64);

impl gorc::model::PositionValue for Metres {
    fn read(&self) -> Option<Position> {
        Position::from_metres([self.0, self.1, self.2])
    }

    fn write(&mut self, position: Position) {
        let [x, y, z] = position.metres();
        *self = Self(x, y, z);
    }
}

macro_rules! thing {
    ($(#[$meta:meta])* $vis:vis $name:ident, $ty:ty) => {
        #[derive(GorcObject)]
        $(#[$meta])*
        $vis struct $name {
            #[gorc(critical)]
            position: Metres,
            #[gorc(metadata)]
            $vis value: $ty,
        }
    };
}

thing!(#[gorc(name = "thing", crate = renamed)] pub(crate) Thing, Vec<u8>);

use gorc as renamed;

#[derive(GorcObject)]
struct Nothing {}

fn main() {
    let _ = [Stance::Standing, Stance::Leaning { degrees: 1.5 }];
    let names = [CrateBox::TYPE_NAME, Ball::TYPE_NAME, Thing::TYPE_NAME, Nothing::TYPE_NAME];
    assert_eq!(names, ["crate_box", "ball", "thing", "nothing"]);
}
