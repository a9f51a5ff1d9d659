//! Random histories: every store answers as the memory does, and epochs only rise.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::{
    CasOutcome, CasRequest, EntityKey, Expect, Kept, LeaseGuard, Record, SessionCas, SessionOutcome,
    SessionRecord,
};
use horizon_model::{
    EdgeId, EntityId, Epoch, HandoffId, PlayerId, RegionId, SessionId, TICKS_PER_SECOND, Tick, WorkerId,
};
use horizon_state_store::{Backend, Known, Reply, Report, Request};
use proptest::prelude::*;

use crate::fixture::{File, Fixture, InMemory, WORLD};
use crate::server::InRedis;

/// What happens next in a history. Small ranges, so that things meet.
#[derive(Debug, Clone)]
enum Step {
    Ask(Request),
    Pass { ms: u64 },
    Restart,
}

fn epoch() -> impl Strategy<Value = Epoch> {
    prop_oneof![20 => 0_u64..6, 1 => Just(1 << 48)].prop_map(|count| Epoch(Epoch::new(1, 0).0 + count))
}

fn region() -> impl Strategy<Value = RegionId> {
    (0_u16..2).prop_map(RegionId)
}

fn worker() -> impl Strategy<Value = WorkerId> {
    (0_u64..2).prop_map(|n| WorkerId(u64::MAX - n))
}

fn lease() -> impl Strategy<Value = horizon_handoff::Lease> {
    (region(), worker(), epoch()).prop_map(|(region, worker, epoch)| horizon_handoff::Lease {
        region,
        worker,
        epoch,
    })
}

fn key() -> impl Strategy<Value = EntityKey> {
    prop_oneof![
        (0_u128..2).prop_map(|id| EntityKey::Player(PlayerId(id))),
        (1_u64..3).prop_map(|bits| EntityKey::Object(EntityId::from_bits(bits).expect("not zero"))),
    ]
}

fn kept() -> impl Strategy<Value = Kept> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Kept::Here),
        (epoch(), any::<u64>()).prop_map(|(lease, hash)| Kept::Journal { lease, hash }),
    ]
}

fn cas() -> impl Strategy<Value = CasRequest> {
    let expect = prop::option::of((epoch(), region()).prop_map(|(epoch, region)| Expect { epoch, region }));
    let guard = (region(), worker(), epoch()).prop_map(|(region, worker, lease)| LeaseGuard {
        region,
        worker,
        lease,
    });
    let body = (0_u128..6, any::<u32>(), any::<u64>(), kept(), any::<bool>());
    (key(), guard, expect, body).prop_map(|(key, guard, expect, (handoff, applied, tick, capsule, park))| {
        CasRequest {
            key,
            guard,
            expect,
            handoff: HandoffId(handoff),
            applied,
            tick: Tick(tick),
            capsule,
            park,
            group: None,
        }
    })
}

