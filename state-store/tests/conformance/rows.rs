//! What every store promises.

mod batches;

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::{
    CasOutcome, CasRequest, EntityKey, Expect, Kept, Lease, LeaseGuard, MAX_CAPSULE_BYTES, Record,
    SessionCas, SessionOutcome,
};
use horizon_model::{
    EdgeId, EntityId, Epoch, HandoffId, PlayerId, RegionId, SessionId, Tick, WorkerId, WorldId,
};
use horizon_state_store::{AcquireError, Faults, Faulty, LeaseError, StateStore, StoreError};
use tokio::task::JoinSet;

use crate::fixture::{Fixture, WORLD};
pub(crate) use crate::generations::*;
pub(crate) use crate::linearizable::*;
pub(crate) use batches::*;

pub(crate) const TTL: Duration = Duration::from_millis(2000);
pub(crate) const A: RegionId = RegionId(1);
pub(crate) const B: RegionId = RegionId(2);
pub(crate) const ANNA: WorkerId = WorkerId(0xa);
pub(crate) const BERT: WorkerId = WorkerId(0xb);

pub(crate) fn player(id: u128) -> EntityKey {
    EntityKey::Player(PlayerId(id))
}

/// The first record of `key`, under `lease`.
pub(crate) fn first(key: EntityKey, lease: &Lease, handoff: u128) -> CasRequest {
    CasRequest {
        key,
        guard: lease.guard(),
        expect: None,
        handoff: HandoffId(handoff),
        applied: 3,
        tick: Tick(60),
        capsule: Kept::Here(b"capsule".to_vec()),
        park: false,
        group: None,
    }
}

/// The next record after `record`, under `lease`.
pub(crate) fn after(record: &Record, key: EntityKey, lease: &Lease, handoff: u128) -> CasRequest {
    let expect = Some(Expect { epoch: record.epoch, region: record.region });
    CasRequest { expect, ..first(key, lease, handoff) }
}

/// The outcome of one request.
pub(crate) async fn cas(store: &impl StateStore, request: CasRequest) -> CasOutcome {
    let outcomes = store.cas(vec![request]).await.expect("answers");
    <[CasOutcome; 1]>::try_from(outcomes).map(|[outcome]| outcome).expect("one outcome for one request")
}

#[track_caller]
pub(crate) fn won(outcome: CasOutcome) -> Record {
    match outcome {
        CasOutcome::Won(record) => record,
        other => panic!("not won: {other:?}"),
    }
}

pub(crate) async fn c1_acquire_excludes<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let held = lease(&store, A, ANNA).await;
    let other = lease(&store, B, BERT).await;
    fixture.clock().pass(500);
    let refused = store.acquire(A, BERT, TTL).await;
    assert_eq!(refused, Err(AcquireError::Held { by: ANNA, remaining: Duration::from_millis(1500) }));
    assert_eq!(store.leases().await, Ok(vec![held, other]));
    store.evict(A, BERT, Epoch::ZERO).await.expect("answers");
    assert_eq!(store.confirm(&held).await, Ok(()), "evicting somebody else changes nothing");
    store.renew(&held, TTL, Tick(1)).await.expect("held");
    fixture.clock().pass(1999);
    assert!(store.acquire(A, BERT, TTL).await.is_err(), "the renewal counts");
    assert_eq!(store.leases().await, Ok(vec![held]), "the other one has expired");
    fixture.clock().pass(1);
    assert_eq!(store.acquire(A, BERT, TTL).await.map(|lease| lease.worker), Ok(BERT));
}

pub(crate) async fn c2_epoch_strictly_rises<F: Fixture>(fixture: &mut F) {
    let mut store = fixture.open(WORLD).await;
    let mut last = lease(&store, A, ANNA).await;
    assert_eq!(last.epoch, Epoch::new(1, 1));
    for round in 0..6 {
        let worker = WorkerId(100 + round);
        match round % 3 {
            0 => fixture.clock().pass(2000),
            1 => store.release(&last).await.expect("held"),
            _ => store.evict(A, last.worker, Epoch::ZERO).await.expect("answers"),
        }
        if round >= 3 {
            fixture.restart().await;
            fixture.clock().pass(2000);
        }
        store = fixture.open(WORLD).await;
        let next = lease(&store, A, worker).await;
        assert!(next.epoch > last.epoch, "{next:?} after {last:?}");
        // A holder of before the restart who says nothing may know more than anybody else.
        assert_eq!(next.epoch.generation(), if round < 3 { 1 } else { 2 });
        last = next;
    }
}

