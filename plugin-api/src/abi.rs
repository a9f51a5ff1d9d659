//! The tables that cross between host and plugin. Nothing else does: no Rust object, allocator,
//! runtime or logger.
//!
//! Everything is `#[repr(C)]`. Bytes go over as pointer and length, borrowed for the call; answers
//! of unknown length come back through a [`Sink`]. Structured values are MessagePack, the hot ones
//! are fixed structs. [`INTERFACE_HASH`] is computed from these definitions, so two builds that
//! disagree about them never call each other.

use std::ffi::c_void;

/// First word of every [`PluginTable`]: `HORIZPLG`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HORIZPLG");

/// Number of the interface. Rises with every change of a table or of a message in it.
pub const ABI_VERSION: u32 = 4;

/// The one symbol a plugin library exports, of type [`EntryFn`].
pub const ENTRY_SYMBOL: &[u8] = b"horizon_plugin_entry";

/// Type of the exported symbol. The table lives as long as the library.
pub type EntryFn = unsafe extern "C" fn() -> *const PluginTable;

/// An answer of a call across the boundary. Anything but [`OK`] may carry a text in the sink.
pub type Status = u32;

/// Done.
pub const OK: Status = 0;
/// Nothing of that id is known here.
pub const UNKNOWN: Status = 1;
/// Another region owns the entity.
pub const NOT_OWNED: Status = 2;
/// Cannot be; the text says what.
pub const INVALID: Status = 3;
/// The plugin's own code returned an error; the text is its message.
pub const FAILED: Status = 4;
/// The plugin's code panicked; the text is the panic's message.
pub const PANICKED: Status = 5;
/// The client's payload is not what the handler expects; the client is at fault.
pub const BAD_PAYLOAD: Status = 6;

/// Defines `#[repr(C)]` structs and, for each, a text of its fields for the interface hash.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*

        const TEXT: &str =
            concat!($(stringify!($name), "{", $(stringify!($field), ":", stringify!($type), ";",)* "}",)*);
    };
}

