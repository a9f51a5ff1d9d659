//! A client and its edge, with the eyes of a checker: what may never be seen is an assertion.

use std::collections::BTreeMap;
use std::time::Duration;

use gorc::{Enter, LeaveReason, Update, Visitor};
use horizon_model::{
    ChannelSpec, EntityId, Epoch, ObjectTypeId, PlayerId, Pose, RegionId, SessionId, Tick, TickRate,
};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{AttachRecord, EdgeToRegion, FrameOut, OpenSession};

struct Seen {
    tick: Tick,
    channel: u8,
    /// Position ticks at this channel since it was gained.
    steady: bool,
}

/// What is wrong with what was shown; all of it must stay empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) stalls: Vec<String>,
    pub(crate) double_steps: Vec<String>,
    pub(crate) flickers: Vec<String>,
    pub(crate) gaps: Vec<String>,
}

pub(crate) struct Client {
    pub(crate) player: PlayerId,
    pub(crate) session_epoch: Epoch,
    pub(crate) route: Option<RegionId>,
    pub(crate) epoch: Epoch,
    pub(crate) entity: Option<EntityId>,
    pub(crate) resyncs: u32,
    pub(crate) crossings: u32,
    pub(crate) faults: Faults,
    pub(crate) events: Vec<(String, serde_json::Value)>,
    pub(crate) seen_pose: BTreeMap<EntityId, [f64; 3]>,
    pub(crate) inputs_sent: u32,
    session: SessionId,
    spelling: Spelling,
    spawn: Pose,
    rate: TickRate,
    kept: BTreeMap<u32, EdgeToRegion>,
    names: Vec<(String, String)>,
    events_seen: u32,
    sequence: Option<u32>,
    last_tick: Option<Tick>,
    frame_epoch: Epoch,
    held: BTreeMap<EntityId, Seen>,
    left: BTreeMap<EntityId, Tick>,
    frame_tick: Tick,
}

impl Client {
    pub(crate) fn new(
        player: PlayerId,
        session: SessionId,
        spelling: Spelling,
        spawn: Pose,
        rate: TickRate,
    ) -> Self {
        Self {
            player,
            session_epoch: Epoch::new(1, 1),
            route: None,
            epoch: Epoch::ZERO,
            entity: None,
            resyncs: 0,
            crossings: 0,
            faults: Faults::default(),
            events: Vec::new(),
            seen_pose: BTreeMap::new(),
            inputs_sent: 0,
            session,
            spelling,
            spawn,
            rate,
            kept: BTreeMap::new(),
            names: Vec::new(),
            events_seen: 0,
            sequence: None,
            last_tick: None,
            frame_epoch: Epoch::ZERO,
            held: BTreeMap::new(),
            left: BTreeMap::new(),
            frame_tick: Tick::default(),
        }
    }

    pub(crate) fn open(&self, fresh: bool) -> OpenSession {
        OpenSession {
            player: self.player,
            session: self.session,
            session_epoch: self.session_epoch,
            spelling: self.spelling,
            name: format!("player {:x}", self.player.0),
            events_acked: self.events_seen,
            spawn: self.spawn,
            fresh,
        }
    }

    /// A new owner; returns what it must be sent again.
    pub(crate) fn attached(&mut self, attach: &AttachRecord) -> Vec<EdgeToRegion> {
        if attach.epoch < self.epoch {
            return Vec::new();
        }
        if let Some(tables) = &attach.tables {
            self.names.clone_from(&tables.names);
        }
        self.route = Some(attach.region);
        self.epoch = attach.epoch;
        self.entity = Some(attach.entity);
        if !attach.continues {
            self.sequence = Some(attach.sequence);
        }
        self.again(attach.applied + 1)
    }

    pub(crate) fn again(&self, from: u32) -> Vec<EdgeToRegion> {
        self.kept.range(from..).map(|(_, input)| input.clone()).collect()
    }

    pub(crate) fn input(&mut self, namespace: &str, event: &str, payload: &[u8]) -> EdgeToRegion {
        self.inputs_sent += 1;
        let input = EdgeToRegion::Input {
            player: self.player,
            session_epoch: self.session_epoch,
            seq: self.inputs_sent,
            name: u16::MAX,
            spelled: Some((namespace.to_owned(), event.to_owned())),
            payload: payload.to_vec(),
        };
        self.kept.insert(self.inputs_sent, input.clone());
        input
    }