pub(crate) async fn c3_renew_with_an_old_epoch_fails<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let old = lease(&store, A, ANNA).await;
    fixture.clock().pass(60_000);
    assert_eq!(store.renew(&old, TTL, Tick(1)).await, Ok(()), "expired, but nobody took it");
    assert_eq!(store.confirm(&old).await, Ok(()));
    fixture.clock().pass(2000);
    let new = lease(&store, A, BERT).await;
    for stale in
        [old, Lease { worker: BERT, ..old }, Lease { worker: ANNA, ..new }, Lease { region: B, ..new }]
    {
        assert_eq!(store.renew(&stale, TTL, Tick(1)).await, Err(LeaseError::Lost), "{stale:?}");
        assert_eq!(store.confirm(&stale).await, Err(LeaseError::Lost), "{stale:?}");
        assert_eq!(store.release(&stale).await, Err(LeaseError::Lost), "{stale:?}");
    }
    assert_eq!(store.confirm(&new).await, Ok(()));
    store.evict(A, BERT, Epoch::ZERO).await.expect("answers");
    assert_eq!(store.renew(&new, TTL, Tick(1)).await, Err(LeaseError::Lost), "evicted");
    let newest = lease(&store, A, BERT).await;
    assert_eq!(store.release(&newest).await, Ok(()));
    assert_eq!(store.release(&newest).await, Ok(()), "the same question again");
    assert_eq!(store.confirm(&newest).await, Err(LeaseError::Lost));
}

pub(crate) async fn c4_holder_restart_gets_a_new_epoch<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let before = lease(&store, A, ANNA).await;
    let again = lease(&store, A, ANNA).await;
    assert!(again.epoch > before.epoch);
    assert_eq!(store.confirm(&before).await, Err(LeaseError::Lost));
    assert_eq!(cas(&store, first(player(1), &before, 1)).await, CasOutcome::LeaseLost);
    // A new process at the same place is another worker, and waits until the old one is evicted.
    assert!(store.acquire(A, BERT, TTL).await.is_err());
    store.evict(A, ANNA, Epoch::ZERO).await.expect("answers");
    assert!(lease(&store, A, BERT).await.epoch > again.epoch);
}

pub(crate) async fn c5_one_winner_each<F: Fixture>(fixture: &mut F) {
    const PLAYERS: u128 = 200;
    let store = fixture.open(WORLD).await;
    let home = lease(&store, RegionId(0), WorkerId(0)).await;
    let batch = (0..PLAYERS).map(|id| first(player(id), &home, id + 1)).collect();
    let start: Vec<_> = store.cas(batch).await.expect("answers").into_iter().map(won).collect();
    let mut contenders = JoinSet::new();
    for contender in 1..=3_u16 {
        let store = fixture.open(WORLD).await;
        let start = start.clone();
        contenders.spawn(async move {
            let mine = lease(&store, RegionId(contender), WorkerId(contender.into())).await;
            let mut wins = Vec::new();
            for (id, record) in (0..PLAYERS).zip(&start) {
                let handoff = (u128::from(contender) << 64) | id;
                match cas(&store, after(record, player(id), &mine, handoff)).await {
                    CasOutcome::Won(record) => wins.push((id, record)),
                    CasOutcome::Lost(Some(there)) => assert_eq!(there.epoch, record.epoch.next()),
                    other => panic!("{other:?}"),
                }
            }
            wins
        });
    }
    let mut winners = BTreeMap::new();
    while let Some(wins) = contenders.join_next().await {
        for (id, record) in wins.expect("no contender panics") {
            assert_eq!(store.record(player(id)).await, Ok(Some(record.clone())));
            assert_eq!(winners.insert(id, record), None, "player {id} was won twice");
        }
    }
    assert_eq!(winners.len() as u128, PLAYERS);
}

pub(crate) async fn c6_a_repeated_handoff_wins_again<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let (a, b) = (lease(&store, A, ANNA).await, lease(&store, B, BERT).await);
    let born = won(cas(&store, first(player(1), &a, 1)).await);
    assert_eq!(born.epoch, Epoch::new(1, 1));
    assert_eq!(won(cas(&store, first(player(1), &a, 1)).await), born);
    let step = CasRequest { applied: 9, tick: Tick(99), ..after(&born, player(1), &b, 2) };
    let moved = won(cas(&store, step.clone()).await);
    let expected = Record {
        epoch: Epoch::new(1, 2),
        region: B,
        holder: Some(b.holder()),
        handoff: HandoffId(2),
        applied: 9,
        tick: Tick(99),
        capsule: Kept::Here(b"capsule".to_vec()),
    };
    assert_eq!(moved, expected);
    assert_eq!(won(cas(&store, step.clone()).await), moved);
    // The same handoff under a later lease is another owner's: the winner of then is told.
    let later = lease(&store, B, BERT).await;
    let late = CasRequest { guard: later.guard(), ..step };
    assert_eq!(cas(&store, late).await, CasOutcome::Lost(Some(moved.clone())));
    // Parking is recognised as well.
    let park = CasRequest { park: true, ..after(&moved, player(1), &later, 3) };
    let parked = won(cas(&store, park.clone()).await);
    assert_eq!((parked.holder, parked.region), (None, B));
    assert_eq!(won(cas(&store, park).await), parked);
    assert_eq!(store.record(player(1)).await, Ok(Some(parked)));
}

