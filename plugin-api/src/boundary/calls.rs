//! Calls from the plugin to the host.

use horizon_model::{EntityId, PlayerId, Pose, Position, Seat};

use super::{collect, error_of};
use crate::abi::{self, HostTable, RawClock, RawPlayer, RawPlayerAt, RawPose, RawSeat, Sink, Slice, Status};
use crate::convert::pose_from_raw;
use crate::{PluginError, payload};

/// The host's table during one call. Neither `Send` nor `Clone`, so it stays on the tick thread.
pub(crate) struct HostRef {
    table: *const HostTable,
}

/// Calls a function of the table; every use is inside a `HostRef` method.
macro_rules! host {
    ($self:ident.$function:ident($($argument:expr),*)) => {{
        let table = $self.table();
        // SAFETY: function and context come from the same live table; the arguments are borrowed
        // from locals that outlive the call.
        unsafe { (table.$function)(table.context, $($argument),*) }
    }};
}

impl HostRef {
    /// # Safety
    ///
    /// `table` must stay valid until the value is dropped, on this thread.
    pub(super) const unsafe fn new(table: *const HostTable) -> Self {
        Self { table }
    }

    fn table(&self) -> &HostTable {
        // SAFETY: promised by the caller of `new`.
        unsafe { &*self.table }
    }

    pub(crate) fn log(&self, level: u32, text: &str) {
        host!(self.log(level, Slice::of(text.as_bytes())));
    }

    pub(crate) fn clock(&self) -> RawClock {
        let mut clock = RawClock::default();
        host!(self.clock(&raw mut clock));
        clock
    }

    pub(crate) fn entity_of(&self, player: PlayerId) -> Option<EntityId> {
        let mut entity = 0;
        let status = host!(self.entity_of(RawPlayer::from(player), &raw mut entity));
        if status == abi::OK { EntityId::from_bits(entity) } else { None }
    }

    pub(crate) fn player_of(&self, entity: EntityId) -> Option<PlayerId> {
        let mut player = RawPlayer::default();
        let status = host!(self.player_of(entity.bits(), &raw mut player));
        (status == abi::OK).then(|| player.into())
    }

    pub(crate) fn owns(&self, entity: EntityId) -> bool {
        host!(self.owns(entity.bits())) == 1
    }

    pub(crate) fn pose(&self, entity: EntityId) -> Option<Pose> {
        let mut pose = RawPose::default();
        let status = host!(self.pose(entity.bits(), &raw mut pose));
        if status == abi::OK { pose_from_raw(&pose) } else { None }
    }

    pub(crate) fn set_pose(&self, entity: EntityId, pose: &Pose, snap: bool) -> Result<(), PluginError> {
        let pose = RawPose::from(pose);
        done(|sink| host!(self.set_pose(entity.bits(), &raw const pose, u32::from(snap), sink)))
    }

    pub(crate) fn component(&self, entity: EntityId, name: &str) -> Option<Vec<u8>> {
        let (status, bytes) =
            collect(|sink| host!(self.component(entity.bits(), Slice::of(name.as_bytes()), sink)));
        (status == abi::OK).then_some(bytes)
    }

    pub(crate) fn set_component(
        &self,
        entity: EntityId,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), PluginError> {
        let (name, bytes) = (Slice::of(name.as_bytes()), Slice::of(bytes));
        done(|sink| host!(self.set_component(entity.bits(), name, bytes, sink)))
    }

    pub(crate) fn remove_component(&self, entity: EntityId, name: &str) -> Result<(), PluginError> {
        done(|sink| host!(self.remove_component(entity.bits(), Slice::of(name.as_bytes()), sink)))
    }

    pub(crate) fn set_field(&self, entity: EntityId, field: &str, json: &[u8]) -> Result<(), PluginError> {
        let (field, json) = (Slice::of(field.as_bytes()), Slice::of(json));
        done(|sink| host!(self.set_field(entity.bits(), field, json, sink)))
    }

    pub(crate) fn spawn(&self, type_name: &str, pose: &Pose) -> Result<EntityId, PluginError> {
        let pose = RawPose::from(pose);
        let mut entity = 0;
        done(|sink| {
            host!(self.spawn(Slice::of(type_name.as_bytes()), &raw const pose, &raw mut entity, sink))
        })?;
        EntityId::from_bits(entity).ok_or_else(|| PluginError::from("the host spawned nothing"))
    }

