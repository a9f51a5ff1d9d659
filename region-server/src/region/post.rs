//! Plugin messages: numbered events to players here, and posts to other regions.
//!
//! Whatever leaves this region is numbered per receiver, journalled with the tick that made it, sent
//! when that is durable, and kept until the receiver has it durably. The receiver remembers the
//! highest number. Broadcasts carry a number of their own, and each player remembers what it has
//! heard from whom, so that walking across a border neither repeats one nor loses it.

use std::collections::BTreeMap;

use horizon_handoff::lanes::SessionState;
use horizon_handoff::mutant::Mutant;
use horizon_model::{EntityId, Epoch, PlayerId, RegionId, Tick};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{EntityKey, Lane, Post, PostTarget, RegionToEdge, RegionToRegion};
use tracing::warn;

use super::{Output, Region};
use crate::journal::{EarlyPost, Inbound};
use crate::plugin::transcode_to_json;
use crate::world::{Effect, WaitingEvent};

/// How long broadcasts are kept for players on their way here, in ticks: ten seconds.
const KEEP_BROADCASTS: u64 = 600;
/// How often the store is asked about somebody for whom a message waits, and unconfirmed messages are looked at,
/// in ticks: once a second.
pub(super) const ASK_TICKS: u64 = 60;

/// A broadcast that players who arrive may not have heard.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    origin: RegionId,
    lease: Epoch,
    number: u64,
    namespace: String,
    event: String,
    payload: Vec<u8>,
    taken: Tick,
}

impl Region {
    /// Takes what handlers asked for since the last call, and what handlers of that ask for.
    pub(super) fn deliver_effects(&mut self) {
        while !self.world.effects.is_empty() {
            for effect in std::mem::take(&mut self.world.effects) {
                self.deliver_effect(effect);
            }
        }
    }

    fn deliver_effect(&mut self, effect: Effect) {
        {
            match effect {
                Effect::Send { to, namespace, event, payload } => {
                    self.route(EarlyPost { to, namespace, event, payload, from: None });
                }
                Effect::Broadcast { namespace, event, payload } => {
                    self.broadcasts += 1;
                    let number = self.broadcasts;
                    let elsewhere: Vec<RegionId> = self
                        .placements
                        .keys()
                        .copied()
                        .filter(|region| *region != self.world.region)
                        .collect();
                    for region in elsewhere {
                        self.post(
                            region,
                            PostTarget::Everyone { broadcast: number },
                            namespace.clone(),
                            event.clone(),
                            payload.clone(),
                        );
                    }
                    let broadcast = Broadcast {
                        origin: self.world.region,
                        lease: self.lease.epoch,
                        number,
                        namespace,
                        event,
                        payload,
                        taken: self.world.tick,
                    };
                    self.hear(broadcast);
                }
            }
        }
    }

    /// A numbered event for an owned player. It leaves when the tick is durable.
    pub(super) fn push_event(&mut self, id: EntityId, namespace: String, event: String, payload: Vec<u8>) {
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        let Some(player) = entity.player.as_deref_mut() else {
            return;
        };
        if !player.has_room_for(payload.len()) {
            // Never numbered, so no number is missing; a plugin that sends to one player is told.
            if player.refused_events == 0 {
                warn!(player = ?entity.key, "events for a player who acknowledges nothing are refused");
            }
            player.refused_events += 1;
            return;
        }
        player.refused_events = 0;
        player.waiting.push_back(WaitingEvent { namespace, event, payload });
        entity.touch_tail();
        self.fill_tail(id);
    }

    /// Numbers waiting events while the tail has room.
    pub(super) fn fill_tail(&mut self, id: EntityId) {
        let epoch = self.epoch_of(id);
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        let EntityKey::Player(key) = entity.key else {
            return;
        };
        let Some(player) = entity.player.as_deref_mut() else {
            return;
        };
        let mut outputs = Vec::new();
        while let Some(event) = player.waiting.front() {
            let Ok(number) = player.tail.push(&event.namespace, &event.event, event.payload.clone()) else {
                break;
            };
            let event = player.waiting.pop_front().expect("the front was just seen");
            outputs.push((player.session.clone(), number, event));
        }
        for (session, number, event) in outputs {
            let edge = session.edge;
            let message = self.event_message(
                key,
                &session,
                epoch,
                number,
                &event.namespace,
                &event.event,
                &event.payload,
            );
            self.hold(Output::Edge(edge, Lane::of_player(key), message));
        }
    }

