//! When each object has a chance to be told of on each channel.
//!
//! Decided by the tick, the entity and the channel alone, so that every region that knows the object
//! gives it the same chances, and spread, so that channels and objects do not all fall on one tick.

use horizon_model::{Channel, ChannelSpec, EntityId, Tick, TickRate};

/// Whether `entity` has a chance on `channel` at `tick`.
///
/// Channels of one object, and objects among themselves, are staggered by an even phase. A region
/// that steps more slowly than the channel, or out of step with it, gives the first step at or
/// after each due tick, so the rate is kept wherever it can be.
pub fn due(tick: Tick, entity: EntityId, channel: Channel, spec: &ChannelSpec, rate: TickRate) -> bool {
    since_due(tick.0 as i64, entity.bits(), channel.index(), spec.period_ticks().max(1)) < rate.step()
}

/// Ticks since the last due tick, below `period_ticks`.
pub(crate) fn since_due(tick: i64, entity: u64, channel: usize, period_ticks: u64) -> u64 {
    let slots = period_ticks.div_ceil(2);
    let phase = 2 * (mix(entity ^ ((channel as u64 + 1) << 56)) % slots);
    (tick as u64).wrapping_add(phase) % period_ticks
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(step_hz: u64, rate_hz: u32, seconds: u64) -> Vec<usize> {
        let rate = TickRate::from_hz(step_hz).unwrap();
        let spec = ChannelSpec { rate_hz, ..ChannelSpec::DEFAULT[0] };
        (1..=50)
            .map(|n| {
                let entity = EntityId::from_bits(n).unwrap();
                (0..seconds * 60)
                    .step_by(rate.step() as usize)
                    .filter(|&t| due(Tick(t), entity, Channel::Cosmetic, &spec, rate))
                    .count()
            })
            .collect()
    }

    #[test]
    fn every_channel_rate_is_kept_by_regions_of_every_rate() {
        for (step_hz, rate_hz) in
            [(30, 30), (30, 15), (30, 10), (30, 2), (60, 60), (60, 20), (30, 20), (20, 15)]
        {
            let expected = rate_hz as usize * 10;
            for n in count(step_hz, rate_hz, 10) {
                assert!(n.abs_diff(expected) <= 1, "{step_hz} Hz region, {rate_hz} Hz channel: {n}");
            }
        }
        assert!(count(20, 30, 10).iter().all(|&n| n == 200), "a slow region sends every sample");
    }

    #[test]
    fn phases_are_even_and_spread() {
        let mut seen = [0; 30];
        for n in 1..=3000 {
            let phase = since_due(0, n, 3, 30);
            assert!(phase < 30 && phase.is_multiple_of(2));
            seen[phase as usize] += 1;
        }
        assert!(seen.iter().step_by(2).all(|&n| (120..280).contains(&n)), "{seen:?}");
    }
}