    pub(crate) fn despawn(&self, entity: EntityId) -> Result<(), PluginError> {
        done(|sink| host!(self.despawn(entity.bits(), sink)))
    }

    pub(crate) fn attach(&self, child: EntityId, parent: EntityId, seat: Seat) -> Result<(), PluginError> {
        let seat = RawSeat { offset: seat.offset, yaw: seat.yaw };
        done(|sink| host!(self.attach(child.bits(), parent.bits(), &raw const seat, sink)))
    }

    pub(crate) fn detach(&self, child: EntityId) -> Result<(), PluginError> {
        done(|sink| host!(self.detach(child.bits(), sink)))
    }

    pub(crate) fn parent_of(&self, child: EntityId) -> Option<EntityId> {
        let mut parent = 0;
        let status = host!(self.parent_of(child.bits(), &raw mut parent));
        if status == abi::OK { EntityId::from_bits(parent) } else { None }
    }

    pub(crate) fn children_of(&self, parent: EntityId) -> Vec<EntityId> {
        let ((), bytes) = collect(|sink| host!(self.children_of(parent.bits(), sink)));
        entities(&bytes)
    }

    pub(crate) fn objects(&self, type_name: &str) -> Vec<EntityId> {
        let ((), bytes) = collect(|sink| host!(self.objects(Slice::of(type_name.as_bytes()), sink)));
        entities(&bytes)
    }

    pub(crate) fn players(&self) -> Vec<(PlayerId, EntityId, String)> {
        let ((), bytes) = collect(|sink| host!(self.players(sink)));
        payload::decode(&bytes, true).unwrap_or_default()
    }

    pub(crate) fn players_within(&self, position: Position, metres: f64) -> Vec<(PlayerId, EntityId)> {
        let at = RawPose::from(&Pose::at(position));
        let ((), bytes) = collect(|sink| host!(self.players_within(&raw const at, metres, sink)));
        let rows = bytes.as_chunks::<{ size_of::<RawPlayerAt>() }>().0.iter();
        rows.filter_map(|row| {
            let word =
                |at: usize| -> Option<u64> { Some(u64::from_ne_bytes(*row[at..].first_chunk::<8>()?)) };
            let player = RawPlayer { high: word(0)?, low: word(8)? };
            Some((player.into(), EntityId::from_bits(word(16)?)?))
        })
        .collect()
    }

    pub(crate) fn send(
        &self,
        to: PlayerId,
        namespace: &str,
        event: &str,
        messagepack: &[u8],
    ) -> Result<(), PluginError> {
        let names = (Slice::of(namespace.as_bytes()), Slice::of(event.as_bytes()));
        let to = RawPlayer::from(to);
        done(|sink| host!(self.send(to, names.0, names.1, Slice::of(messagepack), sink)))
    }

    pub(crate) fn send_object(
        &self,
        to: EntityId,
        namespace: &str,
        event: &str,
        messagepack: &[u8],
    ) -> Result<(), PluginError> {
        let names = (Slice::of(namespace.as_bytes()), Slice::of(event.as_bytes()));
        done(|sink| host!(self.send_object(to.bits(), names.0, names.1, Slice::of(messagepack), sink)))
    }

    pub(crate) fn broadcast(&self, namespace: &str, event: &str, messagepack: &[u8]) {
        let names = (Slice::of(namespace.as_bytes()), Slice::of(event.as_bytes()));
        host!(self.broadcast(names.0, names.1, Slice::of(messagepack)));
    }

    pub(crate) fn emit_plugin(&self, namespace: &str, event: &str, messagepack: &[u8]) {
        let names = (Slice::of(namespace.as_bytes()), Slice::of(event.as_bytes()));
        host!(self.emit_plugin(names.0, names.1, Slice::of(messagepack)));
    }
}

/// An array of raw ids.
fn entities(bytes: &[u8]) -> Vec<EntityId> {
    let ids = bytes.as_chunks::<8>().0.iter();
    ids.filter_map(|id| EntityId::from_bits(u64::from_ne_bytes(*id))).collect()
}

/// Runs a call that answers a status and, where it fails, a text.
fn done(call: impl FnOnce(Sink) -> Status) -> Result<(), PluginError> {
    match collect(call) {
        (abi::OK, _) => Ok(()),
        (status, answer) => Err(error_of(status, &answer)),
    }
}
