//! One owned entity, and how it is cut into the named parts of a capsule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gorc::View;
use horizon_handoff::Capsule;
use horizon_handoff::lanes::{EventTail, InputLane, MoveBuffer, SessionState};
use horizon_model::{EntityId, Epoch, ObjectTypeId, Pose, RegionId, Tick};
use horizon_protocol::link::{EntityKey, Part};
use rkyv::{Archive, Deserialize, Serialize};

use super::Parent;

/// Names of parts. They are part of the format: never renamed.
mod part {
    pub(super) const CORE: &str = "core";
    pub(super) const POSE: &str = "pose";
    pub(super) const SESSION: &str = "session";
    pub(super) const INPUTS: &str = "inputs";
    pub(super) const TAIL: &str = "tail";
    pub(super) const HEARD: &str = "heard";
    pub(super) const MOVES: &str = "moves";
    pub(super) const STREAM: &str = "stream";
    pub(super) const VIEW: &str = "view";
    pub(super) const PARENT: &str = "parent";
    pub(super) const COMPONENT: &str = "c/";
    pub(super) const FIELD: &str = "f/";
}

/// An input that waits for the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingInput {
    /// Its number.
    pub seq: u32,
    /// Plugin namespace.
    pub namespace: String,
    /// Event.
    pub event: String,
    /// As the client wrote it.
    pub payload: Vec<u8>,
}

/// Bytes of events of one player that wait for room in the tail; more are refused. With a full tail of
/// 16 KiB and 20 KiB of components a capsule of 64 KiB still holds the view and the movement.
const MAX_WAITING_BYTES: usize = 12 * 1024;
/// Bytes of all components of one entity.
pub const MAX_COMPONENTS_BYTES: usize = 20 * 1024;

/// An event that waits for room in the tail: namespace, event, MessagePack payload.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct WaitingEvent {
    /// Plugin namespace.
    pub namespace: String,
    /// Event.
    pub event: String,
    /// MessagePack.
    pub payload: Vec<u8>,
}

impl WaitingEvent {
    /// What it takes in a capsule, about.
    pub fn bytes(&self) -> usize {
        self.namespace.len() + self.event.len() + self.payload.len() + 24
    }
}

/// What a player has beyond any other entity.
#[derive(Debug)]
pub struct PlayerState {
    /// The stay, its edge and its spelling.
    pub session: SessionState,
    /// Reliable inputs in order.
    pub inputs: InputLane<PendingInput>,
    /// In order, applied at the next step.
    pub ready: VecDeque<PendingInput>,
    /// Events the client has not acknowledged.
    pub tail: EventTail,
    /// Events that do not fit into the tail yet.
    pub waiting: VecDeque<WaitingEvent>,
    /// Events refused since the last one that was taken: the client acknowledges nothing.
    pub refused_events: u32,
    /// Broadcasts heard, by origin: lease and number.
    pub heard: BTreeMap<RegionId, (Epoch, u64)>,
    /// Movement samples by tick.
    pub moves: MoveBuffer,
    /// Number of the last state frame.
    pub sequence: u32,
    /// Frames that may still be sent.
    pub credit: u8,
    /// A socket is there.
    pub connected: bool,
    /// When the avatar leaves the world if nobody comes back.
    pub leaves_at: Option<Tick>,
    /// Progress last reported to the edge.
    pub reported: (u32, u32),
    /// Highest input of a durable tick.
    pub durable: u32,
}

