//! A region server's disk: real segment files, and what a crash leaves of them.
//!
//! The writer is the real one's loop on virtual time: append what is queued, sync once, ask the store
//! whether the lease is still ours, report.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use horizon_history::{Event, Source};
use horizon_model::{Epoch, HandoffId, Tick, WorkerId};
use horizon_protocol::link::EntityKey;
use horizon_region_server::journal::{JournalRecord, Recovered, Segment, Snapshot, Staged, TickRecord};
use horizon_region_server::region::Input;
use horizon_state_store::{Reply, Request};

use crate::dice::Dice;
use crate::network::Node;
use crate::options::Broken;
use crate::store::{Then, who};
use crate::world::{Happening, World};

/// Pause before an unconfirmed lease is asked about again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// A part is followed by the next one beyond this size: small, so that runs see many.
const PART_BYTES: u64 = 192 * 1024;
/// How far behind its word a lying disk is.
const LIE: Duration = Duration::from_secs(1);
const SLOW: (u64, u64) = (50_000, 400_000);

enum Job {
    Tick(Box<TickRecord>),
    Rotate(Box<Snapshot>, Vec<Staged>),
    Stage(Staged),
    Mark(Tick),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Syncing,
    Confirming,
    Waiting,
}

pub(crate) struct Disk {
    segment: Segment,
    lease: Epoch,
    jobs: VecDeque<Job>,
    state: State,
    newest: Tick,
    /// Bytes of the current part that no crash takes away.
    synced: u64,
    rotated: bool,
    asked: bool,
    /// Final states that are being written.
    staged: Vec<HandoffId>,
    /// Something written needs a confirmed lease.
    confirms: bool,
    /// Effects written and not confirmed.
    effects: Vec<(EntityKey, Epoch)>,
    /// What a liar has really written, and when.
    past: VecDeque<(Duration, u64)>,
}

impl Disk {
    pub(crate) fn create(folder: &Path, lease: Epoch, recovered: &Recovered) -> Self {
        let segment = Segment::create(folder, lease, recovered).expect("a folder of our own");
        Self {
            synced: segment.part_bytes(),
            segment,
            lease,
            jobs: VecDeque::new(),
            state: State::Idle,
            newest: Tick::default(),
            rotated: true,
            asked: false,
            staged: Vec::new(),
            confirms: false,
            effects: Vec::new(),
            past: VecDeque::new(),
        }
    }

    /// Writes what is queued; whether there is something to sync or to confirm.
    fn write(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::Tick(record) => {
                    self.newest = self.newest.max(record.tick);
                    let effects = record.puts.iter().filter(|put| put.epoch > Epoch::ZERO);
                    self.effects.extend(effects.map(|put| (put.key, put.epoch)));
                    self.segment.append(&JournalRecord::Tick(*record)).expect("a folder of our own");
                }
                Job::Stage(staged) => {
                    self.staged.push(staged.handoff);
                    self.segment.append(&JournalRecord::Staged(vec![staged])).expect("a folder of our own");
                    continue;
                }
                Job::Rotate(snapshot, staged) => {
                    (self.asked, self.rotated) = (false, true);
                    self.segment.rotate(*snapshot, &staged).expect("a folder of our own");
                    self.synced = self.segment.part_bytes();
                    self.past.clear();
                }
                Job::Mark(tick) => self.newest = self.newest.max(tick),
            }
            self.confirms = true;
        }
    }

    /// The power goes: of what was not synced a part may be there, and end in the middle of a frame.
    pub(crate) fn crash(&self, dice: &mut Dice, now: Duration, lies: bool) {
        let written = self.segment.part_bytes();
        let mut certain = self.synced;
        if lies {
            let past = self.past.iter().rev().find(|(at, _)| *at + LIE <= now);
            certain =
                past.map_or(certain.min(self.past.front().map_or(certain, |(_, bytes)| *bytes)), |p| p.1);
        }
        let kept = if lies { certain } else { certain + dice.below(written - certain + 1) };
        let file = OpenOptions::new().write(true).open(self.segment.path());
        // A successor may have removed what it has read.
        if let Ok(file) = file {
            file.set_len(kept).expect("a file of our own");
        }
    }
}

impl World {
    pub(crate) fn journal_tick(&mut self, id: WorkerId, record: Box<TickRecord>) {
        self.journal(id, Job::Tick(record));
    }

    pub(crate) fn journal_mark(&mut self, id: WorkerId, tick: Tick) {
        self.journal(id, Job::Mark(tick));
    }

