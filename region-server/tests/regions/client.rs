//! A client and its edge, with the eyes of a checker: what may never be seen is an assertion.

use std::collections::{BTreeMap, BTreeSet};

use gorc::{Curve, Decoder, Enter, LeaveReason, Update, Visitor};
use horizon_model::{
    ChannelSpec, EntityId, Epoch, ObjectTypeId, PlayerId, Pose, RegionId, SessionId, Tick, TickRate,
};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{AttachRecord, EdgeToRegion, FrameOut, OpenSession};

use crate::references::{SETTLING, Sighting};

struct Seen {
    curve: Curve,
    channel: u8,
    avatar: bool,
    /// Frame of the last enter, jump, repetition or change of channel.
    disturbed: Tick,
}

/// What is wrong with what was shown; all of it must stay empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) astray: Vec<String>,
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
    /// Everything that was ever held.
    pub(crate) seen: BTreeSet<EntityId>,
    pub(crate) inputs_sent: u32,
    /// Takes frames and reads none of them.
    pub(crate) blind: bool,
    /// A region died: what it still had on its way is of an older epoch, and reaches nobody.
    bereft: bool,
    session: SessionId,
    spelling: Spelling,
    spawn: Pose,
    rate: TickRate,
    /// Ticks of a step of the region that sent the last frame.
    step: u64,
    kept: BTreeMap<u32, EdgeToRegion>,
    names: Vec<(String, String)>,
    events_seen: u32,
    sequence: Option<u32>,
    last_tick: Option<Tick>,
    frame_epoch: Epoch,
    decoder: Decoder,
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
            seen: BTreeSet::new(),
            inputs_sent: 0,
            blind: false,
            bereft: false,
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
            decoder: Decoder::at_rate(rate),
            step: rate.step(),
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

    /// Takes a frame of a region whose steps are `step` ticks.
    pub(crate) fn frame(&mut self, tick: Tick, frame: &FrameOut, step: u64) {
        if self.bereft && frame.epoch < self.epoch {
            return;
        }
        let expected = self.sequence.map(|last| last + 1);
        assert_eq!(Some(frame.sequence), expected.or(Some(frame.sequence)), "frames in order, at {tick}");
        self.sequence = Some(frame.sequence);
        if let Some(last) = self.last_tick {
            let missed = tick.saturating_since(last);
            // Between regions of two rates the longer step is due.
            if tick <= last || missed > step.max(self.step) {
                self.faults.gaps.push(format!("{last} to {tick}"));
            }
        }
        if frame.epoch > self.frame_epoch && self.last_tick.is_some() {
            self.crossings += 1;
        }
        (self.frame_epoch, self.step) = (frame.epoch, step);
        self.last_tick = Some(tick);
        self.frame_tick = tick;
        if self.blind {
            return;
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        let result = match self.spelling {
            Spelling::Binary => decoder.decode(&frame.body, tick, self),
            Spelling::Json => {
                let text = String::from_utf8(frame.body.clone()).expect("text");
                gorc::decode_json(&text, tick, self)
            }
        };
        result.expect("a readable body");
        assert_eq!(decoder.strays(), 0, "an alias that nobody handed out, at {tick}");
        self.decoder = decoder;
    }

    /// Everything held, where it is to be drawn as of the newest frame.
    pub(crate) fn sightings(&self) -> Vec<Sighting> {
        let sighting = |(entity, seen): (&EntityId, &Seen)| {
            let tick = Tick(self.frame_tick.0.saturating_sub(self.delay(seen.channel)));
            Sighting {
                entity: *entity,
                tick,
                metres: seen.curve.at(tick.0 as f64).0,
                channel: seen.channel,
                own: self.entity == Some(*entity),
                avatar: seen.avatar,
                calm: tick > seen.disturbed + SETTLING,
            }
        };
        self.held.iter().map(sighting).collect()
    }

    fn delay(&self, channel: u8) -> u64 {
        ChannelSpec::DEFAULT[usize::from(channel.min(3))].delay_ticks(self.rate)
    }

    /// After a crash everything begins anew.
    pub(crate) fn forgive(&mut self) {
        self.faults = Faults::default();
        self.last_tick = None;
        self.bereft = true;
    }
}

impl Visitor for Client {
    fn reset(&mut self) {
        self.held.clear();
        self.left.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        let back = self.left.remove(&enter.entity).filter(|_| !enter.again);
        if !enter.again && self.held.contains_key(&enter.entity)
            || back.is_some_and(|left| self.frame_tick.saturating_since(left) < 120)
        {
            self.faults.flickers.push(format!("{} enters again at {}", enter.entity, self.frame_tick));
        }
        self.seen.insert(enter.entity);
        let velocity = enter.pose.velocity.map(f64::from);
        let seen = Seen {
            curve: Curve::new(enter.tick, enter.pose.position.metres(), velocity, enter.pose.yaw),
            channel: enter.channel,
            avatar: enter.player.is_some(),
            disturbed: self.frame_tick,
        };
        self.held.insert(enter.entity, seen);
    }

    fn update(&mut self, update: Update<'_>) {
        let before = self.held.get(&update.entity).map_or(update.channel, |seen| seen.channel);
        let delay = self.delay(before);
        let Some(seen) = self.held.get_mut(&update.entity) else {
            self.faults.flickers.push(format!("update of {} which is not held", update.entity));
            return;
        };
        if update.snap || update.complete || seen.channel != update.channel {
            seen.disturbed = self.frame_tick;
        }
        seen.channel = update.channel;
        if let (Some(position), Some(velocity)) = (update.position, update.velocity) {
            let (frame, velocity) = (self.frame_tick, velocity.map(f64::from));
            seen.curve.forget_before(frame.0.saturating_sub(120) as f64);
            seen.curve.push(frame, delay, update.tick, position.metres(), velocity, update.yaw, update.snap);
        }
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