    /// Sends every unacknowledged event again: a new connection, edge or owner.
    pub(super) fn resend_events(&mut self, id: EntityId) {
        let epoch = self.epoch_of(id);
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let (EntityKey::Player(key), Some(player)) = (entity.key, entity.player.as_deref()) else {
            return;
        };
        let (session, edge) = (&player.session, player.session.edge);
        let messages: Vec<RegionToEdge> = player
            .tail
            .unacked()
            .map(|event| {
                self.event_message(
                    key,
                    session,
                    epoch,
                    event.number,
                    &event.namespace,
                    &event.event,
                    &event.payload,
                )
            })
            .collect();
        for message in messages {
            self.hold(Output::Edge(edge, Lane::of_player(key), message));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one message, spelled out")]
    fn event_message(
        &self,
        player: PlayerId,
        session: &SessionState,
        epoch: Epoch,
        number: u32,
        namespace: &str,
        event: &str,
        payload: &[u8],
    ) -> RegionToEdge {
        let payload = match session.spelling {
            Spelling::Binary => payload.to_vec(),
            Spelling::Json => transcode_to_json(payload).unwrap_or_else(|error| {
                warn!(%error, namespace, event, "an event payload is not MessagePack");
                b"null".to_vec()
            }),
        };
        let (name, spelled) = match self.names.get(&(namespace.to_owned(), event.to_owned())) {
            Some(index) => (*index, None),
            None => (u16::MAX, Some((namespace.to_owned(), event.to_owned()))),
        };
        let session_epoch = session.session_epoch;
        RegionToEdge::Event { player, session_epoch, epoch, number, name, spelled, payload }
    }

    /// Numbers a message for another region and keeps it until that region has it.
    pub(super) fn post(
        &mut self,
        to: RegionId,
        target: PostTarget,
        namespace: String,
        event: String,
        payload: Vec<u8>,
    ) {
        let lane = self.outbound.entry(to).or_default();
        lane.last += 1;
        let post = Post {
            from: self.world.region,
            lease: self.lease.epoch,
            number: lane.last,
            target,
            namespace,
            event,
            payload,
        };
        lane.waiting.push(post.clone());
        self.record.posted.push((to, post.clone()));
        if let Some(worker) = self.worker_of(to) {
            self.hold(Output::Worker(worker, Lane::Control, RegionToRegion::Post(Box::new(post))));
        }
    }

    /// Sends again what has not been confirmed for a second or two: a full queue drops a message without a word,
    /// and all that follow wait for it.
    pub(super) fn repeat_overdue_posts(&mut self, tick: Tick) {
        if tick.0 % ASK_TICKS >= self.config.rate.step() {
            return;
        }
        let oldest: BTreeMap<RegionId, u64> =
            self.outbound.iter().filter_map(|(to, lane)| Some((*to, lane.waiting.first()?.number))).collect();
        let before = std::mem::replace(&mut self.overdue, oldest);
        let overdue: Vec<RegionId> = before
            .into_iter()
            .filter(|(to, number)| self.overdue.get(to) == Some(number))
            .map(|(to, _)| to)
            .collect();
        for region in overdue {
            self.resend_posts(region);
        }
    }

    /// Sends everything unconfirmed again: a link came up, or the receiver was recovered.
    pub(super) fn resend_posts(&mut self, to: RegionId) {
        let Some(worker) = self.worker_of(to) else {
            return;
        };
        let posts: Vec<Post> = self.outbound.get(&to).map(|lane| lane.waiting.clone()).unwrap_or_default();
        for post in posts {
            self.hold(Output::Worker(worker, Lane::Control, RegionToRegion::Post(Box::new(post))));
        }
    }

    /// A message from another region: once, in order of its numbers. They go on from lease to lease of the
    /// sender: one that is not durable was never sent, and its number is given again.
    pub(super) fn take_post(&mut self, post: Post) {
        let held = self.inbound.get(&post.from).copied();
        let (newest, expected) = match held {
            // A sender that lost its journal begins anew.
            Some(held) if held.lease < post.lease && post.number == 1 => (post.lease, 1),
            Some(held) => (held.lease.max(post.lease), held.number + 1),
            None => (post.lease, 1),
        };
        let again = post.number < expected;
        if again && !self.lacks(Mutant::RepeatPosts) {
            // Taken already: confirm again when durable.
            self.confirm_post(post.from, newest, expected - 1);
            return;
        }
        if post.number > expected && !self.lacks(Mutant::SkipPosts) {
            return;
        }
        let number = post.number.max(expected - 1);
        let taken = Inbound { from: post.from, lease: newest, number };
        self.inbound.insert(post.from, taken);
        self.record.taken.retain(|held| held.from != post.from);
        self.record.taken.push(taken);
        match post.target {
            PostTarget::Entity(to) => {
                let Post { from, namespace, event, payload, .. } = post;
                self.route(EarlyPost { to, namespace, event, payload, from: Some(from) });
                self.deliver_effects();
            }
            PostTarget::Everyone { broadcast } => {
                let broadcast = Broadcast {
                    origin: post.from,
                    lease: post.lease,
                    number: broadcast,
                    namespace: post.namespace,
                    event: post.event,
                    payload: post.payload,
                    taken: self.world.tick,
                };
                self.hear(broadcast);
            }
        }
    }

    /// Confirms what this record takes: to each region the last number only, however many came.
    pub(super) fn confirm_posts(&mut self) {
        let taken: Vec<Inbound> = self.record.taken.clone();
        for Inbound { from, lease, number } in taken {
            self.confirm_post(from, lease, number);
        }
    }

    fn confirm_post(&mut self, to: RegionId, lease: Epoch, number: u64) {
        if let Some(worker) = self.worker_of(to) {
            let region = self.world.region;
            self.hold(Output::Worker(
                worker,
                Lane::Control,
                RegionToRegion::PostAck { region, lease, number },
            ));
        }
    }

    /// Another region has our messages durably.
    pub(super) fn posts_confirmed(&mut self, by: RegionId, lease: Epoch, number: u64) {
        if let Some(lane) = self.outbound.get_mut(&by) {
            // They wait in order, so whatever is confirmed is at the front.
            let done = lane.waiting.partition_point(|post| post.lease <= lease && post.number <= number);
            if lane.waiting.drain(..done).len() > 0 {
                self.record.confirmed.push((by, number));
            }
        }
    }

    fn hear(&mut self, broadcast: Broadcast) {
        let players: Vec<EntityId> = self.world.players.values().copied().collect();
        for id in players {
            self.tell(id, &broadcast);
        }
        self.recent.push_back(broadcast);
        let now = self.world.tick;
        while self.recent.front().is_some_and(|old| now.saturating_since(old.taken) > KEEP_BROADCASTS) {
            self.recent.pop_front();
        }
    }

    /// Tells one player a broadcast it has not heard.
    fn tell(&mut self, id: EntityId, broadcast: &Broadcast) {
        let Some(entity) = self.world.entities.get_mut(&id).filter(|entity| !entity.frozen) else {
            return;
        };
        let Some(player) = entity.player.as_deref_mut() else {
            return;
        };
        let version = (broadcast.lease, broadcast.number);
        if player.heard.get(&broadcast.origin).is_some_and(|heard| *heard >= version) {
            return;
        }
        player.heard.insert(broadcast.origin, version);
        entity.touch_heard();
        self.push_event(id, broadcast.namespace.clone(), broadcast.event.clone(), broadcast.payload.clone());
    }

    /// Tells a player who has just come from another region what it missed on the way.
    pub(super) fn catch_up_broadcasts(&mut self, id: EntityId) {
        for broadcast in self.recent.clone() {
            self.tell(id, &broadcast);
        }
    }

    /// What a player who joins now has, by definition, heard: everything so far.
    pub(super) fn heard_so_far(&self) -> std::collections::BTreeMap<RegionId, (Epoch, u64)> {
        let mut heard = std::collections::BTreeMap::new();
        for broadcast in &self.recent {
            heard.insert(broadcast.origin, (broadcast.lease, broadcast.number));
        }
        heard
    }
}
