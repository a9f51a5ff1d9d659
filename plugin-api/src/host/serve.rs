//! Serves the calls of a plugin from the world.
//!
//! Every function is called only by the plugin that [`super::within`] is running, with the context
//! of that call, so the safety comments below name that contract in short.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use horizon_model::{EntityId, Seat};

use super::{Emitted, Frame, HostError};
use crate::abi::{self, HostTable, RawClock, RawPlayer, RawPlayerAt, RawPose, RawSeat, Sink, Slice, Status};
use crate::boundary::{bytes, put, text};
use crate::convert::pose_from_raw;
use crate::payload;

/// Longest log line in bytes, and lines per call: a plugin cannot fill the disk in one tick.
const MAX_LOG_BYTES: usize = 4096;
const MAX_LOG_LINES: usize = 64;

/// Events for other plugins that one call may leave behind.
const MAX_EMITTED: usize = 1024;

/// The table whose context is a `Frame`.
pub(super) fn table(context: *mut c_void) -> HostTable {
    HostTable {
        context,
        log,
        clock,
        entity_of,
        player_of,
        owns,
        pose,
        set_pose,
        component,
        set_component,
        remove_component,
        set_field,
        spawn,
        despawn,
        attach,
        detach,
        parent_of,
        children_of,
        objects,
        players,
        players_within,
        send,
        send_object,
        broadcast,
        emit_plugin,
    }
}

/// Runs `serve` on the frame; a panic is kept for the host and the plugin gets `fallback`.
///
/// # Safety
///
/// `context` must be the frame of the call that is running.
unsafe fn with<R>(context: *mut c_void, fallback: R, serve: impl FnOnce(&mut Frame<'_>) -> R) -> R {
    // SAFETY: guaranteed by the caller; nothing else touches the frame while the plugin runs.
    let frame = unsafe { &mut *context.cast::<Frame<'_>>() };
    match catch_unwind(AssertUnwindSafe(|| serve(frame))) {
        Ok(result) => result,
        Err(panic) => {
            frame.panic.get_or_insert(panic);
            fallback
        }
    }
}

/// As [`with`], for functions that answer a status and put the reason of a refusal into `reply`.
///
/// # Safety
///
/// As [`with`]; `reply` must be valid for the call.
unsafe fn answer(
    context: *mut c_void,
    reply: Sink,
    serve: impl FnOnce(&mut Frame<'_>) -> Result<(), HostError>,
) -> Status {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let failed = Err(HostError::Invalid("the region server failed".to_owned()));
        match with(context, failed, serve) {
            Ok(()) => abi::OK,
            Err(HostError::Unknown) => abi::UNKNOWN,
            Err(HostError::NotOwned) => abi::NOT_OWNED,
            Err(HostError::Invalid(reason)) => {
                put(reply, reason.as_bytes());
                abi::INVALID
            }
        }
    }
}

fn entity(bits: u64) -> Result<EntityId, HostError> {
    EntityId::from_bits(bits).ok_or(HostError::Unknown)
}

fn required<T>(value: Option<T>, what: &str) -> Result<T, HostError> {
    value.ok_or_else(|| HostError::Invalid(what.to_owned()))
}

const NOT_TEXT: &str = "a name is not UTF-8";
const NOT_A_PLACE: &str = "the pose is not finite or off the map";

// SAFETY: (all functions below) context, slices, pointers and sinks come from the running call and
// are valid for it; see the module's documentation.

unsafe extern "C" fn log(context: *mut c_void, level: u32, line: Slice) {
    // SAFETY: as said above.
    unsafe {
        let line = bytes(line);
        with(context, (), |frame| {
            if frame.effects.logs.len() < MAX_LOG_LINES {
                let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LOG_BYTES)]);
                frame.effects.logs.push((level, line.into_owned()));
            }
        });
    }
}

unsafe extern "C" fn clock(context: *mut c_void, out: *mut RawClock) {
    // SAFETY: as said above.
    unsafe {
        *out = with(context, RawClock::default(), |frame| RawClock {
            tick: frame.world.tick().0,
            sim_seconds: frame.world.sim_seconds(),
            step_seconds: frame.world.step_seconds(),
        });
    }
}

