//! Stores under test, each with a clock that the test moves and a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horizon_model::WorldId;
use horizon_state_store::{Backend, Env, Memory, Remote, Server, Sqlite};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The world of every row but one.
pub(crate) const WORLD: WorldId = WorldId(7);

/// Time that passes when told to.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Lets `ms` milliseconds pass.
    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn env(&self) -> Env {
        let time = Arc::clone(&self.0);
        Env::new(move || Duration::from_millis(time.load(Ordering::SeqCst)), || [42; 32])
    }
}

/// A store of one kind.
pub(crate) trait Fixture {
    type Store: Backend + Clone;

    /// A handle of its own: another connection where there are connections.
    async fn open(&self, world: WorldId) -> Self::Store;
    /// Ends the store and starts it on the same data. Handles of before need not work.
    async fn restart(&mut self);
    /// Keeps a copy of the data as they are now, restarting where that needs it.
    async fn keep(&mut self);
    /// Ends the store by force and starts it on the kept copy.
    async fn put_back(&mut self);
    fn clock(&self) -> &Clock;
}

/// [`Memory`].
pub(crate) struct InMemory {
    clock: Clock,
    store: Memory,
    kept: Option<Memory>,
}

impl InMemory {
    pub(crate) fn new() -> Self {
        let clock = Clock::default();
        let store = Memory::new(WORLD, clock.env());
        Self { clock, store, kept: None }
    }
}

impl Fixture for InMemory {
    type Store = Memory;

    async fn open(&self, world: WorldId) -> Memory {
        self.store.world(world)
    }

    async fn restart(&mut self) {
        self.store.restart();
    }

    async fn keep(&mut self) {
        self.kept = Some(self.store.copy());
    }

    async fn put_back(&mut self) {
        self.store = self.kept.take().expect("it was kept");
        self.store.restart();
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// [`Sqlite`].
pub(crate) struct File {
    clock: Clock,
    folder: TempDir,
    store: Sqlite,
}

impl File {
    pub(crate) fn new() -> Self {
        let clock = Clock::default();
        let folder = TempDir::new().expect("a temporary folder");
        let store = open_file(&folder, &clock);
        Self { clock, folder, store }
    }
}

fn open_file(folder: &TempDir, clock: &Clock) -> Sqlite {
    Sqlite::open(&folder.path().join("world.sqlite"), WORLD, clock.env()).expect("opens")
}

impl Fixture for File {
    type Store = Sqlite;

    async fn open(&self, world: WorldId) -> Sqlite {
        self.store.world(world)
    }

    async fn restart(&mut self) {
        self.store.close().await;
        self.store = open_file(&self.folder, &self.clock);
    }

    async fn keep(&mut self) {
        self.store.close().await;
        std::fs::copy(self.folder.path().join("world.sqlite"), self.folder.path().join("kept"))
            .expect("copied");
        self.store = open_file(&self.folder, &self.clock);
    }

    async fn put_back(&mut self) {
        self.store.close().await;
        std::fs::rename(self.folder.path().join("kept"), self.folder.path().join("world.sqlite"))
            .expect("put back");
        self.store = open_file(&self.folder, &self.clock);
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// [`Remote`] clients of a [`Server`] in this process.
pub(crate) struct Socket {
    file: File,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Socket {
    pub(crate) async fn serving() -> Self {
        let mut socket = Self { file: File::new(), running: None };
        socket.start().await;
        socket
    }

    fn path(&self) -> PathBuf {
        self.file.folder.path().join("store.sock")
    }

    async fn stop(&mut self) {
        let (stop, serving) = self.running.take().expect("running");
        stop.send(()).expect("listens");
        serving.await.expect("ends");
    }

    async fn start(&mut self) {
        let server = Server::bind(&self.path(), self.file.store.clone()).await.expect("binds");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        self.running = Some((stop, serving));
    }
}

impl Fixture for Socket {
    type Store = Remote;

    async fn open(&self, world: WorldId) -> Remote {
        Remote::connect(&self.path(), world).await.expect("connects")
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.file.restart().await;
        self.start().await;
    }

    async fn keep(&mut self) {
        self.stop().await;
        self.file.keep().await;
        self.start().await;
    }

    async fn put_back(&mut self) {
        self.stop().await;
        self.file.put_back().await;
        self.start().await;
    }

    fn clock(&self) -> &Clock {
        self.file.clock()
    }
}
