//! Messages between an edge and a region server.

use horizon_model::{
    EntityId, Epoch, ObjectSchema, PlayerId, Pose, RegionId, RegionMap, SessionId, Tick, WorkerId,
};
use rkyv::{Archive, Deserialize, Serialize};

use crate::client::Spelling;

/// Who a store record, a route or a handoff is about.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub enum EntityKey {
    /// A player with everything that is attached to the avatar.
    Player(PlayerId),
    /// An object without an owner.
    Object(EntityId),
}

/// A region that is being served, and where.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The region.
    pub region: RegionId,
    /// Who serves it.
    pub worker: WorkerId,
    /// Its lease epoch.
    pub lease: Epoch,
    /// Link address, `host:port`.
    pub endpoint: String,
}

/// What a worker says first, at its start and whenever it meets an edge again.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Registration {
    /// This life of the process.
    pub worker: WorkerId,
    /// Link address for others, `host:port`.
    pub endpoint: String,
    /// Process id, for the provisioner that started it.
    pub pid: u32,
    /// Which processes `pid` numbers; equal for processes that see each other, and only for them.
    pub processes: u64,
    /// Serves only regions within this box: x and y of the lower corner, then of the upper one, metres.
    pub bounds: Option<[f64; 4]>,
    /// Hash of the loaded plugins and their schemas; differing workers do not hand over.
    pub plugins_hash: u64,
    /// What it serves already.
    pub serving: Option<Placement>,
    /// Nanoseconds of world grid time at sending, where it already follows a clock.
    pub grid_ns: Option<u64>,
}

/// Region numbers with their bounds, for the page.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct MapEntry {
    /// The region.
    pub region: RegionId,
    /// Lower corner, metres.
    pub low: [f64; 2],
    /// Upper corner, metres.
    pub high: [f64; 2],
}

/// A session that begins or goes on at a region.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct OpenSession {
    /// The account.
    pub player: PlayerId,
    /// The stay; a new one resets the lanes.
    pub session: SessionId,
    /// Session epoch: fences older edges.
    pub session_epoch: Epoch,
    /// How bodies are to be spelled.
    pub spelling: Spelling,
    /// Display name.
    pub name: String,
    /// Events the client is known to have.
    pub events_acked: u32,
    /// Where a new player appears, chosen by the edge.
    pub spawn: Pose,
    /// Whether the client needs the tables and a complete first state, as on every new connection.
    /// False where an edge re-opens for a socket that has been there all along.
    pub fresh: bool,
}

/// From edge to region server.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum EdgeToRegion {
    /// Serve this region: acquire its lease, recover it, answer [`RegionToEdge::Placed`].
    Place {
        /// The region.
        region: RegionId,
        /// The whole map.
        map: RegionMap,
    },
    /// Save, release the lease, and wait to be placed again or end.
    Retire {
        /// Leave everybody in the region as they are, for a successor who goes on at once. Otherwise it is emptied.
        relieve: bool,
        /// End the process afterwards.
        exit: bool,
    },
    /// Every region that is served now; sent on each change, by the edge that directs alone.
    Regions(Vec<Placement>),
    /// Clock request; answered by the leader of the clock.
    ClockPong {
        /// From the request.
        token: u64,
        /// Nanoseconds of grid time when the answer left.
        grid_ns: u64,
    },
    /// A player is there.
    Open(Box<OpenSession>),
    /// The socket is gone; the avatar lingers.
    Close {
        /// Whose.
        player: PlayerId,
        /// Ignored where a newer edge has taken the session.
        session_epoch: Epoch,
        /// The player said goodbye: no linger.
        bye: bool,
    },
    /// A reliable input.
    Input {
        /// Whose.
        player: PlayerId,
        /// Of which session.
        session_epoch: Epoch,
        /// Its number.
        seq: u32,
        /// Place in the table of names, or `u16::MAX` where both names are spelled out.
        name: u16,
        /// Namespace and event where `name` is `u16::MAX`, else empty.
        spelled: Option<(String, String)>,
        /// As the client wrote it.
        payload: Vec<u8>,
    },
    /// Movement samples.
    Move {
        /// Whose.
        player: PlayerId,
        /// Of which session.
        session_epoch: Epoch,
        /// Oldest first.
        samples: Vec<crate::client::MoveSample>,
    },
    /// The client has all events up to here.
    EventAck {
        /// Whose.
        player: PlayerId,
        /// Of which session.
        session_epoch: Epoch,
        /// Highest number without a gap.
        events: u32,
    },
    /// A frame never came: what the client holds is unknown, tell it everything anew.
    Refresh {
        /// Whose.
        player: PlayerId,
        /// Of which session.
        session_epoch: Epoch,
    },
    /// More frames may be sent for these players.
    Credit(Vec<(PlayerId, u8)>),
    /// The edge expects this entity to need that neighbour: offer it there.
    Prepare {
        /// Who.
        key: EntityKey,
        /// Where to.
        target: RegionId,
    },
    /// Link addresses of the edges that the sender knows, `host:port`, its own among them: a worker keeps a
    /// link to every one. Sent first on a link, and on each change.
    Edges(Vec<String>),
}

