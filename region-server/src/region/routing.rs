//! Where a plugin's message to one player or one object goes.
//!
//! ```text
//!                       owned here, not frozen ─▶ the plugin that hears it, or the client
//!   from a handler ┐    frozen here ────────────▶ a post to whoever may take it; it comes back if nobody does
//!   from a post ───┴▶   a ghost ────────────────▶ a post to its region
//!                       unknown ────────────────▶ waits, in the journal, and the store is asked
//!                                                   ├─ names another region ──▶ a post to that one
//!                                                   ├─ a player who left ─────▶ waits on
//!                                                   └─ gone, or never was ────▶ undeliverable
//! ```
//!
//! Nothing but its owner decides about an entity, and a post is taken once, in the same record as what its
//! handler does. So a message takes effect once, however often its receiver crosses while it is on its way.

use horizon_handoff::Record;
use horizon_handoff::mutant::Mutant;
use horizon_model::{EntityId, PlayerId, RegionId, Tick};
use horizon_plugin_api::Who;
use horizon_protocol::link::{EntityKey, PostTarget};
use tracing::debug;

use super::post::ASK_TICKS;
use super::{Output, Region};
use crate::journal::EarlyPost;

impl Region {
    /// Delivers a message here, sends it on, or lets it wait.
    pub(super) fn route(&mut self, post: EarlyPost) {
        match post.to {
            EntityKey::Player(player) => self.route_to_player(player, post),
            EntityKey::Object(object) => self.route_to_object(object, post),
        }
    }

    fn route_to_player(&mut self, to: PlayerId, post: EarlyPost) {
        let deed = self.host.hears(&post.namespace, &post.event);
        let owned = self.world.avatar(to).map(|entity| (entity.id, entity.frozen));
        match owned {
            Some((_, frozen)) if deed && (!frozen || self.lacks(Mutant::GiveWhileFrozen)) => {
                self.host.to_player(&mut self.world, to, &post.namespace, &post.event, &post.payload);
            }
            Some((id, false)) => self.push_event(id, post.namespace, post.event, post.payload),
            // Nothing but its own final state may change a frozen player: whoever owns it next
            // delivers. The target sends it back if the handoff is undone.
            Some((id, true)) => match self.frozen_target(id) {
                Some(region) => self.send_on(region, post),
                None if deed => self.wait_for(post),
                None => debug!(player = %to, "event for a player who leaves the world"),
            },
            None => match self.world.origin_of(post.to) {
                Some(region) if self.is_coming(&post, region) => self.wait_for(post),
                Some(region) => self.send_on(region, post),
                // On its way here: the sender believed us to own it before we do.
                None if post.from.is_some() && self.expects(post.to) => self.wait_for(post),
                // What plugins do to a player is not lost with the trace of the player.
                None if deed => self.wait_for(post),
                None => debug!(player = %to, "event for a player nobody here knows"),
            },
        }
    }

    fn route_to_object(&mut self, to: EntityId, post: EarlyPost) {
        let owned = self.world.entities.get(&to).map(|entity| (entity.player.is_some(), entity.frozen));
        match owned {
            Some((true, _)) => self.give_back(&post),
            Some((false, frozen)) if !frozen || self.lacks(Mutant::GiveWhileFrozen) => {
                self.host.to_object(&mut self.world, to, &post.namespace, &post.event, &post.payload);
            }
            Some(_) => match self.frozen_target(to) {
                Some(region) => self.send_on(region, post),
                None => self.wait_for(post),
            },
            None => match self.world.origin_of(post.to) {
                Some(region) if !self.is_coming(&post, region) => self.send_on(region, post),
                _ => self.wait_for(post),
            },
        }
    }

    /// The receiver is frozen at the region that sent this, and the store is being asked to give it to us: it
    /// would only come back.
    fn is_coming(&self, post: &EarlyPost, origin: RegionId) -> bool {
        post.from == Some(origin) && self.target.is_staged(post.to)
    }

    /// Lets another region decide, durably.
    fn send_on(&mut self, region: RegionId, post: EarlyPost) {
        self.post(region, PostTarget::Entity(post.to), post.namespace, post.event, post.payload);
    }

    /// Nobody will ever own its receiver: whoever sent the message may want to know.
    fn give_back(&mut self, post: &EarlyPost) {
        debug!(to = ?post.to, post.namespace, post.event, "undeliverable");
        let to = match post.to {
            EntityKey::Player(player) => Who::Player(player),
            EntityKey::Object(object) => Who::Entity(object),
        };
        self.host.undeliverable(&mut self.world, to, &post.namespace, &post.event, &post.payload);
    }

    /// Keeps a message until its receiver is owned here, or it is known where. The store is asked at once, and
    /// then once a second.
    fn wait_for(&mut self, post: EarlyPost) {
        self.ask_where(post.to);
        self.early_posts.push(post);
        self.early_changed = true;
    }

