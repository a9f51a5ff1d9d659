//! What a panic said, and where. It is told to the host, which logs it; nothing is printed here.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// Where the last panic of this thread was, as `file:line:column`.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Replaces the printing of panics by remembering where they were. A library has a standard library
/// of its own, so this is about the plugin alone; printing a backtrace would hold up a tick.
pub fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string);
            PLACE.with_borrow_mut(|last| *last = place);
        }));
    });
}

/// The text of a panic, without dropping a payload whose own drop might panic again.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    if text.is_none() {
        std::mem::forget(payload);
    }
    let text = text.unwrap_or_else(|| "a panic without a message".to_owned());
    match PLACE.with_borrow_mut(Option::take) {
        Some(place) => format!("{text} ({place})"),
        None => text,
    }
}
