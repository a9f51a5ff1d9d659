//! The host's half of the boundary: checks a plugin's table, calls its functions, serves its calls.
// Raw pointers cross here and in `boundary`, and nowhere else in the package.
#![allow(unsafe_code)]

mod serve;
mod world;

use std::any::Any;
use std::ffi::c_void;

use horizon_model::{EntityId, PlayerId};
use serde::{Deserialize, Serialize};

pub use world::{HostError, HostWorld};

use crate::abi::{
    self, ABI_VERSION, Call, EntryFn, HostTable, INTERFACE_HASH, MAGIC, PluginTable, RawPlayer, Slice, Status,
};
use crate::boundary::{bytes, collect};
use crate::{Delivery, Registration, payload};

/// Name and version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Unique in a region server.
    pub name: String,
    /// The author's own.
    pub version: String,
}

/// Why a library is not used. Nothing of it has run yet, or it has refused by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The exported symbol is something else.
    #[error("it is not a Horizon plugin: build it with create_simple_plugin!")]
    NotAPlugin,
    /// Built against another interface.
    #[error(
        "it was built for plugin interface {plugin}, this region server speaks {host}: \
         build it again with the horizon-plugin-api of this version"
    )]
    AbiVersion {
        /// The plugin's number.
        plugin: u32,
        /// Ours.
        host: u32,
    },
    /// Same number, other tables: one of the two is a development build.
    #[error(
        "its interface {plugin:016x} differs from ours, {host:016x}, under the same number: \
         build plugin and region server from the same sources"
    )]
    Interface {
        /// The plugin's hash.
        plugin: u64,
        /// Ours.
        host: u64,
    },
    /// Its constructor failed.
    #[error("its constructor failed: {0}")]
    Create(String),
    /// Its registration failed; the text is the author's and says who must do what.
    #[error("it refuses to start: {0}")]
    Register(String),
}

/// How a handler ended, other than well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The payload is not what the handler expects; the sender is at fault.
    #[error("{0}")]
    Payload(String),
    /// The plugin's own code returned an error.
    #[error("{0}")]
    Failed(String),
    /// The plugin's code panicked; what it had done until then stays done.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// Something a plugin told the other plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Namespace of the event.
    pub namespace: String,
    /// Name of the event.
    pub event: String,
    /// The value as MessagePack.
    pub payload: Vec<u8>,
}

/// What calls leave behind for the host to do afterwards, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Events for other plugins.
    pub emitted: Vec<Emitted>,
    /// Lines for the log: level 1 error to 5 trace, and text.
    pub logs: Vec<(u32, String)>,
}

/// The host during one call, behind the table's context pointer.
struct Frame<'a> {
    world: &'a mut dyn HostWorld,
    effects: &'a mut Effects,
    panic: Option<Box<dyn Any + Send>>,
}

/// One instance of a plugin. The library it comes from must never be unloaded.
pub struct Plugin {
    table: &'static PluginTable,
    handle: *mut c_void,
    about: About,
    compiler: String,
}

// SAFETY: the instance behind the handle is a `SimplePlugin` and closures, all of which are `Send`,
// and `&mut self` lets one thread in at a time.
unsafe impl Send for Plugin {}

impl Plugin {
    /// Checks what `entry` offers and makes the instance.
    ///
    /// # Errors
    ///
    /// [`OpenError`] of the first thing that does not fit.
    ///
    /// # Safety
    ///
    /// `entry` must return null or a pointer to a table that stays valid for the rest of the
    /// process, and whose functions keep the contracts of [`abi`].
    pub unsafe fn open(entry: EntryFn) -> Result<Self, OpenError> {
        // SAFETY: the caller vouches for `entry`.
        let table = unsafe { entry() };
        if table.is_null() {
            return Err(OpenError::NotAPlugin);
        }
        // SAFETY: the head of the table, up to the interface hash, is the same in every version;
        // nothing behind it is read before the versions agree.
        let (magic, version, hash) = unsafe {
            (
                (&raw const (*table).magic).read(),
                (&raw const (*table).abi_version).read(),
                (&raw const (*table).interface_hash).read(),
            )
        };
        if magic != MAGIC {
            return Err(OpenError::NotAPlugin);
        }
        if version != ABI_VERSION {
            return Err(OpenError::AbiVersion { plugin: version, host: ABI_VERSION });
        }
        if hash != INTERFACE_HASH {
            return Err(OpenError::Interface { plugin: hash, host: INTERFACE_HASH });
        }
        // SAFETY: the table is of our version and lives as long as the process.
        Self::create(unsafe { &*table })
    }

    /// The instance of a table in this very program, for tests.
    pub(crate) fn of_table(table: &'static PluginTable) -> Result<Self, OpenError> {
        Self::create(table)
    }