    fn ask_where(&mut self, to: EntityKey) {
        let joins = matches!(to, EntityKey::Player(player) if self.joins.contains_key(&player));
        if self.world.owned_by_key(to).is_none() && !self.expects(to) && !joins {
            self.out.push(Output::Lookup(to));
        }
    }

    /// Delivers what came before its receiver did. What is for somebody of whom nothing is known here waits on.
    pub(super) fn deliver_early_posts(&mut self) {
        let asks = self.world.tick.0 % ASK_TICKS < self.config.rate.step();
        for post in std::mem::take(&mut self.early_posts) {
            if !self.must_wait(&post) {
                self.early_changed = true;
                self.route(post);
                continue;
            }
            if asks && self.world.origin_of(post.to).is_none() {
                self.ask_where(post.to);
            }
            self.early_posts.push(post);
        }
        let Self { unrecorded, early_posts, .. } = self;
        unrecorded.retain(|player, _| early_posts.iter().any(|post| post.to == EntityKey::Player(*player)));
        self.deliver_effects();
    }

    fn must_wait(&self, post: &EarlyPost) -> bool {
        let owned = self.world.owned_by_key(post.to).and_then(|id| self.world.entities.get(&id));
        if let Some(entity) = owned {
            let leaves = entity.frozen && self.frozen_target(entity.id).is_none();
            return leaves && self.is_for_plugins(post);
        }
        match self.world.origin_of(post.to) {
            Some(region) => self.is_coming(post, region),
            None => self.is_for_plugins(post) || post.from.is_some() && self.expects(post.to),
        }
    }

    fn is_for_plugins(&self, post: &EarlyPost) -> bool {
        matches!(post.to, EntityKey::Object(_)) || self.host.hears(&post.namespace, &post.event)
    }

    /// The store's word on somebody who is not owned here: messages that wait go on to the region it names.
    pub(super) fn route_by_record(&mut self, key: EntityKey, record: Option<&Record>) {
        if self.expects(key) || self.world.origin_of(key).is_some() {
            return;
        }
        let here = self.world.region;
        let next = match key {
            EntityKey::Player(player) => self.next_for_player(player, record),
            EntityKey::Object(object) => self.next_for_object(object, record),
        };
        match next {
            Next::Region(region) if region == here || !self.placements.contains_key(&region) => {}
            Next::Region(region) => {
                for post in self.take_waiting(key) {
                    self.send_on(region, post);
                }
            }
            Next::Wait => {}
            Next::Nowhere => {
                for post in self.take_waiting(key) {
                    self.give_back(&post);
                }
                self.deliver_effects();
            }
        }
    }

    /// The messages that wait for somebody, who need not wait any longer.
    fn take_waiting(&mut self, key: EntityKey) -> Vec<EarlyPost> {
        let (taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.early_posts).into_iter().partition(|post| post.to == key);
        self.early_posts = kept;
        self.early_changed |= !taken.is_empty();
        taken
    }

    /// Whoever has been in the world has a record, and waits for the return where it says. One who has none may
    /// be somebody of whom a store that was started again has not been told yet.
    fn next_for_player(&mut self, player: PlayerId, record: Option<&Record>) -> Next {
        let waited_for = self.early_posts.iter().any(|post| post.to == EntityKey::Player(player));
        if record.is_some() || !waited_for {
            self.unrecorded.remove(&player);
            return record.map_or(Next::Wait, |record| Next::Region(record.region));
        }
        let since = *self.unrecorded.entry(player).or_insert(self.world.tick);
        if self.world.tick.saturating_since(since) < self.settling_ticks() {
            return Next::Wait;
        }
        self.unrecorded.remove(&player);
        Next::Nowhere
    }

    /// After so many ticks a store that was started again has heard of everybody: twice as long as a lease lasts.
    fn settling_ticks(&self) -> u64 {
        Tick::at(2 * self.config.lease_ttl).0
    }

    fn next_for_object(&self, object: EntityId, record: Option<&Record>) -> Next {
        let (here, home) = (self.world.region, object.minted_in());
        match record {
            Some(record) if record.holder.is_none() => Next::Nowhere,
            // Despawned, and the record will say so in a moment.
            Some(record) if record.region == here => Next::Nowhere,
            Some(record) => Next::Region(record.region),
            None if !self.world.map.regions().any(|region| region == home) => Next::Nowhere,
            None if home != here => Next::Region(home),
            // It once had a record, so a store that has none of it has lost data, and will have it again.
            None if self.buried.iter().any(|(key, _)| *key == EntityKey::Object(object)) => Next::Wait,
            // Without a record it never left, and it is not here.
            None => Next::Nowhere,
        }
    }
}

/// What becomes of messages for somebody who is not owned here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    Region(RegionId),
    Nowhere,
}
