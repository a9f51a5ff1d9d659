//! What can be observed of a world.

use horizon_model::{EntityId, Epoch, PlayerId, RegionId, SessionId, Tick, WorkerId};

/// What has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A player's avatar.
    Player(PlayerId),
    /// An object.
    Object(EntityId),
}

/// The process that holds something, and under which lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub worker: WorkerId,
    /// Its lease of the region.
    pub lease: Epoch,
}

/// Where an accepted effect was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An edge passed a frame or an attach on.
    Edge,
    /// A journal confirmed a record.
    Journal,
    /// Another region took a message.
    Region,
}

/// How an attempt to hand over ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The target won.
    Committed,
    /// The source kept it.
    Aborted,
    /// Somebody else won, so neither.
    Superseded,
}

/// What the plugin `ledger` says of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Inputs applied.
    pub count: u64,
    /// Highest number applied.
    pub last_seq: u32,
    /// The chain over all of them.
    pub chain: u64,
    /// Inputs that came with the number of the one before.
    pub repeated: u64,
    /// Numbers that never came before a higher one did.
    pub skipped: u64,
    /// Inputs with a lower number than one before.
    pub backwards: u64,
}

/// One thing that happened. Order is the order of observation; events of one observer are in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The store granted a lease.
    Leased {
        /// The region.
        region: RegionId,
        /// To whom.
        worker: WorkerId,
        /// Under which epoch.
        lease: Epoch,
    },
    /// The store wrote a record. Reported once per write, however often the writer asked.
    Recorded {
        /// Whose.
        who: Who,
        /// Its new epoch.
        epoch: Epoch,
        /// The region named.
        region: RegionId,
        /// The holder named; `None` for one who left.
        holder: Option<Holder>,
        /// Highest input applied in the state written, of the session it belongs to.
        applied: Option<(SessionId, u32)>,
    },
    /// An effect of an owner was accepted by whoever it was for.
    Acted {
        /// Whose.
        who: Who,
        /// The epoch it named.
        epoch: Epoch,
        /// Who did it.
        worker: WorkerId,
        /// Who accepted it.
        source: Source,
    },
    /// An attempt to hand over ended; reported by whoever it ended at.
    Ended {
        /// Whose.
        who: Who,
        /// The epoch that was to be handed over.
        from_epoch: Epoch,
        /// How.
        ending: Ending,
    },
    /// A client numbered a reliable input. Numbers of a session begin at 1 and rise by one.
    Sent {
        /// Who.
        player: PlayerId,
        /// Of which stay.
        session: SessionId,
        /// The number.
        seq: u32,
        /// Namespace.
        namespace: String,
        /// Event.
        event: String,
        /// The payload as the client spelled it.
        payload: Vec<u8>,
    },
    /// A client was told that its inputs up to here are durable.
    Durable {
        /// Who.
        player: PlayerId,
        /// Of which stay.
        session: SessionId,
        /// The number.
        seq: u32,
    },
    /// An owner began with a state in which inputs up to here are applied. Reported before anything that this
    /// owner calls durable; who cannot know that order reports [`Event::Recorded`] only.
    Began {
        /// Who.
        player: PlayerId,
        /// Of which stay.
        session: SessionId,
        /// Under which epoch.
        epoch: Epoch,
        /// Highest input applied.
        applied: u32,
    },
    /// The ledger's report reached the client that asked for it with input `account.last_seq`.
    Reported {
        /// Who.
        player: PlayerId,
        /// Of which stay.
        session: SessionId,
        /// What it says.
        account: Account,
    },
    /// A token came into the world.
    Minted {
        /// Which.
        token: u64,
    },
    /// At the end, this is where a token is. Anything that counts as a place is one: a purse, the ground.
    Found {
        /// Which.
        token: u64,
        /// With whom.
        with: Who,
    },
    /// A client was shown a state frame.
    Shown {
        /// Who.
        player: PlayerId,
        /// Authority epoch.
        epoch: Epoch,
        /// The frame's tick.
        tick: Tick,
        /// Highest input applied, as the frame says.
        applied: u32,
        /// A fault is under way that explains a gap.
        excused: bool,
    },
    /// A client was told that the world may have gone back.
    Resynced {
        /// Who.
        player: PlayerId,
        /// There was a crash since the last one, and this player's owner was concerned.
        crashed: bool,
    },
    /// A client's connection is a new one; what it is shown begins with a whole picture.
    Connected {
        /// Who.
        player: PlayerId,
        /// An earlier stay goes on.
        resumed: bool,
    },
    /// Somebody is in the world and must be, at the end.
    Joined {
        /// Who.
        who: Who,
    },
    /// Somebody left for good.
    Left {
        /// Who.
        who: Who,
    },
    /// At the end, this process owns it.
    Owns {
        /// Who.
        who: Who,
        /// The process.
        worker: WorkerId,
        /// The region it serves.
        region: RegionId,
        /// Under which epoch.
        epoch: Epoch,
    },
}