unsafe extern "C" fn entity_of(context: *mut c_void, player: RawPlayer, out: *mut u64) -> Status {
    // SAFETY: as said above.
    unsafe {
        match with(context, None, |frame| frame.world.entity_of(player.into())) {
            Some(entity) => {
                *out = entity.bits();
                abi::OK
            }
            None => abi::UNKNOWN,
        }
    }
}

unsafe extern "C" fn player_of(context: *mut c_void, bits: u64, out: *mut RawPlayer) -> Status {
    // SAFETY: as said above.
    unsafe {
        match with(context, None, |frame| entity(bits).ok().and_then(|id| frame.world.player_of(id))) {
            Some(player) => {
                *out = player.into();
                abi::OK
            }
            None => abi::UNKNOWN,
        }
    }
}

unsafe extern "C" fn owns(context: *mut c_void, bits: u64) -> u32 {
    // SAFETY: as said above.
    unsafe { with(context, 0, |frame| u32::from(entity(bits).is_ok_and(|id| frame.world.owns(id)))) }
}

unsafe extern "C" fn pose(context: *mut c_void, bits: u64, out: *mut RawPose) -> Status {
    // SAFETY: as said above.
    unsafe {
        match with(context, None, |frame| entity(bits).ok().and_then(|id| frame.world.pose(id))) {
            Some(pose) => {
                *out = RawPose::from(&pose);
                abi::OK
            }
            None => abi::UNKNOWN,
        }
    }
}

unsafe extern "C" fn set_pose(
    context: *mut c_void,
    bits: u64,
    pose: *const RawPose,
    snap: u32,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let pose = pose_from_raw(&*pose);
        answer(context, reply, |frame| {
            frame.world.set_pose(entity(bits)?, required(pose, NOT_A_PLACE)?, snap == 1)
        })
    }
}

unsafe extern "C" fn component(context: *mut c_void, bits: u64, name: Slice, reply: Sink) -> Status {
    // SAFETY: as said above.
    unsafe {
        let name = text(name);
        with(context, abi::UNKNOWN, |frame| {
            let (Ok(entity), Some(name)) = (entity(bits), name) else { return abi::UNKNOWN };
            match frame.world.component(entity, name) {
                Some(value) => {
                    put(reply, value);
                    abi::OK
                }
                None => abi::UNKNOWN,
            }
        })
    }
}

unsafe extern "C" fn set_component(
    context: *mut c_void,
    bits: u64,
    name: Slice,
    value: Slice,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let (name, value) = (text(name), bytes(value));
        answer(context, reply, |frame| {
            frame.world.set_component(entity(bits)?, required(name, NOT_TEXT)?, Some(value.to_vec()))
        })
    }
}

unsafe extern "C" fn remove_component(context: *mut c_void, bits: u64, name: Slice, reply: Sink) -> Status {
    // SAFETY: as said above.
    unsafe {
        let name = text(name);
        answer(context, reply, |frame| {
            frame.world.set_component(entity(bits)?, required(name, NOT_TEXT)?, None)
        })
    }
}

unsafe extern "C" fn set_field(
    context: *mut c_void,
    bits: u64,
    field: Slice,
    json: Slice,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let (field, json) = (text(field), bytes(json));
        answer(context, reply, |frame| {
            frame.world.set_field(entity(bits)?, required(field, NOT_TEXT)?, json.to_vec())
        })
    }
}

unsafe extern "C" fn spawn(
    context: *mut c_void,
    type_name: Slice,
    pose: *const RawPose,
    out: *mut u64,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let (type_name, pose) = (text(type_name), pose_from_raw(&*pose));
        answer(context, reply, |frame| {
            let pose = required(pose, NOT_A_PLACE)?;
            *out = frame.world.spawn(required(type_name, NOT_TEXT)?, pose)?.bits();
            Ok(())
        })
    }
}

unsafe extern "C" fn despawn(context: *mut c_void, bits: u64, reply: Sink) -> Status {
    // SAFETY: as said above.
    unsafe { answer(context, reply, |frame| frame.world.despawn(entity(bits)?)) }
}

unsafe extern "C" fn attach(
    context: *mut c_void,
    child: u64,
    parent: u64,
    seat: *const RawSeat,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let RawSeat { offset, yaw } = *seat;
        answer(context, reply, |frame| {
            frame.world.attach(entity(child)?, entity(parent)?, Seat { offset, yaw })
        })
    }
}