/// One entity this region owns.
#[derive(Debug)]
pub struct Entity {
    /// Its id in the world.
    pub id: EntityId,
    /// Whose record in the store.
    pub key: EntityKey,
    /// Its type.
    pub type_id: ObjectTypeId,
    /// Where it is.
    pub pose: Pose,
    /// The next sample is a jump.
    pub snap: bool,
    /// It jumped and has not been inside its region since.
    pub jumped: bool,
    /// Last tick simulated, here or before it came here.
    pub stepped: Tick,
    /// Last tick that another region has shown to its player.
    pub shown: Tick,
    /// What plugins keep, by name.
    pub components: BTreeMap<String, Vec<u8>>,
    /// What observers see, by place in the type's schema; JSON.
    pub fields: Vec<Option<Vec<u8>>>,
    /// For avatars.
    pub player: Option<Box<PlayerState>>,
    /// What it is attached to, or on its way to.
    pub parent: Option<Parent>,
    /// It is being saved to leave the world.
    pub parked: bool,
    /// Its handoff is being decided: nothing may change it.
    pub frozen: bool,
    /// Parts that changed since the last journal record.
    pub dirty: BTreeSet<String>,
    /// Not in the journal yet.
    pub unrecorded: bool,
    /// When the pose was journalled last.
    pub pose_recorded: Tick,
    /// And what it was.
    pub recorded_pose: Pose,
}

#[derive(Archive, Serialize, Deserialize)]
struct Core {
    id: EntityId,
    type_id: ObjectTypeId,
}

#[derive(Archive, Serialize, Deserialize)]
struct PosePart {
    pose: Pose,
    stepped: Tick,
}

/// State frames: how many were sent, and to which count of credit.
#[derive(Archive, Serialize, Deserialize)]
struct Stream {
    sequence: u32,
    credit: u8,
    connected: bool,
}

#[derive(Archive, Serialize, Deserialize)]
struct TailPart {
    tail: Vec<u8>,
    waiting: Vec<WaitingEvent>,
}

/// A capsule that does not describe an entity: another build's, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("capsule part {0:?} is missing or cannot be read")]
pub struct RestoreError(pub String);

fn bytes<T>(value: &T) -> Vec<u8>
where
    T: for<'a> Serialize<
        rkyv::api::high::HighSerializer<
            rkyv::util::AlignedVec,
            rkyv::ser::allocator::ArenaHandle<'a>,
            rkyv::rancor::Error,
        >,
    >,
{
    rkyv::to_bytes(value).expect("parts are plain data").into_vec()
}

fn read<T>(capsule: &Capsule, name: &str) -> Result<T, RestoreError>
where
    T: Archive,
    T::Archived: for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, rkyv::rancor::Error>>
        + Deserialize<T, rkyv::api::high::HighDeserializer<rkyv::rancor::Error>>,
{
    let error = || RestoreError(name.to_owned());
    let part = capsule.part(name).ok_or_else(error)?;
    let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(part.len());
    aligned.extend_from_slice(part);
    rkyv::from_bytes::<T, rkyv::rancor::Error>(&aligned).map_err(|_| error())
}

impl Entity {
    /// A new entity at `pose`.
    pub fn new(
        id: EntityId,
        key: EntityKey,
        type_id: ObjectTypeId,
        pose: Pose,
        tick: Tick,
        fields: usize,
    ) -> Self {
        Self {
            id,
            key,
            type_id,
            pose,
            snap: false,
            jumped: false,
            stepped: tick,
            shown: Tick::default(),
            components: BTreeMap::new(),
            fields: vec![None; fields],
            player: None,
            parent: None,
            parked: false,
            frozen: false,
            dirty: BTreeSet::new(),
            unrecorded: true,
            pose_recorded: tick,
            recorded_pose: pose,
        }
    }

    /// Notes that a component changed.
    pub fn touch_component(&mut self, name: &str) {
        self.dirty.insert(format!("{}{name}", part::COMPONENT));
    }

    /// Notes that a field changed.
    pub fn touch_field(&mut self, name: &str) {
        self.dirty.insert(format!("{}{name}", part::FIELD));
    }

    /// Notes that it was attached or taken off.
    pub fn touch_parent(&mut self) {
        self.dirty.insert(part::PARENT.into());
    }

    /// Notes that the pose changed in a way that recovery must not miss.
    pub fn touch_pose(&mut self) {
        self.dirty.insert(part::POSE.into());
    }