/// From region server to edge.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum RegionToEdge {
    /// First message on a link.
    Register(Box<Registration>),
    /// The region is served from now on.
    Placed(Placement),
    /// The region could not be taken over; the worker is free again.
    NotPlaced {
        /// Which.
        region: RegionId,
        /// Why, in a sentence.
        why: String,
    },
    /// The region was given back; the worker is free again, or ends.
    Retired {
        /// Which.
        region: RegionId,
    },
    /// Asks for grid time.
    ClockPing {
        /// Given back unchanged.
        token: u64,
    },
    /// This region owns the player at `epoch`: send inputs above `applied`.
    Attach(Box<AttachRecord>),
    /// Another region owns the entity now; a hint, checked by epoch.
    Moved {
        /// Who.
        key: EntityKey,
        /// Authority epoch there.
        epoch: Epoch,
        /// Where.
        region: RegionId,
    },
    /// Inputs came for a player that is not here.
    NotOwner {
        /// Whose.
        player: PlayerId,
    },
    /// A newer session or edge took the player.
    Kicked {
        /// Whose.
        player: PlayerId,
        /// The older session epoch that ends.
        session_epoch: Epoch,
    },
    /// Inputs are missing from this number on.
    Nack {
        /// Whose.
        player: PlayerId,
        /// First missing.
        from: u32,
    },
    /// How far each session's inputs have come: player, session epoch, highest applied, highest durable.
    /// Sent when it changed.
    Progress(Vec<(PlayerId, Epoch, u32, u32)>),
    /// A reliable event, spelled for the session.
    Event {
        /// Whose.
        player: PlayerId,
        /// Of which session: numbers of another stay mean something else.
        session_epoch: Epoch,
        /// Authority epoch.
        epoch: Epoch,
        /// Its number.
        number: u32,
        /// Place in the table of names, or `u16::MAX` where both names are spelled out.
        name: u16,
        /// Namespace and event where `name` is `u16::MAX`, else absent.
        spelled: Option<(String, String)>,
        /// MessagePack or JSON, by the session's spelling.
        payload: Vec<u8>,
    },
    /// The player's copy was recovered: what was shown after `tick` may be undone.
    Resync {
        /// Whose.
        player: PlayerId,
        /// Authority epoch from now on.
        epoch: Epoch,
        /// Last certain tick.
        tick: Tick,
    },
    /// The avatar of this player is gone from the world and saved.
    Left {
        /// Whose.
        player: PlayerId,
    },
    /// The region steps: said ten times a second, so that its silence means something.
    Alive {
        /// Which.
        region: RegionId,
        /// Under which lease.
        lease: Epoch,
    },
    /// A neighbour says nothing any more, for half a second of the sender's own steps. Repeated ten times
    /// a second while that lasts.
    Silent {
        /// Which.
        region: RegionId,
        /// The lease under which it was heard last.
        lease: Epoch,
    },
    /// Entities near a border, every step, for prediction.
    Band(Band),
    /// The region at a glance, five times a second.
    Summary(Box<Summary>),
    /// The region stands still though its process lives, or steps again.
    Stalled {
        /// Which.
        region: RegionId,
        /// Under which lease.
        lease: Epoch,
        /// Whether it stands still.
        stalled: bool,
    },
}