pub(crate) async fn c7_refusals_are_told_apart<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let (a, b) = (lease(&store, A, ANNA).await, lease(&store, B, BERT).await);
    let born = won(cas(&store, first(player(1), &a, 1)).await);
    let good = after(&born, player(1), &b, 2);
    let lost = CasOutcome::Lost(Some(born.clone()));
    let expecting = |epoch, region| CasRequest { expect: Some(Expect { epoch, region }), ..good.clone() };
    let under = |guard| CasRequest { guard, ..good.clone() };
    let ahead = Epoch::new(2, 1);
    let guard = b.guard();
    let rows = [
        ("first record of a known key", CasRequest { expect: None, ..good.clone() }, lost.clone()),
        ("epoch behind", expecting(Epoch::ZERO, A), lost.clone()),
        ("epoch ahead", expecting(born.epoch.next(), A), lost.clone()),
        ("another source", expecting(born.epoch, B), lost),
        ("unknown key", CasRequest { key: player(2), ..good.clone() }, CasOutcome::Lost(None)),
        ("old lease", under(LeaseGuard { lease: Epoch::ZERO, ..guard }), CasOutcome::LeaseLost),
        ("lease to come", under(LeaseGuard { lease: guard.lease.next(), ..guard }), CasOutcome::LeaseLost),
        ("another worker", under(LeaseGuard { worker: ANNA, ..guard }), CasOutcome::LeaseLost),
        ("free region", under(LeaseGuard { region: RegionId(9), ..guard }), CasOutcome::LeaseLost),
        (
            "lease of a newer store",
            under(LeaseGuard { lease: ahead, ..guard }),
            CasOutcome::WrongGeneration { store: 1 },
        ),
        ("record of a newer store", expecting(ahead, A), CasOutcome::WrongGeneration { store: 1 }),
    ];
    for (what, request, expected) in rows.clone() {
        assert_eq!(cas(&store, request).await, expected, "{what}");
    }
    assert_eq!(store.record(player(1)).await, Ok(Some(born)), "no refusal changed anything");
    // In one batch each is judged by itself, in order: the good one in front changes the others.
    let mut batch = vec![good.clone()];
    batch.extend(rows.map(|(_, request, _)| request));
    let outcomes = store.cas(batch).await.expect("answers");
    assert_eq!(outcomes.len(), 12);
    assert!(matches!(outcomes[0], CasOutcome::Won(_)));
    // An expired lease that nobody took is still the holder's.
    fixture.clock().pass(60_000);
    let record = won(outcomes[0].clone());
    won(cas(&store, after(&record, player(1), &b, 3)).await);
    assert_eq!(store.generation().await, Ok(1));
}

pub(crate) async fn c8_unknown_then_retry_converges<F: Fixture>(fixture: &mut F) {
    let faults = Faults { lost_requests_percent: 30, lost_answers_percent: 30 };
    for seed in 0..20_u64 {
        let calm = fixture.open(WORLD).await;
        let store = Faulty::new(calm.clone(), faults, seed);
        let mine = loop {
            match store.acquire(A, ANNA, TTL).await {
                Ok(lease) => break lease,
                Err(AcquireError::Store(StoreError::Unknown)) => {}
                Err(other) => panic!("{other}"),
            }
        };
        let key = player(u128::from(seed));
        let mut last: Option<Record> = None;
        for round in 0..10_u128 {
            let handoff = (u128::from(seed) << 64) | (round + 1);
            let request = match &last {
                Some(record) => after(record, key, &mine, handoff),
                None => first(key, &mine, handoff),
            };
            let outcomes = loop {
                match store.cas(vec![request.clone()]).await {
                    Ok(outcomes) => break outcomes,
                    Err(error) => assert_eq!(error, StoreError::Unknown),
                }
            };
            let record = won(outcomes[0].clone());
            assert_eq!(record.epoch, Epoch::new(1, round as u64 + 1), "each attempt counts once");
            last = Some(record);
        }
        assert_eq!(calm.record(key).await, Ok(last));
    }
}