    /// Notes that the session record changed.
    pub fn touch_session(&mut self) {
        self.dirty.insert(part::SESSION.into());
    }

    /// Notes that inputs were applied.
    pub fn touch_inputs(&mut self) {
        self.dirty.insert(part::INPUTS.into());
    }

    /// Notes that events were made or acknowledged.
    pub fn touch_tail(&mut self) {
        self.dirty.insert(part::TAIL.into());
    }

    /// Notes that a broadcast was heard.
    pub fn touch_heard(&mut self) {
        self.dirty.insert(part::HEARD.into());
    }

    /// Everything that survives a crash: what the journal and the store keep.
    pub fn durable_capsule(&self, field_names: &[String]) -> Capsule {
        let mut capsule = Capsule::new();
        capsule.insert(part::CORE, bytes(&Core { id: self.id, type_id: self.type_id }));
        capsule.insert(part::POSE, bytes(&PosePart { pose: self.pose, stepped: self.stepped }));
        if let Some(parent) = &self.parent {
            capsule.insert(part::PARENT, bytes(parent));
        }
        for (name, value) in &self.components {
            capsule.insert(format!("{}{name}", part::COMPONENT), value.clone());
        }
        for (name, value) in field_names.iter().zip(&self.fields) {
            if let Some(value) = value {
                capsule.insert(format!("{}{name}", part::FIELD), value.clone());
            }
        }
        if let Some(player) = &self.player {
            capsule.insert(part::SESSION, player.session.encode());
            capsule.insert(part::INPUTS, player.applied().to_le_bytes().to_vec());
            capsule.insert(part::TAIL, Self::tail_part(player));
            capsule.insert(part::HEARD, Self::heard_part(player));
        }
        capsule
    }

    /// Everything another region needs to go on without a seam.
    pub fn travel_capsule(&self, field_names: &[String], view: &View) -> Capsule {
        let mut capsule = self.durable_capsule(field_names);
        if let Some(player) = &self.player {
            capsule.insert(part::MOVES, player.moves.encode());
            let stream =
                Stream { sequence: player.sequence, credit: player.credit, connected: player.connected };
            capsule.insert(part::STREAM, bytes(&stream));
            capsule.insert(part::VIEW, view.encode());
        }
        capsule
    }

    /// The parts that changed since the last call, for the journal.
    pub fn take_changes(&mut self, field_names: &[String]) -> Vec<Part> {
        std::mem::take(&mut self.dirty)
            .into_iter()
            .map(|name| Part { bytes: self.part(&name, field_names), name })
            .collect()
    }

    fn part(&self, name: &str, field_names: &[String]) -> Option<Vec<u8>> {
        if let Some(component) = name.strip_prefix(part::COMPONENT) {
            return self.components.get(component).cloned();
        }
        if let Some(field) = name.strip_prefix(part::FIELD) {
            let index = field_names.iter().position(|known| known == field)?;
            return self.fields.get(index)?.clone();
        }
        match (name, self.player.as_deref()) {
            (part::POSE, _) => Some(bytes(&PosePart { pose: self.pose, stepped: self.stepped })),
            (part::PARENT, _) => self.parent.as_ref().map(bytes),
            (part::SESSION, Some(player)) => Some(player.session.encode()),
            (part::INPUTS, Some(player)) => Some(player.applied().to_le_bytes().to_vec()),
            (part::TAIL, Some(player)) => Some(Self::tail_part(player)),
            (part::HEARD, Some(player)) => Some(Self::heard_part(player)),
            _ => None,
        }
    }

    fn tail_part(player: &PlayerState) -> Vec<u8> {
        let waiting = player.waiting.iter().cloned().collect();
        bytes(&TailPart { tail: player.tail.encode(), waiting })
    }

    fn heard_part(player: &PlayerState) -> Vec<u8> {
        let heard: Vec<(RegionId, Epoch, u64)> =
            player.heard.iter().map(|(region, (lease, number))| (*region, *lease, *number)).collect();
        bytes(&heard)
    }

