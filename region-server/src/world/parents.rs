//! Entities that are attached to others: riders to a vehicle, things to a hand.
//!
//! A parent and all that is attached to it, directly or not, is a *group*: it has one owner, and crosses a border
//! in one commit. Who is to be attached to something that another region owns goes there first, by a handoff of its
//! own, and is attached on arrival.

use std::collections::{BTreeMap, BTreeSet};

use horizon_handoff::target::MAX_GROUP;
use horizon_model::{EntityId, Pose, RegionId, Seat};
use rkyv::{Archive, Deserialize, Serialize};

use super::World;
use crate::plugin::HostError;

/// From further away than this, in metres, one gets on by a jump.
const STRIDE_METRES: f64 = 8.0;

/// What an entity is attached to, or on its way to.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct Parent {
    /// Which entity.
    pub entity: EntityId,
    /// Where on it.
    pub seat: Seat,
    /// Both have one owner. Until then the child is on its way to the region that owns the parent.
    pub attached: bool,
}

impl World {
    /// The members of every group of more than one, parents before their children.
    pub fn groups(&self) -> Vec<Vec<EntityId>> {
        let links = self.links();
        let roots: BTreeSet<EntityId> = links.values().flatten().map(|child| self.root_of(*child)).collect();
        roots.into_iter().map(|root| members(root, &links)).collect()
    }

    /// The group of an owned entity: itself alone, or its root and all that is attached to it.
    pub fn group_of(&self, id: EntityId) -> Vec<EntityId> {
        if self.children.is_empty() { vec![id] } else { members(self.root_of(id), &self.links()) }
    }

    /// The parent that an owned entity is attached to.
    pub fn attached_to(&self, id: EntityId) -> Option<EntityId> {
        let parent = self.entities.get(&id)?.parent.filter(|parent| parent.attached)?;
        self.entities.contains_key(&parent.entity).then_some(parent.entity)
    }

    /// What is attached to `parent` directly.
    pub fn children_of(&self, parent: EntityId) -> Vec<EntityId> {
        self.children.iter().copied().filter(|child| self.attached_to(*child) == Some(parent)).collect()
    }

    /// The region that owns the parent an entity is on its way to.
    pub fn way_to_parent(&self, id: EntityId) -> Option<RegionId> {
        let parent = self.entities.get(&id)?.parent.filter(|parent| !parent.attached)?;
        self.ghosts.get(&parent.entity)?.origin.filter(|origin| *origin != self.region)
    }

    /// Attaches `child`, now if this region may change both, else once the child has come to where the parent is.
    pub(super) fn link(&mut self, child: EntityId, parent: EntityId, seat: Seat) -> Result<(), HostError> {
        if !seat.is_finite() {
            return Err(HostError::Invalid("a seat has finite numbers only".into()));
        }
        if child == parent || self.root_of(parent) == child {
            return Err(HostError::Invalid("nobody is attached to itself".into()));
        }
        if self.pose_of(parent).is_none() {
            return Err(HostError::Unknown);
        }
        self.changeable(child)?;
        let attached = self.entities.get(&parent).is_some_and(|parent| !parent.frozen);
        let links = self.links();
        let joined = members(self.root_of(parent), &links).len() + members(child, &links).len();
        if attached && joined > MAX_GROUP {
            return Err(HostError::Invalid(format!("a group has at most {MAX_GROUP} members")));
        }
        self.set_parent(child, Some(Parent { entity: parent, seat, attached }));
        Ok(())
    }

    /// Takes `child` off whatever it is attached to.
    pub fn unlink(&mut self, child: EntityId) {
        if self.entities.get(&child).is_some_and(|entity| entity.parent.is_some()) {
            self.set_parent(child, None);
        }
    }

    /// Takes everything off `parent`, which is about to end.
    pub fn unlink_children(&mut self, parent: EntityId) {
        for child in self.children.clone() {
            let named = self.entities.get(&child).and_then(|child| child.parent);
            if named.is_some_and(|named| named.entity == parent) {
                self.set_parent(child, None);
            }
        }
    }