fn cas_session() -> impl Strategy<Value = SessionCas> {
    (0_u128..2, prop::option::of(epoch()), 0_u128..2, 0_u64..3, 0_u64..2).prop_map(
        |(player, expect, session, nonce, edge)| SessionCas {
            player: PlayerId(player),
            expect,
            session: SessionId(session),
            nonce,
            edge: EdgeId(edge),
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let record = (0_u128..6, kept()).prop_map(|(handoff, capsule)| Record {
        epoch: Epoch::ZERO,
        region: RegionId(0),
        holder: None,
        handoff: HandoffId(handoff),
        applied: 7,
        tick: Tick(7),
        capsule,
    });
    let known = (key(), epoch(), prop::option::of(record));
    let known = known.prop_map(|(key, epoch, record)| Known { key, epoch, record });
    let session = (0_u128..2, epoch()).prop_map(|(player, epoch)| {
        (PlayerId(player), SessionRecord { session: SessionId(1), epoch, nonce: 1, edge: EdgeId(1) })
    });
    let director = prop::option::of(((0_u64..2).prop_map(EdgeId), epoch()));
    let lease = prop::option::weighted(0.8, lease());
    let (entities, sessions) = (prop::collection::vec(known, 0..3), prop::collection::vec(session, 0..2));
    (lease, 1_u64..100, 0_u64..500, entities, sessions, director).prop_map(
        |(lease, ttl, tick, entities, sessions, director)| Report {
            lease,
            ttl: Duration::from_millis(ttl),
            tick: Tick(tick),
            entities,
            sessions,
            director,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let ttl = || (1_u64..100).prop_map(Duration::from_millis);
    prop_oneof![
        3 => (region(), worker(), ttl()).prop_map(|(region, worker, ttl)| Request::Acquire(region, worker, ttl)),
        2 => (lease(), ttl(), 0_u64..500).prop_map(|(lease, ttl, tick)| Request::Renew(lease, ttl, Tick(tick))),
        1 => lease().prop_map(Request::Confirm),
        1 => lease().prop_map(Request::Release),
        1 => (region(), worker(), epoch()).prop_map(|(region, worker, by)| Request::Evict(region, worker, by)),
        1 => key().prop_map(Request::Record),
        1 => prop::collection::vec(key(), 0..3).prop_map(Request::Records),
        9 => prop::collection::vec(cas(), 1..4).prop_map(Request::Cas),
        2 => region().prop_map(Request::Owned),
        1 => (0_u128..2).prop_map(|player| Request::Session(PlayerId(player))),
        4 => cas_session().prop_map(Request::CasSession),
        1 => Just(Request::Leases),
        2 => ((0_u64..2).prop_map(EdgeId), ttl()).prop_map(|(edge, ttl)| Request::AcquireDirector(edge, ttl)),
        1 => Just(Request::SealingKeys),
        1 => Just(Request::TickHigh),
        2 => report().prop_map(|report| Request::Report(Box::new(report))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => request().prop_map(Step::Ask),
        2 => (0_u64..120).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Restart),
    ]
}

/// The highest epoch seen of everything that has one.
#[derive(Default)]
struct Heights(BTreeMap<String, (Epoch, String)>);

impl Heights {
    /// A grant at an epoch of before must be the very same grant.
    fn grant(&mut self, of: impl std::fmt::Debug, epoch: Epoch, what: impl std::fmt::Debug) {
        let (of, what) = (format!("{of:?}"), format!("{what:?}"));
        match self.0.get(&of) {
            Some((before, same)) if *before == epoch => assert_eq!(*same, what, "{of} at {epoch} twice"),
            Some((before, _)) => assert!(*before < epoch, "{of} fell from {before} to {epoch}"),
            None => {}
        }
        self.0.insert(of, (epoch, what));
    }

    fn note(&mut self, request: &Request, reply: &Reply) {
        match (request, reply) {
            (Request::Acquire(region, ..), Reply::Granted(lease)) => self.grant(region, lease.epoch, lease),
            (Request::AcquireDirector(edge, _), Reply::Director(Some(epoch))) => self.grant((), *epoch, edge),
            (Request::CasSession(cas), Reply::CasSession(SessionOutcome::Won(session))) => {
                self.grant(cas.player, session.epoch, session);
            }
            (Request::Cas(batch), Reply::Cas(outcomes)) => {
                for (request, outcome) in batch.iter().zip(outcomes) {
                    if let CasOutcome::Won(record) = outcome {
                        self.grant(request.key, record.epoch, record);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Plays `steps` on the memory and on another store, which must answer alike.
async fn play(steps: Vec<Step>, mut other: impl Fixture) {
    let mut memory = InMemory::new();
    let mut heights = Heights::default();
    let (mut here, mut there) = (memory.open(WORLD).await, other.open(WORLD).await);
    for step in steps {
        match step {
            Step::Ask(request) => {
                let (reply, same) = (here.call(request.clone()).await, there.call(request.clone()).await);
                match (&reply, &same) {
                    // Exact is allowed as well.
                    (Ok(Reply::Tick(reserved)), Ok(Reply::Tick(exact))) => {
                        let reserve = exact.0.saturating_add(TICKS_PER_SECOND);
                        assert!((exact.0..=reserve).contains(&reserved.0), "{reserved} for {exact}");
                    }
                    _ => assert_eq!(reply, same, "{request:?}"),
                }
                heights.note(&request, &reply.expect("memory always answers"));
            }
            Step::Pass { ms } => {
                memory.clock().pass(ms);
                other.clock().pass(ms);
            }
            Step::Restart => {
                memory.restart().await;
                other.restart().await;
                (here, there) = (memory.open(WORLD).await, other.open(WORLD).await);
            }
        }
    }
}

fn run(steps: Vec<Step>, other: impl Fixture) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(play(steps, other));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever is asked in whatever order, over expiry and restarts: the file answers as the memory
    /// does, and no epoch is granted twice for different things or after a higher one.
    #[test]
    fn the_file_agrees_and_epochs_rise(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, File::new());
    }

    /// The same for a Redis server, whose scripts are another hand's copy of the rules.
    #[test]
    fn the_redis_server_agrees_and_epochs_rise(steps in prop::collection::vec(step(), 1..120)) {
        if let Some(redis) = InRedis::start() {
            run(steps, redis);
        }
    }
}
