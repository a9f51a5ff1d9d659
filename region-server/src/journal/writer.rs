//! The journal thread: takes what is queued, writes it, syncs once, confirms the lease, reports.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use horizon_handoff::mutant::{self, Mutant};
use horizon_model::{HandoffId, Tick};
use horizon_service::exit;
use tracing::error;

use super::record::{JournalRecord, Snapshot, Staged, TickRecord};
use super::segment::{JournalError, Segment};

/// Time between two questions about a lease that the store did not confirm.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);
/// Ticks that are acknowledged before one is written, where that guard is off.
const LAZY_TICKS: usize = 60;
/// Ticks that may wait for the disk: more than a minute at 30 Hz.
const QUEUE: usize = 2048;

/// Asks the store whether the lease is still ours. Called on the journal thread after each sync.
pub trait Fence: Send {
    /// `Ok` when the lease is certain to be current.
    fn confirm(&mut self) -> Result<(), FenceError>;
}

/// Why a lease could not be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceError {
    /// Another holder has a higher epoch: nothing written since may be acknowledged, ever.
    Lost,
    /// The store does not answer; the next batch asks again.
    Unreachable,
}

/// What the journal thread reports.
#[derive(Debug)]
pub enum Written {
    /// The states of these attempts are durable; whose lease is current is judged by the store when it is
    /// asked to name them.
    Staged(Vec<HandoffId>),
    /// Everything up to this tick is durable and was written under a current lease.
    Durable(Tick),
    /// Written and synced, but the lease could not be confirmed.
    Unconfirmed,
    /// The lease is lost.
    Lost,
    /// The disk failed. The process must end: it cannot know what was kept.
    Failed(JournalError),
}

enum Job {
    Tick(Box<TickRecord>),
    Rotate(Box<Snapshot>, Vec<Staged>),
    Stage(Vec<Staged>),
    /// Nothing to write; confirm and report up to here.
    Mark(Tick),
}

/// The tick thread's handle to the journal.
pub struct JournalWriter {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The queue to the disk is full for over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is more than {QUEUE} ticks behind; the disk does not keep up")]
pub struct JournalBehind;

impl JournalWriter {
    /// Starts the thread. `report` is called on it.
    pub fn start(
        segment: Segment,
        fence: Box<dyn Fence>,
        part_bytes: u64,
        report: Box<dyn Fn(Written) + Send>,
        wants_snapshot: Box<dyn Fn() + Send>,
    ) -> Self {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                exit::unless_panic("journal", || {
                    run(segment, fence, part_bytes, &queue, &*report, &*wants_snapshot);
                });
            })
            .expect("a thread can be started");
        Self { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Queues one tick's record.
    ///
    /// # Errors
    ///
    /// [`JournalBehind`]; then the region must stop rather than run ahead of its disk.
    pub fn tick(&self, record: TickRecord) -> Result<(), JournalBehind> {
        self.send(Job::Tick(Box::new(record)))
    }

    /// Queues a snapshot that starts a new part, with the states whose fate is open.
    ///
    /// # Errors
    ///
    /// As [`Self::tick`].
    pub fn rotate(&self, snapshot: Snapshot, staged: Vec<Staged>) -> Result<(), JournalBehind> {
        self.send(Job::Rotate(Box::new(snapshot), staged))
    }

    /// Queues states that a record may name.
    ///
    /// # Errors
    ///
    /// As [`Self::tick`].
    pub fn stage(&self, staged: Vec<Staged>) -> Result<(), JournalBehind> {
        self.send(Job::Stage(staged))
    }

    /// Asks for a report up to `tick` although it has no record.
    ///
    /// # Errors
    ///
    /// As [`Self::tick`].
    pub fn mark(&self, tick: Tick) -> Result<(), JournalBehind> {
        self.send(Job::Mark(tick))
    }

    fn send(&self, job: Job) -> Result<(), JournalBehind> {
        let jobs = self.jobs.as_ref().expect("the sender lives until drop");
        match jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(JournalBehind),
            // The thread reported `Failed` before it ended.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

impl Drop for JournalWriter {
    /// Waits until everything queued is durable.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the journal thread panicked");
        }
    }
}

fn run(
    mut segment: Segment,
    mut fence: Box<dyn Fence>,
    part_bytes: u64,
    queue: &Receiver<Job>,
    report: &dyn Fn(Written),
    wants_snapshot: &dyn Fn(),
) {
    let mut asked = false;
    let mut unwritten = Vec::new();
    let mut newest = Tick::default();
    let mut unconfirmed = false;
    // The first part replaces those of earlier holders.
    let mut rotated = true;
    loop {
        // What is written and not confirmed is asked about again, also where nothing more is written.
        let first =
            if unconfirmed { queue.recv_timeout(ASK_AGAIN) } else { queue.recv().map_err(Into::into) };
        let first = match first {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut dirty = false;
        let mut staged_now = Vec::new();
        let mut confirm = first.is_none() || unconfirmed;
        for job in first.into_iter().chain(queue.try_iter()) {
            confirm |= !matches!(job, Job::Stage(_));
            let result = match job {
                Job::Stage(staged) => {
                    staged_now.extend(staged.iter().map(|one| one.handoff));
                    dirty = true;
                    let staged = if mutant::is_off(Mutant::MoveWithoutState) { Vec::new() } else { staged };
                    segment.append(&JournalRecord::Staged(staged))
                }
                Job::Tick(record) if mutant::is_off(Mutant::AckBeforeWrite) => {
                    report(Written::Durable(record.tick));
                    unwritten.push(record);
                    let due = if unwritten.len() < LAZY_TICKS { 0 } else { LAZY_TICKS };
                    dirty |= due > 0;
                    let mut due = unwritten.drain(..due);
                    due.try_for_each(|record| segment.append(&JournalRecord::Tick(*record)))
                }
                Job::Tick(record) => {
                    newest = newest.max(record.tick);
                    dirty = true;
                    segment.append(&JournalRecord::Tick(*record))
                }
                Job::Rotate(snapshot, staged) => {
                    asked = false;
                    dirty = false;
                    rotated = true;
                    segment.rotate(*snapshot, &staged)
                }
                Job::Mark(tick) => {
                    newest = newest.max(tick);
                    Ok(())
                }
            };
            if let Err(error) = result
                && !mutant::is_off(Mutant::FailedWriteCounts)
            {
                return report(Written::Failed(error));
            }
        }
        if dirty
            && let Err(error) = segment.sync()
            && !mutant::is_off(Mutant::FailedWriteCounts)
        {
            return report(Written::Failed(error));
        }
        if !staged_now.is_empty() {
            report(Written::Staged(staged_now));
        }
        if segment.part_bytes() > part_bytes && !asked {
            asked = true;
            wants_snapshot();
        }
        if !confirm {
            continue;
        }
        match fence.confirm() {
            Ok(()) => {
                unconfirmed = false;
                // Only the holder may remove what a successor may be reading.
                if std::mem::take(&mut rotated)
                    && let Err(error) = segment.remove_older()
                {
                    return report(Written::Failed(error));
                }
                report(Written::Durable(newest));
            }
            Err(FenceError::Lost) => report(Written::Lost),
            Err(FenceError::Unreachable) => {
                unconfirmed = true;
                report(Written::Unconfirmed);
            }
        }
    }
}