    pub(crate) fn durable(&mut self, durable: u32) {
        self.kept.retain(|seq, _| *seq > durable);
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn event(
        &mut self,
        number: u32,
        name: u16,
        spelled: Option<(String, String)>,
        payload: &[u8],
    ) -> u32 {
        if number == self.events_seen + 1 {
            self.events_seen = number;
            let (namespace, event) =
                spelled.or_else(|| self.names.get(usize::from(name)).cloned()).expect("a known name");
            let value = match self.spelling {
                Spelling::Json => serde_json::from_slice(payload).expect("JSON"),
                Spelling::Binary => {
                    let json =
                        horizon_region_server::plugin::transcode_to_json(payload).expect("MessagePack");
                    serde_json::from_slice(&json).expect("JSON")
                }
            };
            self.events.push((format!("{namespace}/{event}"), value));
        } else {
            assert!(number <= self.events_seen, "event {number} after {}", self.events_seen);
        }
        self.events_seen
    }

    pub(crate) fn frame(&mut self, tick: Tick, frame: &FrameOut, _now: Duration) {
        let expected = self.sequence.map(|last| last + 1);
        assert_eq!(Some(frame.sequence), expected.or(Some(frame.sequence)), "frames in order, at {tick}");
        self.sequence = Some(frame.sequence);
        if let Some(last) = self.last_tick {
            let missed = tick.saturating_since(last);
            if tick <= last || missed > self.rate.step() {
                self.faults.gaps.push(format!("{last} to {tick}"));
            }
        }
        if frame.epoch > self.frame_epoch && self.last_tick.is_some() {
            self.crossings += 1;
        }
        self.frame_epoch = frame.epoch;
        self.last_tick = Some(tick);
        self.frame_tick = tick;
        let result = match self.spelling {
            Spelling::Binary => gorc::decode(&frame.body, tick, self),
            Spelling::Json => {
                let text = String::from_utf8(frame.body.clone()).expect("text");
                gorc::decode_json(&text, tick, self)
            }
        };
        result.expect("a readable body");
    }

    /// After a crash everything begins anew.
    pub(crate) fn forgive(&mut self) {
        self.faults = Faults::default();
        self.last_tick = None;
    }
}

impl Visitor for Client {
    fn reset(&mut self) {
        self.held.clear();
        self.left.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        if enter.again && self.held.contains_key(&enter.entity) {
            return;
        }
        let back = self.left.remove(&enter.entity);
        if self.held.contains_key(&enter.entity)
            || back.is_some_and(|left| self.frame_tick.saturating_since(left) < 120)
        {
            self.faults.flickers.push(format!("{} enters again at {}", enter.entity, self.frame_tick));
        }
        self.seen_pose.insert(enter.entity, enter.pose.position.metres());
        self.held.insert(enter.entity, Seen { tick: enter.tick, channel: enter.channel, steady: false });
    }

    fn update(&mut self, update: Update<'_>) {
        let Some(seen) = self.held.get_mut(&update.entity) else {
            self.faults.flickers.push(format!("update of {} which is not held", update.entity));
            return;
        };
        let Some(position) = update.position else { return };
        self.seen_pose.insert(update.entity, position.metres());
        let period = ChannelSpec::DEFAULT[usize::from(update.channel)].period_ticks().max(self.rate.step());
        if update.tick <= seen.tick {
            self.faults
                .double_steps
                .push(format!("{} at {} after {}", update.entity, update.tick, seen.tick));
        } else if seen.channel == update.channel && seen.steady && update.tick.0 - seen.tick.0 > period {
            self.faults.stalls.push(format!("{} from {} to {}", update.entity, seen.tick, update.tick));
        }
        seen.steady = seen.channel == update.channel || seen.steady;
        if seen.channel != update.channel {
            seen.channel = update.channel;
            seen.steady = false;
        }
        seen.tick = update.tick;
    }

    fn leave(&mut self, entity: EntityId, _reason: LeaveReason) {
        if self.held.remove(&entity).is_some() {
            self.left.insert(entity, self.frame_tick);
        }
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, _: &str) -> Option<u8> {
        Some(0)
    }
}
