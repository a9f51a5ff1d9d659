//! One tick: inputs, plugins, timers, handoff machines, GORC, journal, outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use gorc::{Anchor, ObserverId};
use horizon_model::{EdgeId, EntityId, PlayerId, Tick};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{EntityKey, FrameOut, GhostBatch, Lane, RegionToEdge, StateBatch};

use super::crossing::observer_of;
use super::neighbour::region_of;
use super::{Output, Region};
use crate::plugin::{CoreEvent, ServerTickEvent};
use crate::world::World;

impl Region {
    /// Simulates `tick`. Ticks rise by the rate's step; a skipped one is never made up for.
    pub fn step(&mut self, now: Duration, tick: Tick) {
        self.now = self.now.max(now);
        if self.silent || self.stands_still(tick) {
            return;
        }
        self.world.tick = tick;
        self.world.attach_arrivals();
        let players: Vec<(PlayerId, EntityId)> =
            self.world.players.iter().map(|(player, id)| (*player, *id)).collect();
        for (player, id) in players {
            self.advance_player(player, id, tick);
        }
        let step_s = 1.0 / self.config.rate.hz() as f64;
        self.host.core(
            &mut self.world,
            &CoreEvent::ServerTick(ServerTickEvent {
                tick,
                sim_time_s: tick.since_origin().as_secs_f64(),
                step_s,
            }),
        );
        self.settle_objects();
        self.deliver_effects();
        self.deliver_early_posts();
        self.run_timers(tick);
        // What these handlers spawned or despawned belongs to this tick, with the messages they sent.
        self.settle_objects();
        self.place_children();

        self.expire_ghosts();
        self.refresh_hull();
        self.step_handoffs(tick);
        self.sample(tick);
        self.replicate(tick);
        self.finish_handoffs(tick);
        self.report(tick);
        self.keep_watch(tick);
        self.confirm_posts();
        self.repeat_overdue_posts(tick);
        self.prepare_relief(tick);
        self.write_record(tick);
    }

    /// Applies one player's inputs and newest movement of a tick it has not lived yet.
    pub(super) fn advance_player(&mut self, player: PlayerId, id: EntityId, tick: Tick) {
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        if entity.frozen || entity.stepped >= tick {
            return;
        }
        let Some(state) = entity.player.as_deref_mut() else {
            return;
        };
        let binary = state.session.spelling == Spelling::Binary;
        let inputs = std::mem::take(&mut state.ready);
        let sample = state.moves.take(tick);
        let applied = state.applied();
        if !inputs.is_empty() {
            entity.touch_inputs();
            self.marks.push_back((tick, player, applied));
        }
        for input in inputs {
            self.host.input(
                &mut self.world,
                player,
                input.seq,
                &input.namespace,
                &input.event,
                &input.payload,
                binary,
            );
        }
        if let Some(sample) = sample {
            self.host.movement(&mut self.world, player, &sample);
        }
    }

    /// Gives GORC what every owned entity did in this tick.
    fn sample(&mut self, tick: Tick) {
        let World { entities, gorc, map, region, .. } = &mut self.world;
        for entity in entities.values_mut() {
            if entity.frozen || entity.stepped >= tick {
                continue;
            }
            gorc.sample(entity.id, tick, &entity.pose, entity.snap);
            entity.snap = false;
            entity.stepped = tick;
            if entity.jumped && map.distance(*region, &entity.pose.position) == 0.0 {
                entity.jumped = false;
            }
            if entity.player.is_some() {
                gorc.move_observer(observer_of(entity.id), Anchor::Point(entity.pose.position));
            }
        }
    }

    /// Encodes what each observer with credit is to see of this tick.
    fn replicate(&mut self, tick: Tick) {
        let mut frames: BTreeMap<EdgeId, Vec<FrameOut>> = BTreeMap::new();
        let mut ghosts: Vec<Output> = Vec::new();
        let Self { world, crossings, observers, workers, placements, lease, stats, .. } = self;
        let World { gorc, entities, region, .. } = world;
        let linked = |of| observers.get(&of).is_some_and(|(worker, _)| workers.contains(worker));
        let mut has_credit = |observer: ObserverId| match region_of(observer) {
            Some(of) => placements.contains_key(&of) && linked(of),
            None => EntityId::from_bits(observer.0)
                .and_then(|id| entities.get(&id))
                // The region before has shown this tick already, where its clock is ahead of ours.
                .filter(|entity| !entity.frozen && tick > entity.shown)
                .and_then(|entity| entity.player.as_deref())
                .is_some_and(|player| player.connected && player.credit > 0),
        };
        let mut told: Vec<(EntityId, Vec<u8>)> = Vec::new();
        gorc.step(tick, &mut has_credit, &mut |observer, body| match region_of(observer) {
            Some(of) => {
                let (worker, _) = observers[&of];
                let batch = GhostBatch { tick, region: *region, lease: lease.epoch, body: body.to_vec() };
                ghosts.push(Output::Ghosts(worker, batch));
            }
            None => {
                if let Some(id) = EntityId::from_bits(observer.0) {
                    told.push((id, body.to_vec()));
                }
            }
        });
        for (id, body) in told {
            let Some(entity) = entities.get_mut(&id) else {
                continue;
            };
            let EntityKey::Player(player) = entity.key else {
                continue;
            };
            let Some(state) = entity.player.as_deref_mut() else {
                continue;
            };
            state.credit -= 1;
            state.sequence = state.sequence.wrapping_add(1);
            stats.frames += 1;
            stats.frame_bytes += body.len() as u64;
            frames.entry(state.session.edge).or_default().push(FrameOut {
                player,
                epoch: crossings[&id].source.epoch(),
                applied: state.applied(),
                durable: state.durable,
                sequence: state.sequence,
                body,
            });
        }
        self.out.extend(ghosts);
        for (edge, frames) in frames {
            self.out.push(Output::Frames(edge, StateBatch { tick, frames }));
        }
    }

    /// Everything up to `tick` is durable under a lease that is still ours: say so.
    pub(super) fn durable_up_to(&mut self, tick: Tick) {
        self.durable = self.durable.max(tick);
        while self.held.front().is_some_and(|(at, _)| *at <= self.durable) {
            let (_, output) = self.held.pop_front().expect("the front was just seen");
            self.out.push(output);
        }
        while let Some((at, player, applied)) = self.marks.front().copied()
            && at <= self.durable
        {
            self.marks.pop_front();
            if let Some(state) = self.world.avatar(player).and_then(|entity| entity.player.as_deref_mut()) {
                state.durable = state.durable.max(applied.min(state.applied()));
            }
        }
        self.report_progress();
        self.flushed(self.durable);
        self.retire_if_done();
        self.relieve_if_durable();
    }

    fn report_progress(&mut self) {
        let mut changed: BTreeMap<(EdgeId, u8), Vec<_>> = BTreeMap::new();
        for (player, id) in &self.world.players {
            let entity = self.world.entities.get_mut(id);
            let Some(state) = entity.and_then(|entity| entity.player.as_deref_mut()) else {
                continue;
            };
            let progress = (state.applied(), state.durable);
            if state.reported != progress {
                state.reported = progress;
                let Lane::Session(shard) = Lane::of_player(*player) else {
                    continue;
                };
                changed.entry((state.session.edge, shard)).or_default().push((
                    *player,
                    state.session.session_epoch,
                    progress.0,
                    progress.1,
                ));
            }
        }
        for ((edge, shard), progress) in changed {
            self.out.push(Output::Edge(edge, Lane::Session(shard), RegionToEdge::Progress(progress)));
        }
    }
}
