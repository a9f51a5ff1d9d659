//! One thread that owns the file and commits everything queued at once.
//!
//! ```text
//!   handles, connections ──▶ queue ──▶ take all ─▶ BEGIN ─▶ rules ─▶ COMMIT (one sync) ─▶ answer all
//!                              ▲                                                             │
//!                              └───────── what came meanwhile is the next batch ◀────────────┘
//! ```
//!
//! No answer leaves before the commit, not even a read's: nobody sees what a power cut could undo.
//! A commit that fails ends the store. What the disk holds is then unknown, and only a new start
//! finds out; going on after a failed sync is how databases lose acknowledged writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use horizon_handoff::mutant::{self, Mutant};
use horizon_model::WorldId;
use tokio::sync::{mpsc, oneshot};

use crate::database::Database;
use crate::env::Env;
use crate::request::{Backend, Reply, Request};
use crate::store::StoreError;
use crate::world::World;

/// Time between two commits, where they are not waited for.
const LAZY_COMMIT: Duration = Duration::from_secs(4);

/// Requests that wait for the thread; callers wait beyond that.
const QUEUE: usize = 4096;

/// Requests of one commit: bounds how long the first of them waits for the last.
const MAX_BATCH: usize = 1024;

/// Gets the answer of one request. Dropped uncalled where the store ended before.
pub(crate) type Answer = Box<dyn FnOnce(Reply) + Send>;

enum Job {
    Call { world: WorldId, request: Request, answer: Answer },
    Stop(oneshot::Sender<()>),
}

/// A handle on an open file and its thread. The file is closed when the last handle is gone, or by
/// [`Sqlite::close`].
#[derive(Debug, Clone)]
pub struct Sqlite {
    world: WorldId,
    queue: mpsc::Sender<Job>,
}

/// One durable write of a store, for whoever counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Requests that shared it, reads included.
    pub requests: usize,
    /// Time of the commit alone, its sync included.
    pub took: Duration,
}

impl Sqlite {
    /// Opens or creates the file at `path`, for this process alone. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Setup`] where the file cannot be opened or another process has it open.
    pub fn open(path: &Path, world: WorldId, env: Env) -> Result<Self, StoreError> {
        Self::open_observed(path, world, env, |_| {})
    }

    /// As [`Sqlite::open`]; `observer` is told of every commit, on the store's thread.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::open`].
    pub fn open_observed(
        path: &Path,
        world: WorldId,
        env: Env,
        observer: impl FnMut(Commit) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let database = Database::open(path)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let engine = Engine {
            database,
            opened: env.now(),
            env,
            worlds: BTreeMap::new(),
            observer: Box::new(observer),
            open: false,
            committed: Duration::ZERO,
        };
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || engine.run(jobs))
            .map_err(|error| StoreError::Setup(format!("cannot start a thread: {error}")))?;
        Ok(Self { world, queue })
    }

    /// Another world of the same file.
    pub fn world(&self, world: WorldId) -> Self {
        Self { world, ..self.clone() }
    }

    /// Answers what is queued, then closes the file. Later calls on any handle fail.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Job::Stop(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Resolves when the thread has ended, by [`Sqlite::close`] or because a commit failed.
    pub async fn ended(&self) {
        self.queue.closed().await;
    }

    /// Queues a request; waits only where the queue is full.
    pub(crate) async fn submit(&self, request: Request, answer: Answer) -> Result<(), StoreError> {
        let job = Job::Call { world: self.world, request, answer };
        self.queue.send(job).await.map_err(|_| StoreError::Unavailable("it was closed".into()))
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        let lost = if request.is_repeatable() {
            StoreError::Unavailable("it ended before it answered".into())
        } else {
            StoreError::Unknown
        };
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(move |reply| {
            // Whoever asked may have stopped waiting; the write stands.
            let _ = answer.send(reply);
        });
        self.submit(request, answer).await?;
        answered.await.map_err(|_| lost)
    }
}

struct Engine {
    database: Database,
    env: Env,
    opened: Duration,
    worlds: BTreeMap<WorldId, World>,
    observer: Box<dyn FnMut(Commit) + Send>,
    /// A transaction goes on over calls, where that guard is off.
    open: bool,
    /// When the last of those was committed.
    committed: Duration,
}

impl Engine {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        let mut stops = Vec::new();
        while stops.is_empty() && jobs.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            if let Err(error) = self.commit(batch.drain(..), &mut stops) {
                tracing::error!(%error, "the database failed; the store ends and must be started again");
                return;
            }
        }
        // Nobody may queue any more; what is queued is still answered.
        jobs.close();
        while jobs.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            if let Err(error) = self.commit(batch.drain(..), &mut stops) {
                tracing::error!(%error, "the database failed while the store was closing");
                return;
            }
        }
        self.database.close();
        for done in stops {
            // Whoever asked for it may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Carries out a batch in one transaction, then answers it. On an error nothing is answered.
    fn commit(
        &mut self,
        batch: impl Iterator<Item = Job>,
        stops: &mut Vec<oneshot::Sender<()>>,
    ) -> rusqlite::Result<()> {
        let mut answers = Vec::new();
        if !self.open {
            self.database.begin()?;
        }
        for job in batch {
            match job {
                Job::Stop(done) => stops.push(done),
                Job::Call { world, request, answer } => answers.push((answer, self.perform(world, request)?)),
            }
        }
        if mutant::is_off(Mutant::AckBeforeCommit) {
            return self.answer_without_commit(answers);
        }
        let began = self.env.now();
        self.database.commit()?;
        (self.observer)(Commit { requests: answers.len(), took: self.env.now().saturating_sub(began) });
        for (answer, reply) in answers {
            answer(reply);
        }
        Ok(())
    }

    /// Answers now what is committed later, if at all.
    fn answer_without_commit(&mut self, answers: Vec<(Answer, Reply)>) -> rusqlite::Result<()> {
        self.open = true;
        for (answer, reply) in answers {
            answer(reply);
        }
        if self.env.now().saturating_sub(self.committed) > LAZY_COMMIT {
            self.database.commit()?;
            (self.open, self.committed) = (false, self.env.now());
        }
        Ok(())
    }

    fn perform(&mut self, id: WorldId, request: Request) -> rusqlite::Result<Reply> {
        let Self { database, env, opened, worlds, .. } = self;
        let world = match worlds.entry(id) {
            std::collections::btree_map::Entry::Occupied(world) => world.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let generation = database.generation();
                vacant.insert(World::load(id, generation, database, *opened)?)
            }
        };
        world.perform(database, env, request)
    }
}
