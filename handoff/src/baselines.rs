//! Recent states of one entity by tick, which deltas are made of and laid upon.

use std::collections::BTreeMap;
use std::sync::Arc;

use horizon_model::Tick;
use horizon_protocol::link::PartChange;

use crate::Capsule;

/// The same capsule at several ticks. The sender keeps what may still be acknowledged, the receiver
/// what it acknowledged and the sender may still build upon.
///
/// Invariant: at most [`Self::MAX_COPIES`]; the oldest goes first, and whoever needed it is told to
/// begin again with a complete state.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    copies: BTreeMap<Tick, Arc<Capsule>>,
}

impl Baselines {
    /// States kept: half a second at 60 steps per second, many round trips between regions.
    pub const MAX_COPIES: usize = 32;

    /// Without any state.
    pub const fn new() -> Self {
        Self { copies: BTreeMap::new() }
    }

    /// Keeps `capsule` as the state of `tick`.
    pub fn put(&mut self, tick: Tick, capsule: Arc<Capsule>) {
        self.copies.insert(tick, capsule);
        if self.copies.len() > Self::MAX_COPIES {
            self.copies.pop_first();
        }
    }

    /// Forgets what is older than `tick`.
    pub fn forget_before(&mut self, tick: Tick) {
        self.copies = self.copies.split_off(&tick);
    }

    /// The newest state.
    pub fn newest(&self) -> Option<(Tick, &Arc<Capsule>)> {
        self.copies.last_key_value().map(|(&tick, capsule)| (tick, capsule))
    }

    /// The changes that turn the state at `base` into `capsule`, with the base they are really against:
    /// all parts and no base where that state is not kept any more.
    pub fn parts(&self, base: Option<Tick>, capsule: &Capsule) -> (Option<Tick>, Vec<PartChange>) {
        match base.and_then(|tick| self.copies.get(&tick)) {
            Some(old) => (base, capsule.changes_since(old)),
            None => (None, capsule.all_changes()),
        }
    }

    /// Lays `parts` over the state at `base`, or over nothing; `None` where that state is not kept, or they
    /// were made for another one.
    pub fn assemble(&self, base: Option<Tick>, parts: &[PartChange]) -> Option<Capsule> {
        let mut capsule = match base {
            Some(tick) => Capsule::clone(self.copies.get(&tick)?),
            None => Capsule::new(),
        };
        capsule.change(parts).ok()?;
        Some(capsule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_base_is_answered_with_everything() {
        let mut kept = Baselines::new();
        let mut capsule = Capsule::new();
        for n in 0..40_u8 {
            capsule.insert("n", vec![n]);
            capsule.insert(format!("{n}"), vec![]);
            kept.put(Tick(u64::from(n)), Arc::new(capsule.clone()));
        }
        assert_eq!(kept.parts(Some(Tick(3)), &capsule).0, None, "beyond the cap");
        assert_eq!(kept.assemble(Some(Tick(3)), &[]), None);
        let (base, parts) = kept.parts(Some(Tick(38)), &capsule);
        assert_eq!((base, parts.len()), (Some(Tick(38)), 2));
        assert_eq!(kept.assemble(base, &parts), Some(capsule));
        kept.forget_before(Tick(39));
        assert_eq!(kept.newest().map(|(tick, _)| tick), Some(Tick(39)));
        assert_eq!(kept.assemble(Some(Tick(38)), &[]), None);
    }
}
