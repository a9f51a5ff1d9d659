//! What every store promises when it was started on older data.

use horizon_handoff::{Lease, SessionCas, SessionOutcome};
use horizon_model::{EdgeId, Epoch, PlayerId, RegionId, SessionId, Tick, WorkerId};
use horizon_state_store::{Known, LeaseError, Report, StateStore, StoreError};

use crate::fixture::{Fixture, WORLD};
use crate::rows::{A, ANNA, B, BERT, TTL, after, cas, first, player, won};

pub(crate) async fn lease(store: &impl StateStore, region: RegionId, worker: WorkerId) -> Lease {
    store.acquire(region, worker, TTL).await.expect("free")
}

/// Lets the holders report to a store that was started again, until it decides.
pub(crate) async fn settle<F: Fixture>(fixture: &F, leases: &[Lease]) {
    let store = fixture.open(WORLD).await;
    fixture.clock().pass(500);
    let mut settled = leases.is_empty();
    for lease in leases {
        let report = Report { lease: Some(*lease), ttl: TTL, ..Report::default() };
        settled = store.report(report).await.expect("the lease is the current one").settled;
    }
    assert!(settled, "everybody has reported, and a quarter of a lease has passed");
}

/// Reports to a store on real time until it decides.
pub(crate) async fn report_until_settled(store: &impl StateStore, lease: &Lease) {
    let report = Report { lease: Some(*lease), ttl: TTL, ..Report::default() };
    let settled = async { while !store.report(report.clone()).await.is_ok_and(|told| told.settled) {} };
    tokio::time::timeout(TTL * 15, settled).await.expect("it decides after a quarter of a lease");
}

/// C12 and the recovery of a generation, on a store that was started on older data: [`Fixture::keep`] and
/// [`Fixture::put_back`] stand for a backup, a lost tail, a failover.
pub(crate) async fn c12_what_was_lost_is_put_in_again_in_a_new_generation<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let (a, b) = (lease(&store, A, ANNA).await, lease(&store, B, BERT).await);
    let mut record = won(cas(&store, first(player(1), &a, 1)).await);
    fixture.keep().await;
    // All of this is answered, and lost.
    let store = fixture.open(WORLD).await;
    settle(fixture, &[a, b]).await;
    for handoff in 2..26 {
        record = won(cas(&store, after(&record, player(1), &b, handoff)).await);
    }
    let born = won(cas(&store, first(player(2), &b, 50)).await);
    store.release(&a).await.expect("held");
    let taken = lease(&store, A, WorkerId(0xc)).await;
    let open =
        SessionCas { player: PlayerId(5), expect: None, session: SessionId(1), nonce: 1, edge: EdgeId(1) };
    let SessionOutcome::Won(session) = store.cas_session(open).await.expect("answers") else {
        panic!("the first one");
    };
    fixture.put_back().await;

    let store = fixture.open(WORLD).await;
    assert_eq!(store.renew(&b, TTL, Tick(1)).await, Err(LeaseError::Store(StoreError::Unsettled)));
    let early = store.cas(vec![after(&record, player(1), &b, 60)]).await;
    assert_eq!(early, Err(StoreError::Unsettled));
    assert_eq!(store.acquire_director(EdgeId(1), TTL).await, Err(StoreError::Unsettled));
    // Who holds the region, who owns what, and who is logged in: told first without, then with states.
    let marks = |records: bool| {
        let known = [(player(1), &record), (player(2), &born)].map(|(key, record)| Known {
            key,
            epoch: record.epoch,
            record: records.then(|| record.clone()),
        });
        Report { lease: Some(b), ttl: TTL, tick: Tick(9), entities: known.into(), ..Report::default() }
    };
    let told = store.report(marks(false)).await.expect("it is current");
    assert_eq!((told.settled, told.missing), (false, vec![player(1), player(2)]));
    let told = store.report(marks(true)).await.expect("it is current");
    assert_eq!((told.settled, told.missing), (false, vec![]));
    let holder = Report { lease: Some(taken), ttl: TTL, ..Report::default() };
    assert!(!store.report(holder.clone()).await.expect("a higher epoch is believed").settled);
    let edge = Report { sessions: vec![(PlayerId(5), session)], ttl: TTL, ..Report::default() };
    store.report(edge).await.expect("no lease is told");
    let zombie = Report { lease: Some(a), ttl: TTL, ..Report::default() };
    assert_eq!(store.report(zombie).await, Err(LeaseError::Lost), "the store has heard of a later one");
    fixture.clock().pass(500);
    let told = store.report(holder).await.expect("it is current");
    assert_eq!((told.settled, told.generation), (true, 2));

    // Nobody lost anything, and nothing is granted twice.
    assert_eq!(store.owned(B).await, Ok(vec![(player(1), record.epoch), (player(2), born.epoch)]));
    assert_eq!(store.record(player(1)).await, Ok(Some(record.clone())));
    assert_eq!(store.session(PlayerId(5)).await, Ok(Some(session)));
    assert_eq!(store.renew(&b, TTL, Tick(10)).await, Ok(()), "holders keep their leases");
    let next = won(cas(&store, after(&record, player(1), &b, 60)).await);
    assert_eq!(next.epoch, Epoch::new(2, record.epoch.count() + 1));
    assert!(Epoch::new(2, 1) > record.epoch, "whatever is granted now is above all of before");
    store.release(&taken).await.expect("held");
    assert_eq!(lease(&store, A, ANNA).await.epoch, Epoch::new(2, taken.epoch.count() + 1));
    assert_eq!(store.generation().await, Ok(2));
}