    fn set_parent(&mut self, child: EntityId, parent: Option<Parent>) {
        let Some(entity) = self.entities.get_mut(&child) else { return };
        entity.parent = parent;
        entity.touch_parent();
        if parent.is_some() {
            self.children.insert(child)
        } else {
            self.children.remove(&child)
        };
    }

    /// Attaches who has come to its parent since the last step, before any plugin looks.
    pub fn attach_arrivals(&mut self) {
        for child in self.children.clone() {
            self.arrive_at_parent(child);
        }
    }

    /// Puts every child where its parent is now. Answers how many children act here without their parent: none,
    /// unless a group was split.
    pub fn place_children(&mut self) -> u64 {
        let mut split = 0;
        let orphans: Vec<EntityId> = self.children.iter().copied().filter(|id| self.is_orphan(*id)).collect();
        for child in orphans {
            split += 1;
            self.set_parent(child, None);
        }
        for child in self.groups().into_iter().flatten() {
            self.place_child(child);
        }
        split
    }

    fn arrive_at_parent(&mut self, child: EntityId) {
        let Some(entity) = self.entities.get(&child).filter(|entity| !entity.frozen) else { return };
        let Some(parent) = entity.parent.filter(|parent| !parent.attached) else { return };
        let from = entity.pose.position;
        match self.entities.get(&parent.entity) {
            // It is being decided who owns it.
            Some(there) if there.frozen => {}
            Some(there) => {
                let far = there.pose.position.distance(&from) > STRIDE_METRES;
                if self.link(child, parent.entity, parent.seat).is_err() {
                    self.unlink(child);
                } else if let Some(entity) = self.entities.get_mut(&child) {
                    entity.snap |= far;
                }
            }
            None if self.ghosts.contains_key(&parent.entity) => {}
            None => self.unlink(child),
        }
    }

    fn is_orphan(&self, child: EntityId) -> bool {
        let Some(entity) = self.entities.get(&child).filter(|entity| !entity.frozen) else { return false };
        entity.parent.is_some_and(|parent| parent.attached && !self.entities.contains_key(&parent.entity))
    }

    fn place_child(&mut self, child: EntityId) {
        let Some(Parent { seat, attached: true, entity: on }) =
            self.entities.get(&child).and_then(|entity| entity.parent)
        else {
            return;
        };
        let Some(on) = self.entities.get(&on) else { return };
        let (pose, snap) = (seat.pose_on(&on.pose), on.snap);
        let Some(entity) = self.entities.get_mut(&child).filter(|entity| !entity.frozen) else { return };
        entity.pose = pose;
        if snap {
            (entity.snap, entity.jumped) = (true, true);
            entity.touch_pose();
        }
    }

    /// Children by their parents, those that are attached.
    fn links(&self) -> BTreeMap<EntityId, Vec<EntityId>> {
        let mut links: BTreeMap<EntityId, Vec<EntityId>> = BTreeMap::new();
        for child in &self.children {
            if let Some(parent) = self.attached_to(*child) {
                links.entry(parent).or_default().push(*child);
            }
        }
        links
    }

    fn root_of(&self, id: EntityId) -> EntityId {
        let up = std::iter::successors(Some(id), |id| self.attached_to(*id));
        up.take(MAX_GROUP + 1).last().unwrap_or(id)
    }

    fn pose_of(&self, id: EntityId) -> Option<Pose> {
        let owned = self.entities.get(&id).map(|entity| entity.pose);
        owned.or_else(|| self.ghosts.get(&id).map(|ghost| ghost.pose))
    }
}

fn members(root: EntityId, links: &BTreeMap<EntityId, Vec<EntityId>>) -> Vec<EntityId> {
    let mut members = vec![root];
    let mut at = 0;
    while let Some(parent) = members.get(at) {
        members.extend(links.get(parent).into_iter().flatten());
        at += 1;
    }
    members
}
