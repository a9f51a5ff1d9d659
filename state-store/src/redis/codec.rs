//! Requests as arguments of scripts, and what scripts answer as replies.

use std::time::Duration;

use horizon_handoff::{
    CasOutcome, CasRequest, EntityKey, Holder, Kept, Lease, MAX_CAPSULE_BYTES, Record, SessionCas,
    SessionOutcome, SessionRecord,
};
use horizon_model::{EdgeId, EntityId, Epoch, HandoffId, PlayerId, RegionId, SessionId, Tick, WorkerId};
use redis::Value;

use super::scripts::Script;
use crate::env::Env;
use crate::request::{Reply, Report, Reported, Request};
use crate::store::{SealingKey, StoreError};

/// Bytes of a record in front of its capsule.
const HEAD_BYTES: usize = 55;

/// And of one whose state is in a journal: its lease and hash follow, and the capsule is empty.
const NAMED_HEAD_BYTES: usize = HEAD_BYTES + 16;

/// Bytes of a session.
const SESSION_BYTES: usize = 40;

/// The longest life of a lease that is told to the server: a Lua number is exact up to here.
const MAX_TTL_MS: u128 = 1 << 48;

/// A script and what it is to be called with, after the time.
#[derive(Debug)]
pub(super) struct Call {
    pub script: Script,
    pub arguments: Vec<Vec<u8>>,
}

impl Call {
    fn new<const N: usize>(script: Script, arguments: [&[u8]; N]) -> Self {
        Self { script, arguments: arguments.map(<[u8]>::to_vec).into() }
    }

    fn read(what: &str, of: &str) -> Self {
        Self::new(Script::Read, [what.as_bytes(), of.as_bytes()])
    }

    fn lease(what: &str, region: RegionId, worker: WorkerId, more: &[&[u8]]) -> Self {
        let (region, holder) = (region.0.to_be_bytes(), held_by(worker.0));
        let mut call = Self::new(Script::Lease, [what.as_bytes(), &region, &holder]);
        call.arguments.extend(more.iter().map(|argument| argument.to_vec()));
        call
    }
}

/// The call that `request` is.
pub(super) fn encode(request: &Request, env: &Env) -> Call {
    match request {
        Request::Generation => Call::read("generation", ""),
        Request::Acquire(region, worker, ttl) => {
            let (region, holder) = (region.0.to_be_bytes(), held_by(worker.0));
            Call::new(Script::Acquire, [&region, &holder, &millis(*ttl)])
        }
        Request::Renew(lease, ttl, tick) => {
            let more = [&lease.epoch.0.to_be_bytes()[..], &millis(*ttl), &tick.0.to_be_bytes()];
            Call::lease("renew", lease.region, lease.worker, &more)
        }
        Request::Confirm(lease) => {
            Call::lease("confirm", lease.region, lease.worker, &[&lease.epoch.0.to_be_bytes()])
        }
        Request::Release(lease) => {
            Call::lease("release", lease.region, lease.worker, &[&lease.epoch.0.to_be_bytes()])
        }
        Request::Evict(region, worker, director) => {
            Call::lease("evict", *region, *worker, &[&director.0.to_be_bytes()])
        }
        Request::Record(key) => Call::read("record", &name(*key)),
        Request::Records(keys) => {
            let mut call = Call::new(Script::Read, [b"records"]);
            call.arguments.extend(keys.iter().map(|key| name(*key).into_bytes()));
            call
        }
        Request::Cas(batch) => {
            let mut arguments = Vec::with_capacity(2 * batch.len());
            for (at, request) in batch.iter().enumerate() {
                let joined = batch.get(at + 1).is_some_and(|next| request.stands_with(next));
                arguments.extend([row(request, joined), state(&request.capsule)]);
            }
            Call { script: Script::Cas, arguments }
        }
        Request::Owned(region) => Call::read("owned", &region.to_string()),
        Request::Session(player) => Call::read("session", &player.to_string()),
        Request::CasSession(cas) => {
            let SessionCas { player, expect, session, nonce, edge } = *cas;
            let expect = expect.map_or_else(Vec::new, |epoch| epoch.0.to_be_bytes().to_vec());
            let (session, nonce) = (session.0.to_be_bytes(), nonce.to_be_bytes());
            let player = player.to_string();
            let edge = edge.0.to_be_bytes();
            Call::new(Script::Session, [player.as_bytes(), &session, &nonce, &edge, &expect])
        }
        Request::Leases => Call::read("leases", ""),
        Request::AcquireDirector(edge, ttl) => Call::new(Script::Director, [&held_by(edge.0), &millis(*ttl)]),
        Request::SealingKeys => Call::new(Script::Keys, [&env.secret()]),
        Request::TickHigh => Call::read("tick", ""),
        Request::Report(told) => Call { script: Script::Report, arguments: report(told) },
    }
}

