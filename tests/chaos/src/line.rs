//! The line to the region servers of a world: who they are, what they reached, what they are told.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use horizon_history::Event;
use horizon_model::{Epoch, PlayerId, RegionId, SessionId, WorkerId};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Everything observed, with the nanoseconds of the monotonic clock at which it happened.
#[derive(Debug, Clone, Default)]
pub struct Notebook(Arc<Mutex<Vec<(u64, Event)>>>);

/// A region server reached the point that was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Which process.
    pub pid: u32,
}

/// The player's newest attach: which process said last that it owns.
pub type Owners = BTreeMap<PlayerId, (Epoch, WorkerId, RegionId)>;

/// The listening end.
#[derive(Debug)]
pub struct Line {
    seats: Arc<Mutex<Seats>>,
    reached: mpsc::UnboundedReceiver<Reached>,
    armed: mpsc::UnboundedReceiver<u32>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Seats {
    speak: BTreeMap<u32, mpsc::UnboundedSender<String>>,
    /// Link port by process, which tells the roads apart.
    ports: BTreeMap<u32, u16>,
    owners: Owners,
}

impl Notebook {
    /// Notes an event that happened at `ns` of the monotonic clock.
    pub fn note(&self, ns: u64, event: Event) {
        self.lock().push((ns, event));
    }

    /// Everything, in the order in which it happened.
    pub fn sorted(&self) -> Vec<(u64, Event)> {
        let mut events = self.lock().clone();
        events.sort_by_key(|(ns, _)| *ns);
        events
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Event)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Listens at `path`.
    ///
    /// # Errors
    ///
    /// Where it cannot.
    pub fn listen(path: &Path, notes: &Notebook) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let seats = Arc::new(Mutex::new(Seats::default()));
        let (tell_reached, reached) = mpsc::unbounded_channel();
        let (tell_armed, armed) = mpsc::unbounded_channel();
        let (theirs, notes) = (Arc::clone(&seats), notes.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let hearing = Hearing {
                    seats: Arc::clone(&theirs),
                    notes: notes.clone(),
                    reached: tell_reached.clone(),
                    armed: tell_armed.clone(),
                };
                tokio::spawn(hearing.listen(stream));
            }
        });
        Ok(Self { seats, reached, armed, task: task.abort_handle() })
    }

    /// Tells every region server; how many there are.
    pub fn tell_all(&self, order: &str) -> usize {
        let seats = lock(&self.seats);
        seats.speak.values().filter(|speak| speak.send(format!("{order}\n")).is_ok()).count()
    }

    /// Tells one region server.
    pub fn tell(&self, pid: u32, order: &str) {
        if let Some(speak) = lock(&self.seats).speak.get(&pid) {
            let _ = speak.send(format!("{order}\n"));
        }
    }

    /// Whether a region server still lives.
    pub fn is_there(&self, pid: u32) -> bool {
        lock(&self.seats).speak.contains_key(&pid)
    }

    /// The port under which a region server dials and is dialled.
    pub fn port(&self, pid: u32) -> Option<u16> {
        lock(&self.seats).ports.get(&pid).copied()
    }

    /// Who said last that it owns whom, under the highest epoch.
    pub fn owners(&self) -> Owners {
        lock(&self.seats).owners.clone()
    }

    /// Waits until `count` region servers have armed what they were told.
    pub async fn armed(&mut self, count: usize) {
        for _ in 0..count {
            self.armed.recv().await;
        }
    }

    /// The next point reached.
    pub async fn reached(&mut self) -> Option<Reached> {
        self.reached.recv().await
    }

    /// A point reached that nobody has waited for.
    pub fn reached_already(&mut self) -> Option<Reached> {
        self.reached.try_recv().ok()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Hearing {
    seats: Arc<Mutex<Seats>>,
    notes: Notebook,
    reached: mpsc::UnboundedSender<Reached>,
    armed: mpsc::UnboundedSender<u32>,
}

impl Hearing {
    async fn listen(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let (speak, mut orders) = mpsc::unbounded_channel::<String>();
        let writing = tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                if write.write_all(order.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let mut lines = BufReader::new(read).lines();
        let mut who = None;
        while let Ok(Some(line)) = lines.next_line().await {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["hello", "region", pid, _, link] => {
                    let Ok(pid) = pid.parse() else { continue };
                    who = Some(pid);
                    let mut seats = lock(&self.seats);
                    seats.speak.insert(pid, speak.clone());
                    let port = link.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                    seats.ports.extend(port.map(|port| (pid, port)));
                }
                ["armed"] => {
                    let _ = self.armed.send(who.unwrap_or_default());
                }
                ["reached", _, _, pid] => {
                    let _ = self.reached.send(Reached { pid: pid.parse().unwrap_or_default() });
                }
                ["attach", rest @ ..] => {
                    let _ = self.attach(rest);
                }
                _ => {}
            }
        }
        if let Some(pid) = who {
            lock(&self.seats).speak.remove(&pid);
        }
        writing.abort();
    }

    /// `attach PLAYER SESSION EPOCH APPLIED WORKER REGION NANOSECONDS`.
    fn attach(&self, words: &[&str]) -> Option<()> {
        let &[player, session, epoch, applied, worker, region, ns] = words else { return None };
        let player = PlayerId(u128::from_str_radix(player, 16).ok()?);
        let session = SessionId(u128::from_str_radix(session, 16).ok()?);
        let (epoch, worker) = (Epoch(epoch.parse().ok()?), WorkerId(worker.parse().ok()?));
        let (region, ns) = (RegionId(region.parse().ok()?), ns.parse().ok()?);
        let who = horizon_history::Who::Player(player);
        let applied = applied.parse().ok()?;
        self.notes.note(ns, Event::Acted { who, epoch, worker, source: horizon_history::Source::Edge });
        self.notes.note(ns, Event::Began { player, session, epoch, applied });
        let mut seats = lock(&self.seats);
        let owner = seats.owners.entry(player).or_insert((epoch, worker, region));
        if epoch >= owner.0 {
            *owner = (epoch, worker, region);
        }
        Some(())
    }
}

fn lock(seats: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}
