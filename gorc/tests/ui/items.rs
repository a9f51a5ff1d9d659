//! What cannot be an object.

use gorc::GorcObject;

#[derive(GorcObject)]
enum Stance {
    Standing,
}

#[derive(GorcObject)]
union Bits {
    whole: u32,
}

#[derive(GorcObject)]
struct Pair(u8, u8);

#[derive(GorcObject)]
struct Generic<T> {
    #[gorc(metadata)]
    value: T,
}

#[derive(GorcObject)]
#[rustfmt::skip]
struct TooMany {
    #[gorc(skip)] hidden: u8,
    #[gorc(metadata)] a1: u8, #[gorc(metadata)] a2: u8, #[gorc(metadata)] a3: u8, #[gorc(metadata)] a4: u8,
    #[gorc(metadata)] b1: u8, #[gorc(metadata)] b2: u8, #[gorc(metadata)] b3: u8, #[gorc(metadata)] b4: u8,
    #[gorc(metadata)] c1: u8, #[gorc(metadata)] c2: u8, #[gorc(metadata)] c3: u8, #[gorc(metadata)] c4: u8,
    #[gorc(metadata)] d1: u8, #[gorc(metadata)] d2: u8, #[gorc(metadata)] d3: u8, #[gorc(metadata)] d4: u8,
    #[gorc(metadata)] e1: u8, #[gorc(metadata)] e2: u8, #[gorc(metadata)] e3: u8, #[gorc(metadata)] e4: u8,
    #[gorc(metadata)] f1: u8, #[gorc(metadata)] f2: u8, #[gorc(metadata)] f3: u8, #[gorc(metadata)] f4: u8,
    #[gorc(metadata)] g1: u8, #[gorc(metadata)] g2: u8, #[gorc(metadata)] g3: u8, #[gorc(metadata)] g4: u8,
    #[gorc(metadata)] h1: u8, #[gorc(metadata)] h2: u8, #[gorc(metadata)] h3: u8, #[gorc(metadata)] h4: u8,
    #[gorc(metadata)] thirty_third: u8,
}

fn main() {}
