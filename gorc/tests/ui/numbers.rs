//! Numbers of channels.

use gorc::GorcObject;

#[derive(GorcObject)]
#[gorc(critical(rate_hz = 20))]
#[gorc(detailed(rate_hz = 16))]
#[gorc(cosmetic(rate_hz = 60))]
#[gorc(metadata(rate_hz = 0))]
struct Rates {}

#[derive(GorcObject)]
#[gorc(critical(precision_cm = 5))]
#[gorc(detailed(precision_cm = 24))]
#[gorc(cosmetic(precision_cm = 50.5))]
#[gorc(metadata(precision_cm = 10_001))]
struct Precisions {}

#[derive(GorcObject)]
#[gorc(critical(radius_metres = 150))]
#[gorc(metadata(radius_metres = 299.5))]
struct Radii {}

#[derive(GorcObject)]
#[gorc(critical(rate = 30, radius_metres = 0, hysteresis_metres = -1, priority = 0, nearest = 1.5))]
#[gorc(detailed(rate_hz = FAST, radius_metres = 100, radius_metres = 120))]
#[gorc(cosmetic = 10)]
struct Others {}

fn main() {}
