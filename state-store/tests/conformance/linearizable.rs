//! C16: whatever four clients see of one record could have happened one call after the other.
//!
//! The checker is that of Wing and Gong (1993) with remembered states (Lowe 2017): it looks for an order of
//! the calls in which every answer is right and no call comes before one that had ended when it began.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use horizon_handoff::{CasOutcome, CasRequest, Expect, Record};
use horizon_model::{Epoch, HandoffId, Tick};
use horizon_state_store::{Backend, Reply, Request, StateStore, StoreError};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, WORLD};
use crate::rows::{A, ANNA, first, lease, player};

const CLIENTS: u64 = 4;
/// Of each client; all of them fit into the bits of a word.
const CALLS: u64 = 14;

/// What a call found or did. A record is known by its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Read(Option<Epoch>),
    Won { over: Option<Epoch>, now: Epoch },
    Lost { expected: Option<Epoch>, found: Option<Epoch> },
}

/// One call: when it began, when it ended, what came of it.
#[derive(Debug, Clone, Copy)]
struct Call {
    began: u64,
    ended: u64,
    did: Did,
}

/// The state after `did` in `state`, if that answer is right there.
fn apply(state: Option<Epoch>, did: Did) -> Option<Option<Epoch>> {
    match did {
        Did::Read(found) => (found == state).then_some(state),
        Did::Won { over, now } => (over == state).then_some(Some(now)),
        Did::Lost { expected, found } => (found == state && expected != state).then_some(state),
    }
}

/// Whether some order of the calls explains all answers.
fn is_linearizable(calls: &[Call]) -> bool {
    let all = (1_u64 << calls.len()) - 1;
    let mut seen = HashSet::new();
    let mut open = vec![(0_u64, None)];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        if !seen.insert((done, state)) {
            continue;
        }
        let left = || calls.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        let first_end = left().map(|(_, call)| call.ended).min().expect("not all are done");
        for (at, call) in left().filter(|(_, call)| call.began < first_end) {
            if let Some(next) = apply(state, call.did) {
                open.push((done | (1 << at), next));
            }
        }
    }
    false
}

fn epoch(record: Option<Record>) -> Option<Epoch> {
    record.map(|record| record.epoch)
}

/// Plays four clients on one record and returns what they saw.
async fn play<S: StateStore + Clone>(handles: Vec<S>, seed: u64) -> Vec<Call> {
    let mine = lease(&handles[0], A, ANNA).await;
    let key = player(u128::from(seed));
    let time = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for (client, store) in (0..CLIENTS).zip(handles) {
        let time = Arc::clone(&time);
        clients.spawn(async move {
            let mut calls = Vec::new();
            let mut known: Option<Epoch> = None;
            let mut chance = seed.wrapping_mul(CLIENTS).wrapping_add(client);
            for n in 0..CALLS {
                chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let began = time.fetch_add(1, Ordering::SeqCst);
                let did = if chance >> 63 == 0 {
                    let found = epoch(store.record(key).await.expect("answers"));
                    known = found;
                    Did::Read(found)
                } else {
                    let expect = known.map(|epoch| Expect { epoch, region: A });
                    let handoff = HandoffId((u128::from(client) << 64) | u128::from(n + 1));
                    let request = CasRequest { expect, handoff, tick: Tick(1), ..first(key, &mine, 0) };
                    let outcomes = store.cas(vec![request]).await.expect("answers");
                    match outcomes.into_iter().next().expect("one for one") {
                        CasOutcome::Won(record) => {
                            let over = known.replace(record.epoch);
                            Did::Won { over, now: record.epoch }
                        }
                        CasOutcome::Lost(found) => {
                            let expected = known;
                            known = epoch(found);
                            Did::Lost { expected, found: known }
                        }
                        other => panic!("the lease is held: {other:?}"),
                    }
                };
                let ended = time.fetch_add(1, Ordering::SeqCst);
                calls.push(Call { began, ended, did });
                tokio::task::yield_now().await;
            }
            calls
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

pub(crate) async fn c16_histories_are_linearizable<F: Fixture>(fixture: &mut F) {
    for seed in 0..20 {
        let mut handles = Vec::new();
        for _ in 0..CLIENTS {
            handles.push(fixture.open(WORLD).await);
        }
        let calls = play(handles, seed).await;
        assert!(
            calls.iter().any(|call| matches!(call.did, Did::Won { .. })),
            "seed {seed} changes something"
        );
        assert!(is_linearizable(&calls), "seed {seed}: no order explains {calls:#?}");
    }
}

/// A store that answers every third read from a copy that nobody keeps up to date.
#[derive(Clone)]
struct Stale<B> {
    inner: B,
    copy: Arc<Mutex<(u64, Option<Reply>)>>,
}

#[async_trait]
impl<B: Backend> Backend for Stale<B> {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        if !matches!(request, Request::Record(_)) {
            return self.inner.call(request).await;
        }
        let mut copy = self.copy.lock().await;
        copy.0 += 1;
        match &copy.1 {
            Some(stale) if copy.0.is_multiple_of(3) => Ok(stale.clone()),
            _ => {
                let reply = self.inner.call(request).await?;
                copy.1.get_or_insert(reply.clone());
                Ok(reply)
            }
        }
    }
}

/// The checker's negative control.
pub(crate) async fn c16_a_stale_copy_is_found<F: Fixture>(fixture: &mut F) {
    let mut found = 0;
    for seed in 100..120 {
        let copy = Arc::new(Mutex::new((0, None)));
        let mut handles = Vec::new();
        for _ in 0..CLIENTS {
            handles.push(Stale { inner: fixture.open(WORLD).await, copy: Arc::clone(&copy) });
        }
        found += u32::from(!is_linearizable(&play(handles, seed).await));
    }
    assert!(found >= 10, "stale reads were found in {found} histories of 20");
}
