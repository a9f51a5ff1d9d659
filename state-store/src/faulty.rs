//! A store whose road is bad: requests and answers get lost, by a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::request::{Backend, Reply, Request};
use crate::store::StoreError;

/// How bad the road is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Requests of a hundred that never reach the store.
    pub lost_requests_percent: u64,
    /// Answers of a hundred that are lost after the store has acted.
    pub lost_answers_percent: u64,
}

/// Loses requests and answers of the store behind it. A write then fails with
/// [`StoreError::Unknown`] whichever of the two was lost, a read with [`StoreError::Unavailable`].
#[derive(Debug)]
pub struct Faulty<B> {
    inner: B,
    faults: Faults,
    chance: AtomicU64,
}

impl<B: Backend> Faulty<B> {
    /// The same seed loses the same calls, as long as calls come in the same order.
    pub fn new(inner: B, faults: Faults, seed: u64) -> Self {
        Self { inner, faults, chance: AtomicU64::new(seed) }
    }

    /// 0 to 99. SplitMix64 (Steele, Lea, Flood 2014): state by a constant step, then mixed.
    fn percent(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 100
    }
}

#[async_trait]
impl<B: Backend> Backend for Faulty<B> {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        let lost = if request.is_repeatable() {
            StoreError::Unavailable("lost on purpose".into())
        } else {
            StoreError::Unknown
        };
        if self.percent() < self.faults.lost_requests_percent {
            return Err(lost);
        }
        let reply = self.inner.call(request).await?;
        if self.percent() < self.faults.lost_answers_percent { Err(lost) } else { Ok(reply) }
    }
}