/// What `answer` says to `request`; it begins behind the stamp.
///
/// # Errors
///
/// [`StoreError::Refused`] where it says nothing that fits: keys were changed by somebody else.
pub(super) fn decode(request: Request, answer: Vec<Value>) -> Result<Reply, StoreError> {
    let told = format!("{answer:?}");
    read(request, answer.into_iter()).ok_or_else(|| {
        let told: String = told.chars().take(200).collect();
        StoreError::Refused(format!("the Redis server answered what no script of this build answers: {told}"))
    })
}

fn read(request: Request, mut answer: std::vec::IntoIter<Value>) -> Option<Reply> {
    if let Request::Cas(batch) = request {
        let outcomes = batch.into_iter().map(|request| outcome(request, list(answer.next()?)?));
        return outcomes.collect::<Option<_>>().map(Reply::Cas);
    }
    let first = answer.next()?;
    Some(match request {
        Request::Cas(_) => return None,
        Request::Generation => Reply::Generation(u16::try_from(integer(&first)?).ok()?),
        Request::Acquire(region, worker, _) => match bytes(&first)? {
            b"granted" => Reply::Granted(Lease { region, worker, epoch: Epoch(number(&answer.next()?)?) }),
            b"held" => {
                let by = WorkerId(number(&answer.next()?)?);
                Reply::Held(by, Duration::from_millis(integer(&answer.next()?)?))
            }
            _ => return None,
        },
        Request::Renew(..) | Request::Confirm(_) | Request::Release(_) | Request::Evict(..) => {
            match bytes(&first)? {
                b"done" => Reply::Done,
                b"lost" => Reply::Lost,
                _ => return None,
            }
        }
        Request::Record(_) => Reply::Record(maybe_record(first)?),
        Request::Records(_) => {
            let records = list(first)?.into_iter().map(maybe_record);
            Reply::Records(records.collect::<Option<_>>()?)
        }
        Request::Owned(_) => {
            let pairs = pairs(first)?.into_iter();
            let owned = pairs.map(|(name, epoch)| Some((key(&name)?, Epoch(number(&epoch)?))));
            let mut owned = owned.collect::<Option<Vec<_>>>()?;
            owned.sort_unstable();
            Reply::Owned(owned)
        }
        Request::Session(_) => Reply::Session(maybe_session(&first)?),
        Request::CasSession(_) => {
            let there = maybe_session(&answer.next()?)?;
            Reply::CasSession(match (bytes(&first)?, there) {
                (b"won", Some(session)) => SessionOutcome::Won(session),
                (b"lost", there) => SessionOutcome::Lost(there),
                _ => return None,
            })
        }
        Request::Leases => {
            let lease = |packed: &Value| {
                let packed = bytes(packed)?;
                Some(Lease {
                    region: RegionId(u16::from_be_bytes(at(packed, 0)?)),
                    worker: WorkerId(u64::from_be_bytes(at(packed, 2)?)),
                    epoch: Epoch(u64::from_be_bytes(at(packed, 10)?)),
                })
            };
            let mut leases = list(first)?.iter().map(lease).collect::<Option<Vec<_>>>()?;
            leases.sort_unstable_by_key(|lease| lease.region);
            Reply::Leases(leases)
        }
        Request::AcquireDirector(..) => Reply::Director(match first {
            Value::Nil => None,
            epoch => Some(Epoch(number(&epoch)?)),
        }),
        Request::SealingKeys => {
            let key = |(id, key): (Value, Value)| {
                let id = std::str::from_utf8(bytes(&id)?).ok()?.parse().ok()?;
                Some(SealingKey { id, key: bytes(&key)?.try_into().ok()? })
            };
            let mut keys = pairs(first)?.into_iter().map(key).collect::<Option<Vec<_>>>()?;
            keys.sort_unstable_by_key(|key| std::cmp::Reverse(key.id));
            Reply::SealingKeys(keys)
        }
        Request::TickHigh => Reply::Tick(Tick(number(&first)?)),
        Request::Report(_) => match first {
            Value::Int(settled) => {
                let generation = u16::try_from(integer(&answer.next()?)?).ok()?;
                let missing = list(answer.next()?)?.iter().map(key).collect::<Option<_>>()?;
                Reply::Reported(Reported { settled: settled == 1, generation, missing })
            }
            word if bytes(&word)? == b"lost" => Reply::Lost,
            _ => return None,
        },
    })
}