tables! {
    /// Borrowed bytes. Valid for the call that carries them.
    #[derive(Clone, Copy)]
    Slice {
        /// First byte; may be dangling where `len` is zero.
        ptr: *const u8,
        /// Number of bytes.
        len: usize,
    }

    /// Where the callee puts an answer; may be called several times, the parts are joined.
    #[derive(Clone, Copy)]
    Sink {
        /// Given back to `write`.
        context: *mut c_void,
        /// Appends bytes.
        write: unsafe extern "C" fn(*mut c_void, Slice),
    }

    /// A player id in two halves.
    #[derive(Clone, Copy, Default)]
    RawPlayer {
        /// Upper 64 bits.
        high: u64,
        /// Lower 64 bits.
        low: u64,
    }

    /// A player and the avatar; answers of `players_within` are arrays of these.
    #[derive(Clone, Copy, Default)]
    RawPlayerAt {
        /// Who.
        player: RawPlayer,
        /// The avatar's raw id.
        entity: u64,
    }

    /// A pose: lattice cell, offset in metres, velocity in metres per second, heading in radians.
    #[derive(Clone, Copy, Default)]
    RawPose {
        /// Lattice cell.
        cell: [i32; 3],
        /// Offset in the cell.
        local: [f32; 3],
        /// Velocity.
        velocity: [f32; 3],
        /// Heading.
        yaw: f32,
    }

    /// A place on a parent: metres forwards, left and up, and a heading from the parent's in radians.
    #[derive(Clone, Copy, Default)]
    RawSeat {
        /// Metres.
        offset: [f32; 3],
        /// Heading.
        yaw: f32,
    }

    /// The only time that plugins see.
    #[derive(Clone, Copy, Default)]
    RawClock {
        /// Tick being simulated.
        tick: u64,
        /// Simulated seconds since the world's origin.
        sim_seconds: f64,
        /// Simulated seconds of one step.
        step_seconds: f64,
    }

    /// One call of one handler.
    #[derive(Clone, Copy)]
    Call {
        /// Place of the handler in the registration.
        handler: u32,
        /// 1 if `payload` is MessagePack, 0 if it is JSON text.
        binary: u32,
        /// Who sent it, or to whom it was sent; zero for core and plugin events.
        player: RawPlayer,
        /// The object to which it was sent; zero elsewhere.
        object: u64,
        /// Number of the input; zero where it has none.
        seq: u32,
        /// Namespace of the event, UTF-8.
        namespace: Slice,
        /// Name of the event, UTF-8.
        event: Slice,
        /// The event's value, or the client's payload as it came.
        payload: Slice,
    }

    /// What the host offers while one of the plugin's functions runs.
    HostTable {
        /// Given back to every function.
        context: *mut c_void,
        /// Level 1 error to 5 trace, and a line of text.
        log: unsafe extern "C" fn(*mut c_void, u32, Slice),
        /// Reads the clock.
        clock: unsafe extern "C" fn(*mut c_void, *mut RawClock),
        /// Avatar of a player.
        entity_of: unsafe extern "C" fn(*mut c_void, RawPlayer, *mut u64) -> Status,
        /// Player of an avatar.
        player_of: unsafe extern "C" fn(*mut c_void, u64, *mut RawPlayer) -> Status,
        /// 1 where this region may change the entity.
        owns: unsafe extern "C" fn(*mut c_void, u64) -> u32,
        /// Reads a pose.
        pose: unsafe extern "C" fn(*mut c_void, u64, *mut RawPose) -> Status,
        /// Moves; 1 as last number snaps.
        set_pose: unsafe extern "C" fn(*mut c_void, u64, *const RawPose, u32, Sink) -> Status,
        /// Reads a component into the sink.
        component: unsafe extern "C" fn(*mut c_void, u64, Slice, Sink) -> Status,
        /// Writes a component.
        set_component: unsafe extern "C" fn(*mut c_void, u64, Slice, Slice, Sink) -> Status,
        /// Removes a component.
        remove_component: unsafe extern "C" fn(*mut c_void, u64, Slice, Sink) -> Status,
        /// Writes a visible field as JSON.
        set_field: unsafe extern "C" fn(*mut c_void, u64, Slice, Slice, Sink) -> Status,
        /// Spawns an object of a type.
        spawn: unsafe extern "C" fn(*mut c_void, Slice, *const RawPose, *mut u64, Sink) -> Status,
        /// Removes an object.
        despawn: unsafe extern "C" fn(*mut c_void, u64, Sink) -> Status,
        /// Attaches a child to a parent.
        attach: unsafe extern "C" fn(*mut c_void, u64, u64, *const RawSeat, Sink) -> Status,
        /// Takes a child off.
        detach: unsafe extern "C" fn(*mut c_void, u64, Sink) -> Status,
        /// Parent of an owned child.
        parent_of: unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> Status,
        /// Children of an owned parent: an array of raw ids.
        children_of: unsafe extern "C" fn(*mut c_void, u64, Sink),
        /// Owned objects of a type: an array of raw ids.
        objects: unsafe extern "C" fn(*mut c_void, Slice, Sink),
        /// All players known: MessagePack array of (id text, entity text, name).
        players: unsafe extern "C" fn(*mut c_void, Sink),
        /// Players near a pose's position: an array of `RawPlayerAt`.
        players_within: unsafe extern "C" fn(*mut c_void, *const RawPose, f64, Sink),
        /// Reliable event to a player: namespace, event, MessagePack.
        send: unsafe extern "C" fn(*mut c_void, RawPlayer, Slice, Slice, Slice, Sink) -> Status,
        /// Message to an object: namespace, event, MessagePack.
        send_object: unsafe extern "C" fn(*mut c_void, u64, Slice, Slice, Slice, Sink) -> Status,
        /// Reliable event to everyone.
        broadcast: unsafe extern "C" fn(*mut c_void, Slice, Slice, Slice),
        /// Event for other plugins, delivered after the current handler.
        emit_plugin: unsafe extern "C" fn(*mut c_void, Slice, Slice, Slice),
    }

    /// What a plugin library offers.
    PluginTable {
        /// [`MAGIC`].
        magic: u64,
        /// [`ABI_VERSION`] of the plugin.
        abi_version: u32,
        /// Size of this table in bytes.
        table_bytes: u32,
        /// [`INTERFACE_HASH`] of the plugin.
        interface_hash: u64,
        /// Compiler that built it, UTF-8; reported, never required.
        compiler: Slice,
        /// Makes the instance and answers MessagePack of `About`.
        create: unsafe extern "C" fn(*mut *mut c_void, Sink) -> Status,
        /// Registers handlers, given the configuration as JSON; answers MessagePack of `Registration`.
        register: unsafe extern "C" fn(*mut c_void, Slice, Sink) -> Status,
        /// Runs once before the first event.
        init: unsafe extern "C" fn(*mut c_void, *const HostTable, Sink) -> Status,
        /// Runs one handler.
        call: unsafe extern "C" fn(*mut c_void, *const HostTable, *const Call, Sink) -> Status,
        /// Runs once after the last event.
        shutdown: unsafe extern "C" fn(*mut c_void, *const HostTable, Sink) -> Status,
        /// Drops the instance.
        destroy: unsafe extern "C" fn(*mut c_void),
    }
}

/// Hash of the tables above. Spaces do not count: compilers print types differently.
pub const INTERFACE_HASH: u64 = hash_without_spaces(TEXT.as_bytes());

const fn hash_without_spaces(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_whitespace() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        }
        at += 1;
    }
    hash
}

impl Slice {
    /// Borrows `bytes`; the caller keeps them alive for the call.
    pub const fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}
