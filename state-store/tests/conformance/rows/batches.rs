//! Many requests in one call: each by itself, and groups that are written together or not at all.

use super::*;

pub(crate) async fn c17_a_group_is_written_whole_or_not_at_all<F: Fixture>(fixture: &mut F) {
    let store = fixture.open(WORLD).await;
    let (a, b) = (lease(&store, A, ANNA).await, lease(&store, B, BERT).await);
    let births = (1..=3).map(|id| first(player(id), &a, id)).collect();
    let born: Vec<_> = store.cas(births).await.expect("answers").into_iter().map(won).collect();
    let moves = |group: u128| -> Vec<CasRequest> {
        let members = (1..=3).zip(&born);
        let step = |(id, record)| CasRequest {
            group: Some(HandoffId(group)),
            ..after(record, player(id), &b, group + id)
        };
        members.map(step).collect()
    };
    // One of three is not what was expected: the others are told what they are, and stay.
    let mut torn = moves(100);
    torn[1].expect = Some(Expect { epoch: born[1].epoch.next(), region: A });
    let lost = |at: usize| CasOutcome::Lost(Some(born[at].clone()));
    assert_eq!(store.cas(torn).await, Ok((0..3).map(lost).collect()));
    let mut unknown = moves(100);
    unknown[2].key = player(9);
    assert_eq!(store.cas(unknown).await, Ok(vec![lost(0), lost(1), CasOutcome::Lost(None)]));
    let mut large = moves(100);
    large[0].capsule = Kept::Here(vec![0; MAX_CAPSULE_BYTES + 1]);
    let too_large = CasOutcome::TooLarge { max_bytes: MAX_CAPSULE_BYTES };
    assert_eq!(store.cas(large).await, Ok(vec![too_large, lost(1), lost(2)]));
    for (id, record) in (1..=3).zip(&born) {
        assert_eq!(store.record(player(id)).await, Ok(Some(record.clone())), "nothing was written");
    }
    assert_eq!(store.owned(B).await.expect("answers"), []);
    // A neighbour in the batch that is not of the group is judged by itself, before and behind it.
    let alone = won(cas(&store, first(player(7), &a, 7)).await);
    let mut batch = vec![after(&alone, player(7), &b, 70)];
    batch.extend(moves(200));
    batch.push(first(player(8), &a, 8));
    batch[2].expect = None;
    let outcomes = store.cas(batch).await.expect("answers");
    assert!(matches!(
        outcomes[..],
        [
            CasOutcome::Won(_),
            CasOutcome::Lost(Some(_)),
            CasOutcome::Lost(Some(_)),
            CasOutcome::Lost(Some(_)),
            CasOutcome::Won(_),
        ]
    ));
    // All of them, and the same again.
    let moved: Vec<_> = store.cas(moves(300)).await.expect("answers").into_iter().map(won).collect();
    assert!(moved.iter().all(|record| (record.region, record.epoch) == (B, Epoch::new(1, 2))));
    assert_eq!(store.owned(B).await.expect("answers").len(), 4);
    let again: Vec<_> = store.cas(moves(300)).await.expect("answers").into_iter().map(won).collect();
    assert_eq!(again, moved);
    // Two groups side by side stand and fall apart.
    let step = |at: usize, group: u128| CasRequest {
        group: Some(HandoffId(group)),
        ..after(&moved[at], player(at as u128 + 1), &a, 400 + at as u128)
    };
    let mut stale = step(2, 402);
    stale.expect = Some(Expect { epoch: born[2].epoch, region: A });
    let outcomes = store.cas(vec![step(0, 401), step(1, 401), stale]).await.expect("answers");
    assert!(matches!(outcomes[..], [CasOutcome::Won(_), CasOutcome::Won(_), CasOutcome::Lost(Some(_))]));
}

pub(crate) async fn c14_owned_is_consistent_under_moves<F: Fixture>(fixture: &mut F) {
    const KEYS: u128 = 1000;
    let store = fixture.open(WORLD).await;
    let (a, b) = (lease(&store, A, ANNA).await, lease(&store, B, BERT).await);
    let batch = (0..KEYS).map(|id| first(player(id), &a, id + 1)).collect();
    let start: Vec<_> = store.cas(batch).await.expect("answers").into_iter().map(won).collect();
    assert_eq!(store.owned(A).await.expect("answers").len() as u128, KEYS);
    // Four movers carry a quarter each to B, half of that back, and park every tenth there.
    let mut movers = JoinSet::new();
    for quarter in 0..4 {
        let store = fixture.open(WORLD).await;
        let mine: Vec<_> = (0..KEYS).zip(start.clone()).skip(quarter * 250).take(250).collect();
        movers.spawn(async move {
            for chunk in mine.chunks(25) {
                let there = chunk.iter().map(|(id, record)| after(record, player(*id), &b, (1 << 64) | id));
                let there: Vec<_> =
                    store.cas(there.collect()).await.expect("answers").into_iter().map(won).collect();
                let half = chunk.iter().zip(there).filter(|((id, _), _)| id % 2 == 0);
                let back = half.map(|((id, _), record)| CasRequest {
                    park: id % 10 == 0,
                    ..after(&record, player(*id), &a, (2 << 64) | id)
                });
                store
                    .cas(back.collect())
                    .await
                    .expect("answers")
                    .into_iter()
                    .for_each(|outcome| drop(won(outcome)));
            }
        });
    }
    // Whatever is listed at any moment was true at one moment: no key twice, no epoch from later.
    while !movers.is_empty() {
        let (in_a, in_b) = (store.owned(A).await.expect("answers"), store.owned(B).await.expect("answers"));
        assert!(in_a.is_sorted() && in_b.is_sorted());
        for (key, epoch) in in_a.iter().chain(&in_b) {
            let record = store.record(*key).await.expect("answers").expect("known");
            assert!(record.epoch >= *epoch, "{key:?} was listed at {epoch}, and is {}", record.epoch);
        }
        while let Some(done) = movers.try_join_next() {
            done.expect("no mover panics");
        }
    }
    for (region, expected) in [(A, KEYS / 2 - KEYS / 10), (B, KEYS / 2)] {
        let owned = store.owned(region).await.expect("answers");
        assert_eq!(owned.len() as u128, expected);
        for (key, epoch) in owned {
            let record = store.record(key).await.expect("answers").expect("known");
            assert_eq!((record.region, record.epoch, record.holder.is_some()), (region, epoch, true));
        }
    }
}
