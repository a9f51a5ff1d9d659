//! What the edge of the small world does with what regions say.

use horizon_model::RegionId;
use horizon_protocol::link::{EdgeToRegion, EntityKey, RegionToEdge};
use horizon_state_store::{Reply, Request};

use super::Harness;

impl Harness {
    pub(super) fn edge_hears(&mut self, region: RegionId, message: RegionToEdge) {
        match message {
            RegionToEdge::Attach(attach) => {
                let Some(client) = self.clients.get_mut(&attach.player) else { return };
                let again = client.attached(&attach);
                for input in again {
                    self.send_region(attach.region, input);
                }
            }
            RegionToEdge::Progress(progress) => {
                for (player, _, _, durable) in progress {
                    if let Some(client) = self.clients.get_mut(&player) {
                        client.durable(durable);
                    }
                }
            }
            RegionToEdge::Event { player, number, payload, spelled, name, .. } => {
                if let Some(client) = self.clients.get_mut(&player) {
                    let events = client.event(number, name, spelled, &payload);
                    let ack = EdgeToRegion::EventAck { player, session_epoch: client.session_epoch, events };
                    self.send_region(region, ack);
                }
            }
            RegionToEdge::Band(_) if !self.foresight => {}
            RegionToEdge::Band(band) => {
                // A crude edge: everybody near a border needs the nearest neighbour.
                for entry in band.entries {
                    let neighbours = self.map.neighbours_within(band.region, 0.0);
                    let nearest = neighbours.into_iter().min_by(|a, b| {
                        let metres = |of: &RegionId| self.map.distance(*of, &entry.pose.position);
                        metres(a).total_cmp(&metres(b))
                    });
                    if let Some(target) = nearest
                        && self.map.distance(target, &entry.pose.position) < 20.0
                    {
                        self.send_region(band.region, EdgeToRegion::Prepare { key: entry.key, target });
                    }
                }
            }
            RegionToEdge::Summary(summary) => {
                self.note_summary(region, &summary);
                let objects =
                    summary.handoffs.iter().filter(|report| matches!(report.key, EntityKey::Object(_)));
                self.object_arrivals += objects.count() as u64;
                self.arrivals += summary.handoffs.len() as u64;
                self.late += summary.handoffs.iter().filter(|report| report.late).count() as u64;
            }
            // Whoever was on the way while a region died is where the record says.
            RegionToEdge::NotOwner { player }
            | RegionToEdge::Moved { key: EntityKey::Player(player), .. }
                if self.has_killed || self.looks_up =>
            {
                let Reply::Record(Some(record)) =
                    self.store.perform(Request::Record(EntityKey::Player(player)))
                else {
                    panic!("player {player} has no record");
                };
                let client = &self.clients[&player];
                if client.epoch < record.epoch {
                    let open = client.open(false);
                    self.send_region(record.region, EdgeToRegion::Open(Box::new(open)));
                }
            }
            RegionToEdge::NotOwner { player } | RegionToEdge::Left { player } => {
                panic!("player {player} has no home at region {region}");
            }
            RegionToEdge::Nack { player, from } => {
                let Some(client) = self.clients.get_mut(&player) else { return };
                for input in client.again(from) {
                    self.send_region(region, input);
                }
            }
            RegionToEdge::Silent { region: of, .. } => self.silences.push((self.now, region, of)),
            RegionToEdge::Resync { player, .. } => {
                self.clients.get_mut(&player).expect("joined").resyncs += 1;
            }
            RegionToEdge::Moved { .. }
            | RegionToEdge::Kicked { .. }
            | RegionToEdge::Register(_)
            | RegionToEdge::Placed(_)
            | RegionToEdge::NotPlaced { .. }
            | RegionToEdge::Retired { .. }
            | RegionToEdge::Alive { .. }
            | RegionToEdge::Stalled { .. }
            | RegionToEdge::ClockPing { .. } => {}
        }
    }
}