pub(crate) async fn c9_another_connection_reads_the_write<F: Fixture>(fixture: &mut F) {
    let (writer, reader) = (fixture.open(WORLD).await, fixture.open(WORLD).await);
    let mine = lease(&writer, A, ANNA).await;
    let object = EntityKey::Object(EntityId::mint(A, mine.epoch, 1).expect("counter is not zero"));
    let mut record = won(cas(&writer, first(object, &mine, 1)).await);
    for handoff in 2..50 {
        assert_eq!(reader.record(object).await, Ok(Some(record.clone())));
        assert_eq!(reader.owned(A).await, Ok(vec![(object, record.epoch)]));
        record = won(cas(&writer, after(&record, object, &mine, handoff)).await);
    }
    assert_eq!(reader.record(player(1)).await, Ok(None));
    let both = vec![Some(record.clone()), None, Some(record.clone())];
    assert_eq!(reader.records(vec![object, player(1), object]).await, Ok(both), "in the order of the keys");
    fixture.restart().await;
    let reader = fixture.open(WORLD).await;
    assert_eq!(reader.record(object).await, Ok(Some(record)));
}

pub(crate) async fn c13_capsule_sizes<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let mine = lease(&store, A, ANNA).await;
    for (id, bytes) in [0, 1, 4096, MAX_CAPSULE_BYTES].into_iter().enumerate() {
        let key = player(id as u128);
        let capsule = Kept::Here((0..bytes).map(|n| (n % 251) as u8).collect());
        let request = CasRequest { capsule: capsule.clone(), ..first(key, &mine, 1) };
        assert_eq!(won(cas(&store, request).await).capsule, capsule);
        let record = store.record(key).await.expect("answers").expect("written");
        assert!(record.capsule == capsule, "{bytes} bytes came back as others");
    }
    // And the name of one in a journal.
    let capsule = Kept::Journal { lease: mine.epoch, hash: u64::MAX - 1 };
    let record = won(cas(&store, CasRequest { capsule, ..first(player(8), &mine, 1) }).await);
    assert_eq!(record.capsule, Kept::Journal { lease: mine.epoch, hash: u64::MAX - 1 });
    assert_eq!(store.record(player(8)).await, Ok(Some(record)));
    let capsule = Kept::Here(vec![0; MAX_CAPSULE_BYTES + 1]);
    let request = CasRequest { capsule, ..first(player(9), &mine, 1) };
    assert_eq!(cas(&store, request).await, CasOutcome::TooLarge { max_bytes: MAX_CAPSULE_BYTES });
    assert_eq!(store.record(player(9)).await, Ok(None));
}

pub(crate) async fn a_lease_outlives_a_restart_for_its_whole_length<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let held = lease(&store, A, ANNA).await;
    fixture.clock().pass(1900);
    fixture.restart().await;
    fixture.clock().pass(1400);
    settle(fixture, &[held]).await;
    let store = fixture.open(WORLD).await;
    let refused = store.acquire(A, BERT, TTL).await;
    assert_eq!(refused, Err(AcquireError::Held { by: ANNA, remaining: Duration::from_millis(100) }));
    assert_eq!(store.renew(&held, TTL, Tick(1)).await, Ok(()), "with the same epoch");
    won(cas(&store, first(player(1), &held, 1)).await);
    fixture.clock().pass(2000);
    lease(&store, A, BERT).await;
}

