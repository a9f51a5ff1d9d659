//! The plugin's half of the boundary: entry points that catch every panic, and calls to the host.
//!
//! Authors never use this module; [`crate::create_simple_plugin`] does.
// Raw pointers cross here and in `host`, and nowhere else in the package.
#![allow(unsafe_code)]

mod calls;
mod entry;
mod panics;

use std::ffi::c_void;

pub(crate) use calls::HostRef;
pub use entry::{Construct, table};
pub use panics::keep_panics_quiet;
pub(crate) use panics::panic_text;

use crate::abi::{PluginTable, Sink, Slice, Status};

/// Longest answer across the boundary in bytes. A component or event is at most 64 KiB; lists of
/// players are the longest, and what is beyond is cut off.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

// SAFETY: a table holds function pointers and a slice of static text; none of it ever changes.
unsafe impl Sync for PluginTable {}

/// Runs `call` with a sink and gives back what was put into it.
pub(crate) fn collect<R>(call: impl FnOnce(Sink) -> R) -> (R, Vec<u8>) {
    unsafe extern "C" fn append(context: *mut c_void, part: Slice) {
        // SAFETY: `context` is the vector below, which outlives the call and is not otherwise
        // borrowed while the callee runs.
        let answer = unsafe { &mut *context.cast::<Vec<u8>>() };
        // SAFETY: the callee's part is valid for this call by the contract of `Sink`.
        let part = unsafe { bytes(part) };
        let room = MAX_ANSWER_BYTES.saturating_sub(answer.len());
        answer.extend_from_slice(&part[..part.len().min(room)]);
    }

    let mut answer = Vec::new();
    let result = call(Sink { context: (&raw mut answer).cast(), write: append });
    (result, answer)
}

/// Puts bytes into the sink of the other side.
///
/// # Safety
///
/// `sink` must come from the other side, in a call that has not returned yet.
pub(crate) unsafe fn put(sink: Sink, part: &[u8]) {
    // SAFETY: guaranteed by the caller; the slice is borrowed for the call.
    unsafe { (sink.write)(sink.context, Slice::of(part)) }
}

/// The bytes of a slice from the other side.
///
/// # Safety
///
/// The slice must come from a call that has not returned yet, and `'a` must end with that call.
pub(crate) unsafe fn bytes<'a>(slice: Slice) -> &'a [u8] {
    if slice.ptr.is_null() || slice.len == 0 {
        return &[];
    }
    // SAFETY: guaranteed by the caller and by the contract of `Slice`.
    unsafe { std::slice::from_raw_parts(slice.ptr, slice.len) }
}

/// The text of a slice from the other side, or `None` where it is not UTF-8.
///
/// # Safety
///
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(slice: Slice) -> Option<&'a str> {
    // SAFETY: guaranteed by the caller.
    std::str::from_utf8(unsafe { bytes(slice) }).ok()
}

/// A status and its text as the error it stands for.
pub(crate) fn error_of(status: Status, answer: &[u8]) -> crate::PluginError {
    match status {
        crate::abi::UNKNOWN => crate::PluginError::Unknown,
        crate::abi::NOT_OWNED => crate::PluginError::NotOwned,
        _ => crate::PluginError::Refused(String::from_utf8_lossy(answer).into_owned()),
    }
}