fn outcome(request: CasRequest, told: Vec<Value>) -> Option<CasOutcome> {
    let mut told = told.into_iter();
    let word = told.next()?;
    Some(match bytes(&word)? {
        b"won" => CasOutcome::Won(Record {
            epoch: Epoch(number(&told.next()?)?),
            region: request.guard.region,
            holder: (!request.park).then(|| request.guard.holder()),
            handoff: request.handoff,
            applied: request.applied,
            tick: request.tick,
            capsule: request.capsule,
        }),
        b"again" => CasOutcome::Won(record(&told.next()?, told.next()?)?),
        b"lost" => CasOutcome::Lost(match told.next() {
            Some(head) => Some(record(&head, told.next()?)?),
            None => None,
        }),
        b"lease" => CasOutcome::LeaseLost,
        b"generation" => CasOutcome::WrongGeneration { store: u16::try_from(integer(&told.next()?)?).ok()? },
        b"large" => CasOutcome::TooLarge { max_bytes: MAX_CAPSULE_BYTES },
        _ => return None,
    })
}

/// What follows a row: the capsule, or the lease and the hash under which a journal has it.
fn state(kept: &Kept) -> Vec<u8> {
    match kept {
        Kept::Here(capsule) => capsule.clone(),
        Kept::Journal { lease, hash } => [lease.0.to_be_bytes(), hash.to_be_bytes()].concat(),
    }
}

/// The fixed part of a compare-and-set, as `cas.lua` reads it. With `joined` it stands with the next one.
fn row(request: &CasRequest, joined: bool) -> Vec<u8> {
    let CasRequest { key, guard, expect, handoff, applied, tick, park, capsule, group: _ } = request;
    let mut row = Vec::with_capacity(96);
    row.extend(guard.region.0.to_be_bytes());
    row.extend(guard.worker.0.to_be_bytes());
    row.extend(guard.lease.0.to_be_bytes());
    row.push(u8::from(*park));
    row.push(u8::from(matches!(capsule, Kept::Journal { .. })));
    row.push(u8::from(expect.is_some()));
    row.extend(expect.map_or(0, |expect| expect.epoch.0).to_be_bytes());
    row.extend(expect.map_or(0, |expect| expect.region.0).to_be_bytes());
    row.extend(handoff.0.to_be_bytes());
    row.extend(applied.to_be_bytes());
    row.extend(tick.0.to_be_bytes());
    row.push(u8::from(joined));
    row.extend(name(*key).into_bytes());
    row
}