pub(crate) async fn sessions_are_a_table_of_their_own<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let player = PlayerId(5);
    let open = SessionCas { player, expect: None, session: SessionId(1), nonce: 11, edge: EdgeId(1) };
    let SessionOutcome::Won(one) = store.cas_session(open).await.expect("answers") else {
        panic!("the first session is free");
    };
    assert_eq!(
        (one.epoch, one.session, one.nonce, one.edge),
        (Epoch::new(1, 1), SessionId(1), 11, EdgeId(1))
    );
    assert_eq!(store.cas_session(open).await, Ok(SessionOutcome::Won(one)), "the same attempt");
    let stale = SessionCas { nonce: 12, ..open };
    assert_eq!(store.cas_session(stale).await, Ok(SessionOutcome::Lost(Some(one))));
    // The welcome of edge 1 was lost; the client repeats its attempt at edge 2, which fences edge 1.
    let SessionOutcome::Won(two) =
        store.cas_session(SessionCas { edge: EdgeId(2), ..open }).await.expect("answers")
    else {
        panic!("a lost welcome locks nobody out");
    };
    assert_eq!((two.epoch, two.edge), (one.epoch.next(), EdgeId(2)));
    // A crossing changes the record, never the session.
    let mine = lease(&store, A, ANNA).await;
    won(cas(&store, first(EntityKey::Player(player), &mine, 1)).await);
    fixture.restart().await;
    settle(fixture, &[mine]).await;
    let store = fixture.open(WORLD).await;
    assert_eq!(store.session(player).await, Ok(Some(two)));
    let kick = SessionCas { expect: Some(two.epoch), session: SessionId(2), nonce: 13, ..open };
    let SessionOutcome::Won(three) = store.cas_session(kick).await.expect("answers") else {
        panic!("expects what is there");
    };
    assert!(three.epoch > two.epoch);
    assert_eq!(store.session(PlayerId(6)).await, Ok(None));
    let nothing = SessionCas { player: PlayerId(6), ..kick };
    assert_eq!(store.cas_session(nothing).await, Ok(SessionOutcome::Lost(None)));
}

pub(crate) async fn the_director_is_one_edge<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let (one, two) = (EdgeId(1), EdgeId(2));
    let epoch = store.acquire_director(one, TTL).await.expect("answers").expect("free");
    assert_eq!(store.acquire_director(two, TTL).await, Ok(None));
    fixture.clock().pass(1999);
    assert_eq!(store.acquire_director(one, TTL).await, Ok(Some(epoch)), "extended");
    fixture.restart().await;
    let store = fixture.open(WORLD).await;
    fixture.clock().pass(1999);
    assert_eq!(store.acquire_director(two, TTL).await, Ok(None));
    fixture.clock().pass(1);
    let next = store.acquire_director(two, TTL).await.expect("answers").expect("expired");
    assert!(next > epoch);
    assert_eq!(store.acquire_director(one, TTL).await, Ok(None));
}

pub(crate) async fn only_who_directs_evicts<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let held = lease(&store, A, ANNA).await;
    let deposed = store.acquire_director(EdgeId(1), TTL).await.expect("answers").expect("free");
    fixture.clock().pass(1999);
    store.renew(&held, TTL, Tick(1)).await.expect("held");
    fixture.clock().pass(1);
    let directs = store.acquire_director(EdgeId(2), TTL).await.expect("answers").expect("expired");
    for other in [Epoch::ZERO, deposed, directs.next_in(1)] {
        assert_eq!(store.evict(A, ANNA, other).await, Err(LeaseError::Lost), "{other}");
    }
    assert_eq!(store.confirm(&held).await, Ok(()));
    // However long the lease would last, and also where its holder lives on.
    assert_eq!(store.evict(A, ANNA, directs).await, Ok(()));
    assert_eq!(store.confirm(&held).await, Err(LeaseError::Lost));
    assert_eq!(cas(&store, first(player(1), &held, 1)).await, CasOutcome::LeaseLost);
    assert!(lease(&store, A, BERT).await.epoch > held.epoch);
}

pub(crate) async fn ticks_and_keys_outlive_a_restart<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    assert_eq!(store.tick_high().await, Ok(Tick(0)));
    let keys = store.sealing_keys().await.expect("answers");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].key, [42; 32]);
    let mine = lease(&store, A, ANNA).await;
    won(cas(&store, first(player(1), &mine, 1)).await);
    assert_eq!(store.tick_high().await, Ok(Tick(60)));
    for tick in [500, 501, 400] {
        store.renew(&mine, TTL, Tick(tick)).await.expect("held");
    }
    assert_eq!(store.tick_high().await, Ok(Tick(501)));
    fixture.restart().await;
    let store = fixture.open(WORLD).await;
    let high = store.tick_high().await.expect("answers");
    assert!((Tick(501)..=Tick(561)).contains(&high), "{high}");
    assert_eq!(store.sealing_keys().await, Ok(keys));
}

pub(crate) async fn worlds_do_not_meet<F: Fixture>(fixture: &mut F) {
    let (here, there) = (fixture.open(WORLD).await, fixture.open(WorldId(8)).await);
    let mine = lease(&here, A, ANNA).await;
    won(cas(&here, first(player(1), &mine, 1)).await);
    assert_eq!(there.record(player(1)).await, Ok(None));
    assert_eq!(there.owned(A).await, Ok(vec![]));
    assert_eq!(there.leases().await, Ok(vec![]));
    lease(&there, A, BERT).await;
    assert_eq!(here.confirm(&mine).await, Ok(()));
}