/// The negative control of the row above: the same loss, and nobody tells. Epochs are granted twice.
pub(crate) async fn c12_without_reports_the_generation_alone_tells_them_apart<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let b = lease(&store, B, BERT).await;
    let born = won(cas(&store, first(player(1), &b, 1)).await);
    fixture.keep().await;
    let store = fixture.open(WORLD).await;
    settle(fixture, &[b]).await;
    let lost = won(cas(&store, after(&born, player(1), &b, 2)).await);
    fixture.put_back().await;
    // The holder never comes back. Its lease runs out, and the store cannot know what it was told.
    fixture.clock().pass(2000);
    let store = fixture.open(WORLD).await;
    let next = lease(&store, B, ANNA).await;
    let again = won(cas(&store, after(&born, player(1), &next, 3)).await);
    assert_eq!(again.epoch.count(), lost.epoch.count(), "the same count is granted a second time");
    assert!(again.epoch > lost.epoch, "so it must be in another generation");
}

/// A report that comes when decisions are made again is still believed.
pub(crate) async fn a_late_report_begins_a_generation<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let a = lease(&store, A, ANNA).await;
    let later = Lease { region: B, worker: BERT, epoch: Epoch::new(1, 7) };
    let report = Report { lease: Some(later), ttl: TTL, ..Report::default() };
    let told = store.report(report.clone()).await.expect("nobody has a later one");
    assert_eq!((told.settled, told.generation), (true, 2));
    assert_eq!(store.report(report).await.map(|told| told.generation), Ok(2), "once");
    assert_eq!(store.confirm(&later).await, Ok(()));
    assert_eq!(store.confirm(&a).await, Ok(()), "nobody else is touched");
    let record = won(cas(&store, first(player(1), &later, 1)).await);
    assert_eq!(record.epoch, Epoch::new(2, 1));
}

/// A restart that lost nothing costs a quarter of a lease, and no generation.
pub(crate) async fn a_plain_restart_keeps_the_generation<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let a = lease(&store, A, ANNA).await;
    let born = won(cas(&store, first(player(1), &a, 1)).await);
    fixture.restart().await;
    fixture.clock().pass(499);
    let store = fixture.open(WORLD).await;
    let known = vec![Known { key: player(1), epoch: born.epoch, record: None }];
    let report = Report { lease: Some(a), ttl: TTL, entities: known, ..Report::default() };
    let told = store.report(report).await.expect("it is current");
    assert_eq!((told.settled, told.missing), (false, vec![]));
    fixture.clock().pass(1);
    assert_eq!(store.confirm(&a).await, Ok(()));
    assert_eq!(store.generation().await, Ok(1));
}