/// One region's answer to an open session, and its claim after a handoff or a recovery.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct AttachRecord {
    /// Whose.
    pub player: PlayerId,
    /// Of which session.
    pub session: SessionId,
    /// Session epoch it answers.
    pub session_epoch: Epoch,
    /// Authority epoch.
    pub epoch: Epoch,
    /// The region.
    pub region: RegionId,
    /// The avatar.
    pub entity: EntityId,
    /// The region's tick.
    pub tick: Tick,
    /// Highest input applied.
    pub applied: u32,
    /// Highest input durable.
    pub durable: u32,
    /// Steps per second.
    pub rate_hz: u32,
    /// Number of the last state frame of this session, and whether frames go on from the region
    /// before: then the next one expected stays what it was. Otherwise they begin after `sequence`.
    pub sequence: u32,
    /// See `sequence`.
    pub continues: bool,
    /// Names and schemas, where the edge asked with `fresh`.
    pub tables: Option<Tables>,
}

/// Tables of a welcome.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Tables {
    /// Namespace and event, by number.
    pub names: Vec<(String, String)>,
    /// Object types, by number.
    pub schemas: Vec<ObjectSchema>,
    /// Hash of both.
    pub hash: u64,
}

/// One tick's frames for all clients of one edge.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct StateBatch {
    /// The tick described.
    pub tick: Tick,
    /// One per client with credit.
    pub frames: Vec<FrameOut>,
}

/// One client's frame.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct FrameOut {
    /// Whose.
    pub player: PlayerId,
    /// Authority epoch.
    pub epoch: Epoch,
    /// Highest input applied.
    pub applied: u32,
    /// Highest input durable.
    pub durable: u32,
    /// Counts this session's frames, across regions: frames are passed on in this order, and a
    /// missing one is answered with [`EdgeToRegion::Refresh`].
    pub sequence: u32,
    /// The GORC body in the session's spelling.
    pub body: Vec<u8>,
}

/// Entities near a border at one tick.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Band {
    /// The tick.
    pub tick: Tick,
    /// The region.
    pub region: RegionId,
    /// Players of the receiving edge; all ownerless objects.
    pub entries: Vec<BandEntry>,
}

/// One body near a border.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct BandEntry {
    /// Who.
    pub key: EntityKey,
    /// Where and how fast.
    pub pose: Pose,
}

/// One body on the map.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct TrackedEntity {
    /// Who.
    pub key: EntityKey,
    /// Its id in the world.
    pub entity: EntityId,
    /// Metres.
    pub at: [f32; 3],
}

/// A finished handoff, for the page and the measurements.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct HandoffReport {
    /// Who.
    pub key: EntityKey,
    /// From which region.
    pub from: RegionId,
    /// To which region.
    pub to: RegionId,
    /// Authority epoch there.
    pub epoch: Epoch,
    /// Last tick at the source.
    pub tick: Tick,
    /// Last tick that the target had stepped when it took over: what passed since `tick` was shown by
    /// nobody in its time.
    pub activated: Tick,
    /// Nanoseconds of grid time at the freeze.
    pub frozen_ns: u64,
    /// Freeze to activation, microseconds, by grid time.
    pub duration_us: u32,
    /// Bytes of pre-sync with complete state.
    pub full_bytes: u32,
    /// Bytes of the final message.
    pub cutover_bytes: u32,
    /// Whether the target was not ready when it was needed.
    pub late: bool,
    /// Metres beyond the border at the freeze.
    pub overhang_m: f32,
    /// Whether it was a jump, announced as such.
    pub teleport: bool,
}

/// A region at a glance.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Summary {
    /// The tick.
    pub tick: Tick,
    /// Which region, under which lease.
    pub placement: Placement,
    /// Steps per second.
    pub rate_hz: u32,
    /// Work time of recent steps, microseconds: median and 99th percentile.
    pub step_us: [u32; 2],
    /// Steps that began or ended late since the start.
    pub overruns: u64,
    /// Sessions.
    pub sessions: u32,
    /// Everything owned here.
    pub entities: Vec<TrackedEntity>,
    /// Handoffs that arrived here since the last summary.
    pub handoffs: Vec<HandoffReport>,
    /// Whether the region may retire as far as it is concerned: nobody here and nothing moves.
    pub idle: bool,
    /// Whether the store is out of reach.
    pub degraded: bool,
    /// Bytes of names and parts in pre-sync that left since the start, complete states among them.
    pub presync_bytes: u64,
    /// How much less clients are told because steps take too long: 0 is nothing less.
    pub load_level: u8,
    /// How far beyond the region's cells somebody is whom it still owns, metres; 0 where nobody is.
    pub overhang_m: f32,
}