unsafe extern "C" fn detach(context: *mut c_void, child: u64, reply: Sink) -> Status {
    // SAFETY: as said above.
    unsafe { answer(context, reply, |frame| frame.world.detach(entity(child)?)) }
}

unsafe extern "C" fn parent_of(context: *mut c_void, child: u64, out: *mut u64) -> Status {
    // SAFETY: as said above.
    unsafe {
        match with(context, None, |frame| entity(child).ok().and_then(|id| frame.world.parent_of(id))) {
            Some(parent) => {
                *out = parent.bits();
                abi::OK
            }
            None => abi::UNKNOWN,
        }
    }
}

unsafe extern "C" fn children_of(context: *mut c_void, parent: u64, reply: Sink) {
    // SAFETY: as said above.
    unsafe {
        with(context, (), |frame| {
            let children = entity(parent).map(|parent| frame.world.children_of(parent));
            for child in children.into_iter().flatten() {
                put(reply, &child.bits().to_ne_bytes());
            }
        });
    }
}

unsafe extern "C" fn objects(context: *mut c_void, type_name: Slice, reply: Sink) {
    // SAFETY: as said above.
    unsafe {
        let type_name = text(type_name).unwrap_or_default();
        with(context, (), |frame| {
            for object in frame.world.objects(type_name) {
                put(reply, &object.bits().to_ne_bytes());
            }
        });
    }
}

unsafe extern "C" fn players(context: *mut c_void, reply: Sink) {
    // SAFETY: as said above.
    unsafe {
        with(context, (), |frame| {
            if let Ok(players) = payload::encode(&frame.world.players()) {
                put(reply, &players);
            }
        });
    }
}

unsafe extern "C" fn players_within(context: *mut c_void, at: *const RawPose, metres: f64, reply: Sink) {
    // SAFETY: as said above.
    unsafe {
        let at = pose_from_raw(&*at);
        with(context, (), |frame| {
            let Some(at) = at else { return };
            for (player, entity) in frame.world.players_within(&at.position, metres) {
                let row = RawPlayerAt { player: player.into(), entity: entity.bits() };
                put(reply, &row.player.high.to_ne_bytes());
                put(reply, &row.player.low.to_ne_bytes());
                put(reply, &row.entity.to_ne_bytes());
            }
        });
    }
}

unsafe extern "C" fn send(
    context: *mut c_void,
    to: RawPlayer,
    namespace: Slice,
    event: Slice,
    payload: Slice,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let (namespace, event, payload) = (text(namespace), text(event), bytes(payload));
        answer(context, reply, |frame| {
            let (namespace, event) = (required(namespace, NOT_TEXT)?, required(event, NOT_TEXT)?);
            frame.world.send(to.into(), namespace, event, payload.to_vec())
        })
    }
}

unsafe extern "C" fn send_object(
    context: *mut c_void,
    to: u64,
    namespace: Slice,
    event: Slice,
    payload: Slice,
    reply: Sink,
) -> Status {
    // SAFETY: as said above.
    unsafe {
        let (namespace, event, payload) = (text(namespace), text(event), bytes(payload));
        answer(context, reply, |frame| {
            let (namespace, event) = (required(namespace, NOT_TEXT)?, required(event, NOT_TEXT)?);
            frame.world.send_object(entity(to)?, namespace, event, payload.to_vec())
        })
    }
}

unsafe extern "C" fn broadcast(context: *mut c_void, namespace: Slice, event: Slice, payload: Slice) {
    // SAFETY: as said above.
    unsafe {
        let (Some(namespace), Some(event)) = (text(namespace), text(event)) else { return };
        let payload = bytes(payload).to_vec();
        with(context, (), |frame| frame.world.broadcast(namespace, event, payload));
    }
}

unsafe extern "C" fn emit_plugin(context: *mut c_void, namespace: Slice, event: Slice, payload: Slice) {
    // SAFETY: as said above.
    unsafe {
        let (Some(namespace), Some(event)) = (text(namespace), text(event)) else { return };
        let payload = bytes(payload).to_vec();
        with(context, (), |frame| {
            if frame.effects.emitted.len() < MAX_EMITTED {
                let (namespace, event) = (namespace.to_owned(), event.to_owned());
                frame.effects.emitted.push(Emitted { namespace, event, payload });
            }
        });
    }
}
