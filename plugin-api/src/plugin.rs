//! What a plugin is.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use async_trait::async_trait;

use crate::{Ctx, EventSystem, PluginError};

/// A plugin: a name, a version and handlers. One instance lives in each region server.
///
/// State that must survive a border, a crash or a new version belongs into components of players and
/// objects, not into the plugin: the next region has another instance.
#[async_trait]
pub trait SimplePlugin: Send + 'static {
    /// Unique among the plugins of a region server; also names its configuration table.
    fn name(&self) -> &str;

    /// Usually `env!("CARGO_PKG_VERSION")`.
    fn version(&self) -> &str;

    /// Says what the plugin wants. Runs once, before the region exists; no async runtime is there,
    /// so futures must be ready or finish by themselves.
    ///
    /// # Errors
    ///
    /// Any error refuses the plugin, and the region server does not start; say who must do what.
    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError>;

    /// Runs once before the first event, on the tick thread.
    ///
    /// # Errors
    ///
    /// Logged; the plugin's handlers are called all the same.
    fn on_init(&mut self, cx: &mut Ctx) -> Result<(), PluginError> {
        let _ = cx;
        Ok(())
    }

    /// Runs once after the last event, on the tick thread.
    ///
    /// # Errors
    ///
    /// Logged.
    fn on_shutdown(&mut self, cx: &mut Ctx) -> Result<(), PluginError> {
        let _ = cx;
        Ok(())
    }
}

/// Gives types with a `Default` the `new` that [`crate::create_simple_plugin`] calls.
pub trait FromDefault: Sized {
    /// The default value; an inherent `new` takes precedence.
    fn new() -> Self;
}

impl<T: Default> FromDefault for T {
    fn new() -> Self {
        T::default()
    }
}

/// Drives a future to its end on this thread, which sleeps while the future waits.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Makes a library out of a [`SimplePlugin`] by exporting the one symbol the host looks for.
///
/// The type needs a `new()` without arguments, or a `Default`.
#[macro_export]
macro_rules! create_simple_plugin {
    ($plugin:ty) => {
        #[cfg(panic = "abort")]
        compile_error!("a plugin needs panic = \"unwind\", so that a panic ends in the plugin");

        const _: () = {
            struct Entry;

            impl $crate::boundary::Construct for Entry {
                fn construct() -> ::std::boxed::Box<dyn $crate::SimplePlugin> {
                    #[allow(unused_imports)]
                    use $crate::FromDefault as _;
                    ::std::boxed::Box::new(<$plugin>::new())
                }
            }

            static TABLE: $crate::abi::PluginTable = $crate::boundary::table::<Entry>();

            #[unsafe(no_mangle)]
            extern "C" fn horizon_plugin_entry() -> *const $crate::abi::PluginTable {
                $crate::boundary::keep_panics_quiet();
                &TABLE
            }
        };
    };
}