    fn create(table: &'static PluginTable) -> Result<Self, OpenError> {
        // SAFETY: the text is as static as the table.
        let compiler = String::from_utf8_lossy(unsafe { bytes(table.compiler) }).into_owned();
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` and the sink outlive the call.
        let (status, answer) = collect(|sink| unsafe { (table.create)(&raw mut handle, sink) });
        if status != abi::OK || handle.is_null() {
            return Err(OpenError::Create(text_of(&answer)));
        }
        let about = payload::decode(&answer, true);
        let mut plugin =
            Self { table, handle, about: About { name: String::new(), version: String::new() }, compiler };
        plugin.about = about.map_err(|error| OpenError::Create(error.to_string()))?;
        Ok(plugin)
    }

    /// Name and version.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// The compiler that built it.
    pub fn compiler(&self) -> &str {
        &self.compiler
    }

    /// Lets the plugin register, with its configuration table as JSON. Once, before any other call.
    ///
    /// # Errors
    ///
    /// [`OpenError::Register`] with the plugin's own words.
    pub fn register(&mut self, config: &[u8]) -> Result<Registration, OpenError> {
        let (status, answer) = collect(|sink| {
            // SAFETY: the handle is ours alone, and slice and sink outlive the call.
            unsafe { (self.table.register)(self.handle, Slice::of(config), sink) }
        });
        if status != abi::OK {
            return Err(OpenError::Register(text_of(&answer)));
        }
        payload::decode(&answer, true).map_err(|error| OpenError::Register(error.to_string()))
    }

    /// Runs `on_init`.
    ///
    /// # Errors
    ///
    /// [`CallError`] of the plugin's code.
    pub fn init(&mut self, world: &mut dyn HostWorld, effects: &mut Effects) -> Result<(), CallError> {
        let Self { table, handle, .. } = self;
        within(world, effects, |host, sink| {
            // SAFETY: the handle is ours alone, and table and sink outlive the call.
            unsafe { (table.init)(*handle, host, sink) }
        })
    }

    /// Runs `on_shutdown`.
    ///
    /// # Errors
    ///
    /// [`CallError`] of the plugin's code.
    pub fn shutdown(&mut self, world: &mut dyn HostWorld, effects: &mut Effects) -> Result<(), CallError> {
        let Self { table, handle, .. } = self;
        within(world, effects, |host, sink| {
            // SAFETY: the handle is ours alone, and table and sink outlive the call.
            unsafe { (table.shutdown)(*handle, host, sink) }
        })
    }

    /// Runs handler number `handler` of the registration.
    ///
    /// # Errors
    ///
    /// [`CallError`] of the plugin's code.
    pub fn call(
        &mut self,
        world: &mut dyn HostWorld,
        effects: &mut Effects,
        handler: u32,
        delivery: &Delivery<'_>,
    ) -> Result<(), CallError> {
        let call = Call {
            handler,
            binary: u32::from(delivery.binary),
            player: RawPlayer::from(delivery.player),
            object: delivery.object.map_or(0, EntityId::bits),
            seq: delivery.seq,
            namespace: Slice::of(delivery.namespace.as_bytes()),
            event: Slice::of(delivery.event.as_bytes()),
            payload: Slice::of(delivery.payload),
        };
        let Self { table, handle, .. } = self;
        within(world, effects, |host, sink| {
            // SAFETY: the handle is ours alone; call, table and sink outlive the call.
            unsafe { (table.call)(*handle, host, &raw const call, sink) }
        })
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // SAFETY: the handle came from `create` and is given back once; the library stays loaded.
        unsafe { (self.table.destroy)(self.handle) }
    }
}

/// The player of deliveries that nobody sent.
pub const NOBODY: PlayerId = PlayerId(0);

/// Runs one call with a table that serves it. A panic of the world itself goes on here, after the
/// plugin has returned: no unwinding crosses the boundary.
fn within(
    world: &mut dyn HostWorld,
    effects: &mut Effects,
    call: impl FnOnce(*const HostTable, abi::Sink) -> Status,
) -> Result<(), CallError> {
    let mut frame = Frame { world, effects, panic: None };
    let table = serve::table((&raw mut frame).cast());
    let (status, answer) = collect(|sink| call(&raw const table, sink));
    if let Some(panic) = frame.panic {
        std::panic::resume_unwind(panic);
    }
    match status {
        abi::OK => Ok(()),
        abi::BAD_PAYLOAD => Err(CallError::Payload(text_of(&answer))),
        abi::PANICKED => Err(CallError::Panicked(text_of(&answer))),
        _ => Err(CallError::Failed(text_of(&answer))),
    }
}

fn text_of(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::{Construct, table};
    use crate::{EventSystem, PluginError, SimplePlugin, async_trait};

    struct Idle;

    #[async_trait]
    impl SimplePlugin for Idle {
        fn name(&self) -> &str {
            "idle"
        }

        fn version(&self) -> &str {
            "0"
        }

        async fn register_handlers(&mut self, _: std::sync::Arc<EventSystem>) -> Result<(), PluginError> {
            Ok(())
        }
    }

    impl Construct for Idle {
        fn construct() -> Box<dyn SimplePlugin> {
            Box::new(Self)
        }
    }

    macro_rules! entry_of {
        ($($field:ident: $value:expr)?) => {{
            static TABLE: PluginTable = PluginTable { $($field: $value,)? ..table::<Idle>() };
            unsafe extern "C" fn entry() -> *const PluginTable {
                &raw const TABLE
            }
            entry as EntryFn
        }};
    }

    fn refusal(entry: EntryFn) -> OpenError {
        // SAFETY: the entry points of this module return static tables.
        unsafe { Plugin::open(entry) }.err().expect("the table does not fit")
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_with_both_numbers() {
        let version = refusal(entry_of!(abi_version: 99));
        assert_eq!(version, OpenError::AbiVersion { plugin: 99, host: ABI_VERSION });
        let text = version.to_string();
        assert!(text.contains("interface 99") && text.contains(&format!("speaks {ABI_VERSION}")), "{text}");
        assert_eq!(
            refusal(entry_of!(interface_hash: 1)),
            OpenError::Interface { plugin: 1, host: INTERFACE_HASH }
        );
        assert_eq!(refusal(entry_of!(magic: 1)), OpenError::NotAPlugin);
    }

    #[test]
    fn a_fitting_table_opens_and_names_its_compiler() {
        // SAFETY: as in `refusal`.
        let plugin = unsafe { Plugin::open(entry_of!()) }.expect("the table fits");
        assert_eq!(plugin.about().name, "idle");
        assert!(plugin.compiler().starts_with("rustc"), "{}", plugin.compiler());
    }
}
