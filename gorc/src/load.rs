//! What a region that runs late does to tell less, channel by channel, and when.
//!
//! ```text
//!  level  metadata  cosmetic  detailed  critical
//!    0       -         -         -         -
//!    1       ½                                     ½: fields half as often, bounds of curves twice as wide
//!    2       ¼                                     ¼: a quarter as often, four times as wide
//!   3, 4               ½, ¼
//!   5, 6                         ½, ¼
//!    7                                     ½
//!    8           every client hears every second step: the floor
//! ```
//!
//! Up to level 7 less is told, which saves bytes and some time; most of a step's time is spent on looking, for
//! each client. Where steps do not fit into their period the last level halves that.
//!
//! A curve has its chances as ever and takes fewer of them: with wider bounds fewer knots are needed, while chances
//! that come more seldom would have to be taken more often.
//!
//! Invariant: no channel gives anything up before those further out have given up all they may. Delays stay as
//! they are, so clients draw as before, and what a curve may be off at a drawn tick is the bound times what the
//! level widens it by.

/// The highest level.
pub const MAX_LEVEL: u8 = 8;
/// Share of its period that a step may work before the level rises.
const LATE_SHARE: f32 = 0.75;
/// Share beyond which ticks are lost. Only then clients hear every second step.
const OVERRUN_SHARE: f32 = 1.0;
/// The highest level at which clients hear every step.
const EVERY_STEP: u8 = MAX_LEVEL - 1;
/// Share below which it falls. What lies between keeps it, so that it does not flap.
const EASY_SHARE: f32 = 0.5;
/// Levels per step while steps work too long: one in two steps, one in each that overruns.
const RISE: f32 = 0.5;
/// Levels per step while they do not: one in about two seconds of 30 Hz, so that what was given up for a crowd
/// comes back slowly.
const FALL: f32 = 1.0 / 64.0;

/// How late a region runs, as a level from 0 to [`MAX_LEVEL`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    level: f32,
}

impl Load {
    /// A step worked for `share` of its period. The level after it.
    pub fn observe(&mut self, share: f32) -> u8 {
        let most = f32::from(MAX_LEVEL);
        self.level = if share > OVERRUN_SHARE {
            (self.level + 2.0 * RISE).min(most)
        } else if share > LATE_SHARE {
            (self.level + RISE).min(f32::from(EVERY_STEP).max(self.level))
        } else if share < EASY_SHARE {
            (self.level - FALL).max(0.0)
        } else {
            self.level
        };
        self.level()
    }

    /// The level now.
    pub fn level(&self) -> u8 {
        self.level as u8
    }
}

/// What one channel gives up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Relief {
    /// Its fields are told at one in so many of its times.
    pub(crate) every: u64,
    /// What the bound of its curves is multiplied by.
    pub(crate) wide: f32,
}

const ALL: Relief = Relief { every: 1, wide: 1.0 };
const HALF: Relief = Relief { every: 2, wide: 2.0 };
const QUARTER: Relief = Relief { every: 4, wide: 4.0 };

/// By level and channel.
pub(crate) const RELIEF: [[Relief; 4]; MAX_LEVEL as usize + 1] = [
    [ALL, ALL, ALL, ALL],
    [ALL, ALL, ALL, HALF],
    [ALL, ALL, ALL, QUARTER],
    [ALL, ALL, HALF, QUARTER],
    [ALL, ALL, QUARTER, QUARTER],
    [ALL, HALF, QUARTER, QUARTER],
    [ALL, QUARTER, QUARTER, QUARTER],
    [HALF, QUARTER, QUARTER, QUARTER],
    [HALF, QUARTER, QUARTER, QUARTER],
];

/// Steps from one body of a client to the next.
pub(crate) const fn body_every(level: u8) -> u64 {
    if level > EVERY_STEP { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_rises_at_once_and_falls_slowly() {
        let mut load = Load::default();
        let after = |load: &mut Load, share: f32, steps: u32| {
            (0..steps).fold(load.level(), |_, _| load.observe(share))
        };
        assert_eq!(after(&mut load, 0.74, 1_000), 0, "late is what takes more than three quarters");
        assert_eq!(after(&mut load, 0.9, 1), 0, "one late step is nothing");
        assert_eq!(after(&mut load, 0.9, 1), 1);
        assert_eq!(after(&mut load, 1.2, 3), 4, "those that overrun count twice");
        assert_eq!(after(&mut load, 0.6, 1_000), 4, "neither late nor easy");
        assert_eq!(after(&mut load, 0.9, 100), EVERY_STEP, "late steps are kept steps");
        assert_eq!(after(&mut load, 9.0, 2), MAX_LEVEL);
        assert_eq!(after(&mut load, 0.9, 100), MAX_LEVEL, "it stays until there is room");
        assert_eq!(after(&mut load, 0.4, 1), MAX_LEVEL - 1);
        assert_eq!(after(&mut load, 0.4, 63 + 1), MAX_LEVEL - 2);
        assert_eq!(after(&mut load, 0.1, 1_000), 0);
    }

    #[test]
    fn outer_channels_give_up_first_and_nothing_is_given_up_twice() {
        assert_eq!((body_every(EVERY_STEP), body_every(MAX_LEVEL)), (1, 2));
        for (level, rows) in RELIEF[..MAX_LEVEL as usize].windows(2).enumerate() {
            let changed: Vec<usize> =
                (0..4).filter(|channel| rows[0][*channel] != rows[1][*channel]).collect();
            let [channel] = changed[..] else { panic!("level {level}: {changed:?}") };
            assert!(rows[1][channel].every >= rows[0][channel].every, "level {level}");
            assert!(rows[1][channel].wide >= rows[0][channel].wide, "level {level}");
            assert!(rows[0][channel + 1..].iter().all(|outer| *outer == QUARTER), "level {level}");
            assert!(rows[1][..channel].iter().all(|inner| *inner == ALL), "level {level}");
        }
        assert_eq!(RELIEF[0], [ALL; 4]);
    }
}
