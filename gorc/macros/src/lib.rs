//! The derive behind typed objects: which field of a struct goes out on which channel.
//!
//! ```text
//!   tokens ─▶ item (a struct and its fields) ─▶ object (what they mean, checked) ─▶ generate
//!                  attribute (words in #[gorc(…)])      channel (numbers allowed)
//! ```
//!
//! Two derives that differ in one path: code made by [`macro@GorcObject`] names `::gorc`, code made by
//! [`macro@PluginGorcObject`] names `::horizon_plugin_api`, which exports it as `GorcObject`. So each
//! works for a crate that depends on nothing else of ours, and neither looks at a manifest.
//!
//! Every mistake in a struct is reported at once, each at the token that is wrong. What only the types can
//! say, as whether a field is small enough for its channel, is left to traits of `horizon-model`, whose
//! messages speak of channels too.

mod attribute;
mod channel;
mod error;
mod generate;
mod item;
mod object;
mod text;

use proc_macro2::TokenStream;
use quote::quote;

use error::Errors;
use item::Item;
use object::Object;

/// Makes a struct a replicated object: every field says on which channel it goes out.
///
/// ```text
/// #[derive(GorcObject)]
/// #[gorc(name = "crate_box")]
/// #[gorc(critical(radius_metres = 60, hysteresis_metres = 4, rate_hz = 30, precision_cm = 5))]
/// struct CrateBox {
///     #[gorc(critical)]
///     position: Position,
///     #[gorc(detailed)]
///     velocity: [f32; 3],
///     #[gorc(critical)]
///     health: u16,
///     #[gorc(metadata)]
///     title: String,
///     #[gorc(skip)]
///     private: Vec<u8>,
/// }
/// ```
///
/// On a field, one of:
///
/// | word | goes out | types |
/// |---|---|---|
/// | `critical` | 30 or 60 times a second, nearby | `Copy`, at most 32 bytes |
/// | `detailed` | 15, 20 or 30 times a second | `Copy`, at most 64 bytes |
/// | `cosmetic` | 5 to 15 times a second | any that serde reads and writes |
/// | `metadata` | 1 to 5 times a second, furthest | any that serde reads and writes |
/// | `skip` | never | any |
///
/// Fields are numbered by their place, pose and skipped fields left out, so add new ones at the end.
///
/// The pose goes its own way, on every channel, and is no numbered field. It is a field of type `Pose`; or one
/// of type `Position` or called `position`, and beside it those called `velocity` and `heading` or `yaw`.
/// Position and pose are declared `critical`, velocity and heading `detailed`.
///
/// On the struct, all optional: `name = "…"`, else the struct's name in snake case; for each channel its
/// numbers, else the defaults; `crate = path`, where the crate that exports this derive has another name.
#[proc_macro_derive(GorcObject, attributes(gorc))]
pub fn gorc_object(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into(), &quote!(::gorc)).into()
}

/// As [`macro@GorcObject`], for crates that know only the plugin interface.
#[proc_macro_derive(PluginGorcObject, attributes(gorc))]
pub fn plugin_gorc_object(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into(), &quote!(::horizon_plugin_api)).into()
}

fn derive(input: TokenStream, root: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let object = Item::parse(input, &mut errors).map(|item| Object::read(item, &mut errors));
    match object {
        Some(object) if errors.is_empty() => generate::implementation(&object, root),
        _ => errors.into_tokens(),
    }
}