    pub(crate) fn journal_rotate(&mut self, id: WorkerId, snapshot: Box<Snapshot>, staged: Vec<Staged>) {
        self.journal(id, Job::Rotate(snapshot, staged));
    }

    pub(crate) fn journal_stage(&mut self, id: WorkerId, staged: Staged) {
        self.journal(id, Job::Stage(staged));
    }

    fn journal(&mut self, id: WorkerId, job: Job) {
        let Some(disk) = self.disk(id) else { return };
        disk.jobs.push_back(job);
        if disk.state == State::Idle {
            self.begin_sync(id);
        }
    }

    fn disk(&mut self, id: WorkerId) -> Option<&mut Disk> {
        self.workers.get_mut(&id)?.serving.as_mut().map(|serving| &mut serving.disk)
    }

    fn begin_sync(&mut self, id: WorkerId) {
        let now = self.now;
        let slow = self.workers.get(&id).is_some_and(|worker| now < worker.slow_disk_until);
        let Some(disk) = self.disk(id) else { return };
        disk.write();
        disk.state = State::Syncing;
        disk.past.push_back((now, disk.segment.part_bytes()));
        while disk.past.len() > 2 && disk.past[1].0 + LIE <= now {
            disk.past.pop_front();
        }
        let lease = disk.lease;
        let range = if slow { SLOW } else { self.profile.disk };
        let delay = self.dice.micros(range);
        self.plan(delay, Happening::Synced(id, lease));
    }

    /// A sync returned.
    pub(crate) fn synced(&mut self, id: WorkerId, lease: Epoch) {
        let no_fence = self.options.broken == Some(Broken::NoFence);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Synced(id, lease));
            return;
        }
        if std::mem::take(&mut worker.disk_fails) {
            self.kill_worker(id, "its disk failed");
            return;
        }
        let Some(disk) = self.disk(id).filter(|disk| disk.lease == lease) else { return };
        disk.synced = disk.segment.part_bytes();
        let wants = disk.segment.part_bytes() > PART_BYTES && !disk.asked;
        disk.asked |= wants;
        let newest = disk.newest;
        let staged = std::mem::take(&mut disk.staged);
        let confirms = disk.confirms;
        disk.state = State::Confirming;
        if !staged.is_empty() {
            self.tell_worker(id, Input::Staged(staged));
        }
        if wants {
            self.tell_worker(id, Input::WantSnapshot);
        }
        if !confirms {
            self.go_on_writing(id);
            return;
        }
        if no_fence {
            self.confirm_answer(id, newest, Some(Reply::Done));
            return;
        }
        let Some(lease) = self.workers.get(&id).and_then(|worker| Some(worker.serving.as_ref()?.lease))
        else {
            return;
        };
        self.ask(Node::Worker(id), Request::Confirm(lease), Then::Confirm(id, newest));
    }

    pub(crate) fn confirm_answer(&mut self, id: WorkerId, tick: Tick, reply: Option<Reply>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            let answer = Happening::Answer(Then::Confirm(id, tick), reply.map(Box::new));
            worker.missed.push(answer);
            return;
        }
        let Some(disk) = self.disk(id) else { return };
        match reply {
            Some(Reply::Done) => {
                disk.confirms = false;
                if std::mem::take(&mut disk.rotated) {
                    disk.segment.remove_older().expect("a folder of our own");
                }
                let effects = std::mem::take(&mut disk.effects);
                for (key, epoch) in effects {
                    let (who, worker, source) = (who(key), id, Source::Journal);
                    self.observe(&Event::Acted { who, epoch, worker, source });
                }
                self.tell_worker(id, Input::Durable(tick));
                self.go_on_writing(id);
            }
            Some(Reply::Lost) => {
                self.tell_worker(id, Input::LeaseLost);
                self.go_on_writing(id);
            }
            _ => {
                disk.state = State::Waiting;
                let lease = disk.lease;
                self.plan(ASK_AGAIN, Happening::AskAgain(id, lease));
            }
        }
    }

    fn go_on_writing(&mut self, id: WorkerId) {
        let Some(disk) = self.disk(id) else { return };
        disk.state = State::Idle;
        if !disk.jobs.is_empty() {
            self.begin_sync(id);
        }
    }

    /// Time to ask about an unconfirmed lease again, with whatever came since.
    pub(crate) fn ask_again(&mut self, id: WorkerId, lease: Epoch) {
        let waits = self.disk(id).is_some_and(|disk| disk.lease == lease && disk.state == State::Waiting);
        if waits {
            self.begin_sync(id);
        }
    }
}
