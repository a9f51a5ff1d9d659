//! The functions that the host calls. Each catches panics and turns errors into a status and a text.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use horizon_model::EntityId;

use super::{HostRef, bytes, panic_text, put, text};
use crate::abi::{
    self, ABI_VERSION, Call, HostTable, INTERFACE_HASH, MAGIC, PluginTable, Sink, Slice, Status,
};
use crate::handler::BoxedHandler;
use crate::host::About;
use crate::plugin::block_on;
use crate::{Ctx, Delivery, EventSystem, PluginError, SimplePlugin, payload};

/// Makes the one instance of a plugin.
pub trait Construct {
    /// The instance, before registration.
    fn construct() -> Box<dyn SimplePlugin>;
}

/// What the opaque handle points at.
struct Instance {
    plugin: Box<dyn SimplePlugin>,
    name: String,
    config: Vec<u8>,
    handlers: Vec<BoxedHandler>,
}

/// The table of one plugin.
pub const fn table<P: Construct>() -> PluginTable {
    PluginTable {
        magic: MAGIC,
        abi_version: ABI_VERSION,
        table_bytes: size_of::<PluginTable>() as u32,
        interface_hash: INTERFACE_HASH,
        compiler: Slice::of(env!("HORIZON_RUSTC").as_bytes()),
        create: create::<P>,
        register,
        init,
        call,
        shutdown,
        destroy,
    }
}

unsafe extern "C" fn create<P: Construct>(handle: *mut *mut c_void, reply: Sink) -> Status {
    // SAFETY: the host's sink is valid for this call.
    unsafe {
        guarded(reply, || {
            let plugin = P::construct();
            let about = About { name: plugin.name().to_owned(), version: plugin.version().to_owned() };
            let answer = encode(&about)?;
            let name = about.name;
            let instance = Box::new(Instance { plugin, name, config: Vec::new(), handlers: Vec::new() });
            *handle = Box::into_raw(instance).cast();
            Ok(answer)
        })
    }
}

unsafe extern "C" fn register(handle: *mut c_void, config: Slice, reply: Sink) -> Status {
    // SAFETY: the host gives the handle of `create`, one call at a time, and slices and a sink that
    // are valid for this call.
    unsafe {
        guarded(reply, || {
            let instance = instance(handle);
            instance.config = bytes(config).to_vec();
            let events = Arc::new(EventSystem::new(&instance.name, &instance.config));
            block_on(instance.plugin.register_handlers(Arc::clone(&events)))?;
            let (handlers, registration) = events.take();
            instance.handlers = handlers;
            encode(&registration)
        })
    }
}

unsafe extern "C" fn init(handle: *mut c_void, host: *const HostTable, reply: Sink) -> Status {
    // SAFETY: as `register`; the host's table is valid for this call.
    unsafe { with_context(handle, host, reply, |instance, cx| instance.plugin.on_init(cx)) }
}

unsafe extern "C" fn shutdown(handle: *mut c_void, host: *const HostTable, reply: Sink) -> Status {
    // SAFETY: as `register`; the host's table is valid for this call.
    unsafe { with_context(handle, host, reply, |instance, cx| instance.plugin.on_shutdown(cx)) }
}

unsafe extern "C" fn call(
    handle: *mut c_void,
    host: *const HostTable,
    call: *const Call,
    reply: Sink,
) -> Status {
    // SAFETY: as `register`; table and call are valid for this call.
    unsafe {
        let call = *call;
        with_context(handle, host, reply, |instance, cx| {
            let handler = usize::try_from(call.handler).ok().and_then(|at| instance.handlers.get_mut(at));
            let Some(handler) = handler else {
                return Err(PluginError::Other(format!("there is no handler {}", call.handler)));
            };
            let delivery = Delivery {
                player: call.player.into(),
                object: EntityId::from_bits(call.object),
                seq: call.seq,
                namespace: text(call.namespace).ok_or("the namespace is not UTF-8")?,
                event: text(call.event).ok_or("the event's name is not UTF-8")?,
                payload: bytes(call.payload),
                binary: call.binary == 1,
            };
            handler(cx, &delivery)
        })
    }
}

unsafe extern "C" fn destroy(handle: *mut c_void) {
    // SAFETY: the handle came from `create`, and the host gives it back once.
    let instance = unsafe { Box::from_raw(handle.cast::<Instance>()) };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(instance))) {
        panic_text(panic);
    }
}

/// # Safety
///
/// `handle` must be that of `create`, not yet destroyed, and not in use by another call.
unsafe fn instance<'a>(handle: *mut c_void) -> &'a mut Instance {
    // SAFETY: guaranteed by the caller.
    unsafe { &mut *handle.cast::<Instance>() }
}

/// # Safety
///
/// As [`instance`]; `host` and `reply` must be valid for this call.
unsafe fn with_context(
    handle: *mut c_void,
    host: *const HostTable,
    reply: Sink,
    run: impl FnOnce(&mut Instance, &mut Ctx) -> Result<(), PluginError>,
) -> Status {
    // SAFETY: guaranteed by the caller.
    unsafe {
        guarded(reply, || {
            let instance = instance(handle);
            let mut cx = Ctx::new(HostRef::new(host), &instance.name, &instance.config);
            let result = run(instance, &mut cx);
            result.and(cx.into_failure().map_or(Ok(()), Err)).map(|()| Vec::new())
        })
    }
}

/// Runs the plugin's code; whatever it does, a status comes back and its text is in the sink.
///
/// # Safety
///
/// `reply` must be valid for this call.
unsafe fn guarded(reply: Sink, run: impl FnOnce() -> Result<Vec<u8>, PluginError>) -> Status {
    let (status, answer) = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(answer)) => (abi::OK, answer),
        Ok(Err(error)) => {
            let status = match error {
                PluginError::Payload { .. } => abi::BAD_PAYLOAD,
                _ => abi::FAILED,
            };
            (status, error.to_string().into_bytes())
        }
        Err(panic) => (abi::PANICKED, panic_text(panic).into_bytes()),
    };
    // SAFETY: guaranteed by the caller.
    unsafe { put(reply, &answer) };
    status
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, PluginError> {
    payload::encode(value).map_err(|error| PluginError::Other(error.to_string()))
}
