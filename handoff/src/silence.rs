//! Who has fallen silent: peers that say something ten times a second, and were not heard for half a
//! second in which the listener itself was awake.
//!
//! Silence is counted on the listener's own time, and of that only what it was awake for: a listener
//! that was stalled, stopped or suspended learns nothing from what it did not hear meanwhile. So two
//! listeners that agree are evidence against the one they do not hear, and not against themselves.

use std::collections::BTreeMap;
use std::time::Duration;

/// A peer that was not heard for so long has fallen silent: five of its words in a row are missing.
pub const SILENCE: Duration = Duration::from_millis(500);
/// Of the time between two looks no more than this counts: a listener that comes later was stalled.
pub const MAX_LOOK: Duration = Duration::from_millis(100);

/// One listener. Peers are watched from their first word on.
#[derive(Debug, Clone)]
pub struct Watch<P> {
    /// Time awake at each peer's last word.
    heard: BTreeMap<P, Duration>,
    awake: Duration,
    looked: Option<Duration>,
}

impl<P> Default for Watch<P> {
    fn default() -> Self {
        Self { heard: BTreeMap::new(), awake: Duration::ZERO, looked: None }
    }
}

impl<P: Copy + Ord> Watch<P> {
    /// `peer` has said something since the last look.
    pub fn hear(&mut self, peer: P) {
        self.heard.insert(peer, self.awake);
    }

    /// Watches only those for whom `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(P) -> bool) {
        self.heard.retain(|peer, _| keep(*peer));
    }

    /// Lets time pass until `now`. Returns who has been silent for [`SILENCE`] or longer, in order, with
    /// the time awake since their last word. To be called after what came by `now` was taken in, and
    /// more often than [`MAX_LOOK`].
    pub fn look(&mut self, now: Duration) -> Vec<(P, Duration)> {
        let passed = now.saturating_sub(self.looked.unwrap_or(now));
        self.looked = Some(now);
        self.awake += passed.min(MAX_LOOK);
        let silent = self.heard.iter().map(|(peer, heard)| (*peer, self.awake.saturating_sub(*heard)));
        silent.filter(|(_, silence)| *silence >= SILENCE).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Looks every 50 ms up to `until`, and returns the last answer.
    fn look_until(watch: &mut Watch<u8>, from: u64, until: u64) -> Vec<(u8, Duration)> {
        (from..=until).step_by(50).map(|at| watch.look(ms(at))).last().unwrap_or_default()
    }

    #[test]
    fn half_a_second_without_a_word_is_silence() {
        let mut watch = Watch::default();
        assert_eq!(look_until(&mut watch, 0, 1_000), [], "nobody was ever heard");
        watch.hear(1);
        watch.hear(2);
        assert_eq!(look_until(&mut watch, 1_050, 1_450), []);
        watch.hear(2);
        assert_eq!(look_until(&mut watch, 1_500, 1_500), [(1, ms(500))]);
        assert_eq!(look_until(&mut watch, 1_550, 1_900), [(1, ms(900))]);
        watch.hear(1);
        assert_eq!(look_until(&mut watch, 1_950, 1_950), [(2, ms(500))], "a word ends it");
        watch.retain(|peer| peer != 2);
        assert_eq!(look_until(&mut watch, 2_000, 2_350), []);
    }

    #[test]
    fn who_was_stalled_accuses_nobody() {
        let mut watch = Watch::default();
        watch.look(ms(0));
        watch.hear(1);
        assert_eq!(watch.look(ms(15_000)), [], "stopped for fifteen seconds");
        assert_eq!(look_until(&mut watch, 15_050, 15_350), []);
        assert_eq!(look_until(&mut watch, 15_400, 15_400), [(1, ms(500))], "and awake since");
    }

    proptest! {
        /// However the listener is stalled: a peer that says something at least once in every 400 ms of
        /// the listener's waking time is never accused.
        #[test]
        fn who_speaks_is_not_accused(looks in prop::collection::vec((1_u64..5_000, any::<bool>()), 1..200)) {
            let mut watch = Watch::default();
            watch.look(Duration::ZERO);
            watch.hear(1);
            let (mut now, mut quiet) = (0, 0);
            for (pause, speaks) in looks {
                now += pause;
                quiet += pause.min(100);
                if speaks || quiet > 400 {
                    watch.hear(1);
                    quiet = pause.min(100);
                }
                prop_assert_eq!(watch.look(ms(now)), []);
            }
        }
    }
}