/// A report, as `report.lua` reads it.
fn report(report: &Report) -> Vec<Vec<u8>> {
    let Report { lease, ttl, tick, entities, sessions, director } = report;
    let mut arguments = match lease {
        Some(lease) => {
            let epoch = lease.epoch.0.to_be_bytes().to_vec();
            vec![lease.region.0.to_be_bytes().to_vec(), held_by(lease.worker.0).to_vec(), epoch]
        }
        None => vec![Vec::new(); 3],
    };
    arguments.extend([millis(*ttl), tick.0.to_be_bytes().to_vec()]);
    arguments.extend(match director {
        Some((edge, epoch)) => [held_by(edge.0).to_vec(), epoch.0.to_be_bytes().to_vec()],
        None => [Vec::new(), Vec::new()],
    });
    arguments.extend([entities.len(), sessions.len()].map(|count| count.to_string().into_bytes()));
    for known in entities {
        let (head, capsule) = match &known.record {
            Some(record) => (head(record), record.capsule.here().unwrap_or_default().to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        arguments.extend([name(known.key).into_bytes(), known.epoch.0.to_be_bytes().to_vec(), head, capsule]);
    }
    for (player, session) in sessions {
        let mut packed = Vec::with_capacity(SESSION_BYTES);
        packed.extend(session.session.0.to_be_bytes());
        packed.extend(session.nonce.to_be_bytes());
        packed.extend(session.edge.0.to_be_bytes());
        packed.extend(session.epoch.0.to_be_bytes());
        arguments.extend([player.to_string().into_bytes(), packed]);
    }
    arguments
}

/// What stands before the capsule; epoch, region and holder are the script's business.
fn head(record: &Record) -> Vec<u8> {
    let mut head = vec![0; 27];
    head.extend(record.handoff.0.to_be_bytes());
    head.extend(record.applied.to_be_bytes());
    head.extend(record.tick.0.to_be_bytes());
    if let Kept::Journal { .. } = record.capsule {
        head.extend(state(&record.capsule));
    }
    head
}

/// From two fields; `Some(None)` where both are absent.
fn maybe_record(fields: Value) -> Option<Option<Record>> {
    let mut fields = list(fields)?.into_iter();
    match (fields.next()?, fields.next()?) {
        (Value::Nil, Value::Nil) => Some(None),
        (head, capsule) => record(&head, capsule).map(Some),
    }
}

fn record(head: &Value, capsule: Value) -> Option<Record> {
    let head = bytes(head)?;
    let capsule = match (head.len(), capsule) {
        (HEAD_BYTES, Value::BulkString(capsule)) => Kept::Here(capsule),
        (NAMED_HEAD_BYTES, _) => Kept::Journal {
            lease: Epoch(u64::from_be_bytes(at(head, HEAD_BYTES)?)),
            hash: u64::from_be_bytes(at(head, HEAD_BYTES + 8)?),
        },
        _ => return None,
    };
    let holder = (head[10] == 1).then_some(Holder {
        worker: WorkerId(u64::from_be_bytes(at(head, 11)?)),
        lease: Epoch(u64::from_be_bytes(at(head, 19)?)),
    });
    Some(Record {
        epoch: Epoch(u64::from_be_bytes(at(head, 0)?)),
        region: RegionId(u16::from_be_bytes(at(head, 8)?)),
        holder,
        handoff: HandoffId(u128::from_be_bytes(at(head, 27)?)),
        applied: u32::from_be_bytes(at(head, 43)?),
        tick: Tick(u64::from_be_bytes(at(head, 47)?)),
        capsule,
    })
}

/// `Some(None)` where there is none.
fn maybe_session(value: &Value) -> Option<Option<SessionRecord>> {
    if matches!(value, Value::Nil) {
        return Some(None);
    }
    let packed = bytes(value).filter(|packed| packed.len() == SESSION_BYTES)?;
    Some(Some(SessionRecord {
        session: SessionId(u128::from_be_bytes(at(packed, 0)?)),
        nonce: u64::from_be_bytes(at(packed, 16)?),
        edge: EdgeId(u64::from_be_bytes(at(packed, 24)?)),
        epoch: Epoch(u64::from_be_bytes(at(packed, 32)?)),
    }))
}

/// What a record's key ends with, readable for people.
fn name(key: EntityKey) -> String {
    match key {
        EntityKey::Player(player) => format!("player:{player}"),
        EntityKey::Object(object) => format!("object:{object}"),
    }
}

fn key(name: &Value) -> Option<EntityKey> {
    match std::str::from_utf8(bytes(name)?).ok()?.split_once(':')? {
        ("player", id) => id.parse::<PlayerId>().ok().map(EntityKey::Player),
        ("object", id) => id.parse::<EntityId>().ok().map(EntityKey::Object),
        _ => None,
    }
}

/// Somebody: the byte before says that there is one.
fn held_by(id: u64) -> [u8; 9] {
    let mut holder = [1; 9];
    holder[1..].copy_from_slice(&id.to_be_bytes());
    holder
}

/// In decimal. Rounded up, so that a lease is never shorter than the granted one.
fn millis(ttl: Duration) -> Vec<u8> {
    ttl.as_nanos().div_ceil(1_000_000).min(MAX_TTL_MS).to_string().into_bytes()
}

fn at<const N: usize>(packed: &[u8], from: usize) -> Option<[u8; N]> {
    packed.get(from..from + N)?.try_into().ok()
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// Eight bytes.
fn number(value: &Value) -> Option<u64> {
    bytes(value)?.try_into().ok().map(u64::from_be_bytes)
}

fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Int(integer) => u64::try_from(*integer).ok(),
        _ => None,
    }
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// A hash as a script returns it: names and values by turns.
fn pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    let mut values = list(value)?.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let Some(name) = values.next() {
        pairs.push((name, values.next()?));
    }
    Some(pairs)
}
