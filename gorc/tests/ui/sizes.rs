//! Types that have a bound, and are still too large for their channel.

use gorc::GorcObject;

#[derive(GorcObject)]
struct Large {
    #[gorc(critical)]
    fits: [f64; 4],
    #[gorc(critical)]
    rotations: [f32; 9],
    #[gorc(detailed)]
    matrix: [f32; 16],
    #[gorc(detailed)]
    bones: [[f32; 4]; 8],
}

fn main() {}
