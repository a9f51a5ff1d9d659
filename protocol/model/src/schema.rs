//! What an object type shows, on which of the four proximity channels, how far and how often.

use rkyv::{Archive, Deserialize, Serialize};

use crate::{TICKS_PER_SECOND, TickRate};

/// One of the four proximity tiers. Position goes out on every channel an observer holds.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub enum Channel {
    /// Position, health, combat.
    Critical,
    /// Velocity and heading.
    Detailed,
    /// Animation and effects.
    Cosmetic,
    /// Name, inventory, statistics.
    Metadata,
}

impl Channel {
    /// All four, the nearest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Detailed, Self::Cosmetic, Self::Metadata];

    /// 0 for critical to 3 for metadata, as it travels.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The channel with this index, or `None` above 3.
    pub const fn from_index(index: usize) -> Option<Self> {
        match index {
            0 => Some(Self::Critical),
            1 => Some(Self::Detailed),
            2 => Some(Self::Cosmetic),
            3 => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// Reach and rate of one channel of one object type.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct ChannelSpec {
    /// Observers this near hold the channel.
    pub radius_metres: f64,
    /// They lose it this much further out, so that standing on the radius does not flap.
    pub hysteresis_metres: f64,
    /// Updates per second at most; divides the world grid of 60. What moves as foretold is sent less often.
    pub rate_hz: u32,
    /// How far off the picture of a client may be, in centimetres; not below [`Self::FINEST_CM`].
    pub precision_cm: u32,
    /// Weight against the other channels where bytes are short; positive.
    pub priority: f32,
    /// At most about this many objects, the nearest, are held on this channel; the others on the ones
    /// further out. 0 is no limit.
    pub nearest: u32,
}

impl ChannelSpec {
    /// Smallest precision of each channel in centimetres: the diagonal of half its position step, rounded up.
    pub const FINEST_CM: [u32; 4] = [6, 25, 50, 50];

    /// The defaults of the four channels: 50, 150, 300 and 1000 m at 30, 15, 10 and 2 Hz.
    pub const DEFAULT: [Self; 4] = [
        Self::preset(50.0, 3.0, 30, 9, 8.0),
        Self::preset(150.0, 6.0, 15, 45, 4.0),
        Self::preset(300.0, 12.0, 10, 150, 2.0),
        Self::preset(1000.0, 30.0, 2, 190, 1.0),
    ];

    const fn preset(radius: f64, hysteresis: f64, rate_hz: u32, precision_cm: u32, priority: f32) -> Self {
        Self {
            radius_metres: radius,
            hysteresis_metres: hysteresis,
            rate_hz,
            precision_cm,
            priority,
            nearest: 0,
        }
    }

    /// Rates that keep each channel in its band, in hertz.
    pub const BANDS: [std::ops::RangeInclusive<u32>; 4] = [30..=60, 15..=30, 5..=15, 1..=5];

    /// Grid ticks from one update to the next.
    pub const fn period_ticks(&self) -> u64 {
        TICKS_PER_SECOND / self.rate_hz as u64
    }

    /// How far behind the newest frame of a region that steps at `rate` a client draws what it holds on
    /// this channel, in grid ticks: three periods in whole steps, and at most a second.
    ///
    /// One is the time to the next chance, one lets the sender see how a movement goes on before it
    /// tells of it, and one is for objects of a neighbour region, which are known a step later.
    pub const fn delay_ticks(&self, rate: TickRate) -> u64 {
        let period = self.period_ticks().div_ceil(rate.step()) * rate.step();
        if 3 * period <= TICKS_PER_SECOND {
            3 * period
        } else if period > TICKS_PER_SECOND {
            period
        } else {
            TICKS_PER_SECOND / rate.step() * rate.step()
        }
    }

    /// Checks one channel by itself.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] where the rate does not divide the grid, or the radius or the priority is not
    /// positive.
    pub fn check(&self) -> Result<(), SchemaError> {
        if self.rate_hz == 0 || !TICKS_PER_SECOND.is_multiple_of(u64::from(self.rate_hz)) {
            return Err(SchemaError::Rate(self.rate_hz));
        }
        if !(self.radius_metres.is_finite() && self.radius_metres > 0.0) {
            return Err(SchemaError::Radius(self.radius_metres));
        }
        if !(self.hysteresis_metres.is_finite() && self.hysteresis_metres >= 0.0) {
            return Err(SchemaError::Radius(self.hysteresis_metres));
        }
        if !(self.priority.is_finite() && self.priority > 0.0) {
            return Err(SchemaError::Priority(self.priority));
        }
        Ok(())
    }

    /// Checks four channels together: each by itself and against what its numbers can say, and each
    /// reaching further than the one before.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] as [`Self::check`], [`SchemaError::Precision`] or [`SchemaError::Order`].
    pub fn check_all(specs: &[Self; 4]) -> Result<(), SchemaError> {
        specs.iter().try_for_each(Self::check)?;
        for (spec, finest) in specs.iter().zip(Self::FINEST_CM) {
            if !(finest..=10_000).contains(&spec.precision_cm) {
                return Err(SchemaError::Precision(spec.precision_cm, finest));
            }
        }
        match specs.windows(2).find(|pair| pair[0].radius_metres >= pair[1].radius_metres) {
            Some(pair) => Err(SchemaError::Order(pair[0].radius_metres, pair[1].radius_metres)),
            None => Ok(()),
        }
    }
}

/// A channel table that cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// Rates divide the world grid, so that every region sends on the same ticks.
    #[error("a channel rate of {0} Hz does not divide 60; choose 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60")]
    Rate(u32),
    /// Distances are positive numbers of metres.
    #[error("a distance of {0} m is not a positive number of metres")]
    Radius(f64),
    /// A position step is not finer than it is.
    #[error("a precision of {0} cm is not between {1} and 10000 cm, what this channel can be told in")]
    Precision(u32, u32),
    /// A weight of nothing would never be sent.
    #[error("a priority of {0} is not a positive number")]
    Priority(f32),
    /// Channels reach outwards.
    #[error("a channel of {0} m is followed by one of {1} m; each must reach further than the one before")]
    Order(f64, f64),
}

/// Names an object type within one world. Players are type 0.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub struct ObjectTypeId(pub u16);

impl ObjectTypeId {
    /// The avatars of players.
    pub const PLAYER: Self = Self(0);
}

/// One named value of an object that observers may see, as bytes its author chose.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct FieldSpec {
    /// Unique within the type.
    pub name: String,
    /// Who sees it, and how often.
    pub channel: Channel,
}

/// What observers may see of a type. Fields are added at the end, never moved or removed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct ObjectSchema {
    /// Names the type in configuration and JSON.
    pub name: String,
    /// Reach and rate of the four channels.
    pub channels: [ChannelSpec; 4],
    /// At most 32, numbered by their place.
    pub fields: Vec<FieldSpec>,
}

impl ObjectSchema {
    /// A type with the default channels and no fields.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), channels: ChannelSpec::DEFAULT, fields: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_errors_name_the_value() {
        assert_eq!(ChannelSpec::check_all(&ChannelSpec::DEFAULT), Ok(()));
        let mut specs = ChannelSpec::DEFAULT;
        specs[0].rate_hz = 7;
        assert_eq!(ChannelSpec::check_all(&specs), Err(SchemaError::Rate(7)));
    }
}