    /// Where the entity of `capsule` is.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] where the capsule does not say so.
    pub fn pose_in(capsule: &Capsule) -> Result<Pose, RestoreError> {
        read::<PosePart>(capsule, part::POSE).map(|part| part.pose)
    }

    /// Rebuilds an entity and, where it travelled, the view of its observer.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] names the part; the entity stays with whoever holds the bytes.
    pub fn restore(
        key: EntityKey,
        capsule: &Capsule,
        field_names: impl Fn(ObjectTypeId) -> Vec<String>,
    ) -> Result<(Self, Option<View>), RestoreError> {
        let core: Core = read(capsule, part::CORE)?;
        let pose: PosePart = read(capsule, part::POSE)?;
        let names = field_names(core.type_id);
        let mut entity = Self::new(core.id, key, core.type_id, pose.pose, pose.stepped, names.len());
        for (name, value) in capsule.iter() {
            if let Some(component) = name.strip_prefix(part::COMPONENT) {
                entity.components.insert(component.to_owned(), value.clone());
            } else if let Some(field) = name.strip_prefix(part::FIELD)
                && let Some(index) = names.iter().position(|known| known == field)
            {
                entity.fields[index] = Some(value.clone());
            }
        }
        if capsule.part(part::PARENT).is_some() {
            entity.parent = Some(read(capsule, part::PARENT)?);
        }
        let mut view = None;
        if matches!(key, EntityKey::Player(_)) {
            let unreadable = |name: &str| RestoreError(name.to_owned());
            let session = capsule
                .part(part::SESSION)
                .and_then(|bytes| SessionState::decode(bytes).ok())
                .ok_or_else(|| unreadable(part::SESSION))?;
            let applied = capsule
                .part(part::INPUTS)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_le_bytes)
                .ok_or_else(|| unreadable(part::INPUTS))?;
            let tail: TailPart = read(capsule, part::TAIL)?;
            let heard: Vec<(RegionId, Epoch, u64)> = read(capsule, part::HEARD)?;
            let mut player = PlayerState::new(session);
            player.inputs = InputLane::new(applied);
            player.durable = applied;
            player.tail = EventTail::decode(&tail.tail).map_err(|_| unreadable(part::TAIL))?;
            player.waiting = tail.waiting.into();
            player.heard =
                heard.into_iter().map(|(region, lease, number)| (region, (lease, number))).collect();
            if let Some(moves) = capsule.part(part::MOVES) {
                player.moves = MoveBuffer::decode(moves).map_err(|_| unreadable(part::MOVES))?;
                let stream: Stream = read(capsule, part::STREAM)?;
                player.sequence = stream.sequence;
                player.credit = stream.credit;
                player.connected = stream.connected;
                let bytes = capsule.part(part::VIEW).ok_or_else(|| unreadable(part::VIEW))?;
                view = Some(View::decode(bytes).map_err(|_| unreadable(part::VIEW))?);
            }
            entity.player = Some(Box::new(player));
        }
        Ok((entity, view))
    }
}

impl PlayerState {
    /// Highest input that was applied: those that wait for a step are not.
    pub fn applied(&self) -> u32 {
        self.inputs.applied() - self.ready.len() as u32
    }

    /// Whether another event may wait for room in the tail.
    pub fn has_room_for(&self, event_bytes: usize) -> bool {
        let bytes: usize = self.waiting.iter().map(WaitingEvent::bytes).sum();
        bytes + event_bytes <= MAX_WAITING_BYTES
    }

    /// The lanes of a session that begins.
    pub fn new(session: SessionState) -> Self {
        Self {
            session,
            inputs: InputLane::new(0),
            ready: VecDeque::new(),
            tail: EventTail::default(),
            waiting: VecDeque::new(),
            refused_events: 0,
            heard: BTreeMap::new(),
            moves: MoveBuffer::default(),
            sequence: 0,
            credit: 0,
            connected: false,
            leaves_at: None,
            reported: (0, 0),
            durable: 0,
        }
    }
}
