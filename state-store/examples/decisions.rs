//! What decisions of a store cost: one move at a time, and a thousand in one call.
//!
//! ```sh
//! cargo run --release -p horizon-state-store --example decisions -- ADDRESS
//! ```
//!
//! `ADDRESS` is that of `[store]`, with nothing else going on there; the world is number 4294967295. Prints one
//! JSON object with times in milliseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use horizon_handoff::{CasOutcome, CasRequest, EntityKey, Expect, Kept, Lease, Record};
use horizon_model::{HandoffId, PlayerId, RegionId, Tick, WorkerId, WorldId};
use horizon_state_store::{StateStore, open};

/// Of one capsule.
const BYTES: usize = 4096;
const PLAYERS: u128 = 1000;
/// Moves of all players in one call, with their capsules, and as many that name them.
const CALLS: u128 = 20;
/// Moves of one player, one after the other.
const SINGLE: u128 = 2000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("give the address of a store")?;
    let store = open(&address, WorldId(u32::MAX)).await?;
    let worker = WorkerId(u64::from(std::process::id()));
    let mut leases = Vec::new();
    for region in [1, 2] {
        leases.push(store.acquire(RegionId(region), worker, Duration::from_secs(600)).await?);
    }
    // Records of an earlier run are in the way of first ones.
    let run = u128::from(std::process::id()) << 64;
    let request = |id: u128, lease: &Lease, over: Option<&Record>, attempt: u128, here: bool| CasRequest {
        key: EntityKey::Player(PlayerId(run | id)),
        guard: lease.guard(),
        expect: over.map(|record| Expect { epoch: record.epoch, region: record.region }),
        handoff: HandoffId(run | attempt),
        applied: 1,
        tick: Tick(1),
        capsule: if here {
            Kept::Here(vec![7; BYTES])
        } else {
            Kept::Journal { lease: lease.epoch, hash: 7 }
        },
        park: false,
        group: None,
    };
    let batch = (0..PLAYERS).map(|id| request(id, &leases[0], None, id, true)).collect();
    let mut records = decide(&*store, batch).await?;
    let (mut whole, mut named) = (Vec::new(), Vec::new());
    for call in 0..CALLS * 2 {
        let (lease, here) = (&leases[(call as usize + 1) % 2], call < CALLS);
        let moves = (0..).zip(&records);
        let moves: Vec<_> = moves
            .map(|(id, record)| request(id, lease, Some(record), ((call + 1) << 32) | id, here))
            .collect();
        let begun = Instant::now();
        records = decide(&*store, moves).await?;
        if here { &mut whole } else { &mut named }.push(begun.elapsed());
    }
    let mut single = Vec::new();
    for n in 0..SINGLE {
        let lease = &leases[(n as usize + 1) % 2];
        let one = request(0, lease, Some(&records[0]), (1 << 63) | n, true);
        let begun = Instant::now();
        let won = decide(&*store, vec![one]).await?;
        single.push(begun.elapsed());
        records[0] = won.into_iter().next().ok_or("one for one")?;
    }
    for lease in &leases {
        store.release(lease).await?;
    }
    let told = [("moves_1000", &mut whole), ("named_1000", &mut named), ("single", &mut single)].map(summary);
    println!("{{\"players\": {PLAYERS}, \"capsule_bytes\": {BYTES}, {}}}", told.join(", "));
    Ok(())
}

/// Asks, and insists that all of it wins.
async fn decide(store: &dyn StateStore, batch: Vec<CasRequest>) -> Result<Vec<Record>, Box<dyn Error>> {
    let outcomes = store.cas(batch).await?;
    let won = outcomes.into_iter().map(|outcome| match outcome {
        CasOutcome::Won(record) => Ok(record),
        other => Err(format!("not won: {other:?}").into()),
    });
    won.collect()
}

fn summary((name, times): (&str, &mut Vec<Duration>)) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    format!("\"{name}_ms_p50\": {:.3}, \"{name}_ms_p99\": {:.3}", at(50), at(99))
}
