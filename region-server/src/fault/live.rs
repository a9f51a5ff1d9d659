//! The points of the build with faults, and the line to whoever placed them.
//!
//! Lines out: `hello region PID WORKER LINK`, `reached STEP ROLE PID`, `attach PLAYER SESSION EPOCH APPLIED WORKER REGION
//! NANOSECONDS` (monotonic). Lines in: `arm STEP:ROLE:NTH:ACTION`, `disarm`, `go`.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use horizon_handoff::{Capsule, CasOutcome, CasRequest, MAX_CAPSULE_BYTES};
use horizon_link::{PeerSender, SendError};
use horizon_model::WorkerId;
use horizon_protocol::link::{EntityKey, Lane, RegionToEdge, RegionToRegion};
use rustix::process::{Signal, getpid, kill_process};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use super::armed::{Action, Armed, Role, Step};
use crate::region::{Input, Region};

static LINE: OnceLock<Line> = OnceLock::new();
static ARMED: Mutex<Vec<Armed>> = Mutex::new(Vec::new());
static DISK_FULL: AtomicBool = AtomicBool::new(false);
static LARGE_UNTIL: Mutex<Option<Instant>> = Mutex::new(None);

thread_local! {
    /// The tick thread has told an edge that a player goes on here.
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
}

struct Line {
    out: Mutex<UnixStream>,
    go: Mutex<Receiver<()>>,
    worker: WorkerId,
}

/// Arms what the environment says, and listens to the socket that it names.
///
/// # Panics
///
/// Where the environment cannot be read or the socket not be reached: a test that is not heard shows nothing.
pub(crate) fn begin(worker: WorkerId, link: SocketAddr) {
    if let Ok(name) = std::env::var("HORIZON_MUTANT") {
        horizon_handoff::mutant::switch_off(&name);
    }
    if let Ok(text) = std::env::var("HORIZON_FAULT") {
        for one in text.split(';').filter(|one| !one.trim().is_empty()) {
            armed().push(one.parse().unwrap_or_else(|error: String| panic!("HORIZON_FAULT: {error}")));
        }
    }
    let Ok(path) = std::env::var("HORIZON_FAULT_SOCKET") else { return };
    let out =
        UnixStream::connect(&path).unwrap_or_else(|error| panic!("HORIZON_FAULT_SOCKET {path}: {error}"));
    let lines = out.try_clone().expect("a socket can be had twice");
    let (going, go) = channel();
    let line = Line { out: Mutex::new(out), go: Mutex::new(go), worker };
    assert!(LINE.set(line).is_ok(), "one region server in a process");
    tell(&format!("hello region {} {worker} {link}", std::process::id()));
    let listen = move || hear(lines, &going);
    std::thread::Builder::new().name("faults".into()).spawn(listen).expect("a thread can be started");
}

fn hear(lines: UnixStream, going: &Sender<()>) {
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("arm", what) => {
                armed().push(what.parse().unwrap_or_else(|error: String| panic!("{error}")));
                tell("armed");
            }
            ("disarm", _) => armed().clear(),
            ("go", _) => {
                let _ = going.send(());
            }
            _ => panic!("{line:?} is no order"),
        }
    }
}

fn large_until() -> MutexGuard<'static, Option<Instant>> {
    LARGE_UNTIL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn armed() -> MutexGuard<'static, Vec<Armed>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(text: &str) {
    if let Some(line) = LINE.get() {
        let mut out = line.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever listened may be gone; then nobody is tested any more.
        let _ = out.write_all(format!("{text}\n").as_bytes());
    }
}

/// The action of a point, if this is the time it was armed for.
fn due(step: Step, role: Role) -> Option<Action> {
    let mut armed = armed();
    let at = armed.iter().position(|one| (one.step, one.role) == (step, role))?;
    armed[at].left -= 1;
    (armed[at].left == 0).then(|| armed.remove(at).action)
}

fn reach(step: Step, role: Role) {
    if let Some(action) = due(step, role) {
        act(step, role, action);
    }
}

fn act(step: Step, role: Role, action: Action) {
    tell(&format!("reached {} {} {}", step.name(), role.name(), std::process::id()));
    match action {
        Action::Hold => {
            if let Some(line) = LINE.get() {
                let go = line.go.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = go.recv();
            }
        }
        Action::Kill => signal(Signal::KILL),
        Action::Stop => signal(Signal::STOP),
        Action::Panic => panic!("told to panic"),
        Action::Delay(time) => {
            let (_keep, never) = channel::<()>();
            let _ = never.recv_timeout(time);
        }
        Action::DiskFull => DISK_FULL.store(true, Ordering::SeqCst),
        Action::Large(time) => *large_until() = Some(Instant::now() + time),
        Action::Repeat(_) | Action::Late(_) => {}
    }
}

fn signal(signal: Signal) {
    kill_process(getpid(), signal).expect("a process may end itself");
}

const fn is_player(key: EntityKey) -> bool {
    matches!(key, EntityKey::Player(_))
}

fn is_move(request: &CasRequest) -> bool {
    is_player(request.key) && request.expect.is_some_and(|expect| expect.region != request.guard.region)
}

/// Before the region hears something; whether it is that it won a player.
pub(crate) fn taken(input: &Input) -> bool {
    match input {
        Input::Worker(_, message) => match &**message {
            RegionToRegion::Presync(_) => reach(Step::Presync, Role::Target),
            RegionToRegion::Final(last) if is_player(last.key) => reach(Step::Final, Role::Target),
            RegionToRegion::Moved { key, .. } if is_player(*key) => reach(Step::Attached, Role::Source),
            _ => {}
        },
        Input::Cas(answers) => {
            let won = |(request, outcome): &(CasRequest, Option<CasOutcome>)| {
                is_move(request) && matches!(outcome, Some(CasOutcome::Won(_)))
            };
            if answers.iter().any(won) {
                reach(Step::Answered, Role::Target);
                return true;
            }
        }
        _ => {}
    }
    false
}

/// After the region has heard it, and before anybody is told.
pub(crate) fn handled(won: bool) {
    if won {
        reach(Step::Owner, Role::Target);
    }
}

/// After a step, before any of its effects leaves.
pub(crate) fn after_step(region: &Region) {
    if region.has_frozen_player() {
        reach(Step::Frozen, Role::Source);
    }
}

/// Sends a message, now, later, or both.
fn send(
    runtime: &Handle,
    sender: &PeerSender,
    lane: Lane,
    message: &RegionToRegion,
    point: Option<(Step, Role)>,
) -> Result<(), SendError> {
    let Some((step, role)) = point else { return sender.send(lane, message) };
    let mine = armed().iter().any(|one| {
        (one.step, one.role) == (step, role) && matches!(one.action, Action::Repeat(_) | Action::Late(_))
    });
    if !mine {
        let result = sender.send(lane, message);
        // The target has told everybody only when all its outputs are done; see `after_outputs`.
        if role == Role::Source {
            reach(step, role);
        }
        return result;
    }
    let Some(action) = due(step, role) else { return sender.send(lane, message) };
    act(step, role, action);
    let (now, after) = match action {
        Action::Repeat(after) => (true, after),
        Action::Late(after) => (false, after),
        _ => return sender.send(lane, message),
    };
    let result = if now { sender.send(lane, message) } else { Ok(()) };
    let (sender, message) = (sender.clone(), message.clone());
    runtime.spawn(async move {
        tokio::time::sleep(after).await;
        let _ = sender.send(lane, &message);
    });
    result
}

pub(crate) fn to_worker(
    runtime: &Handle,
    sender: &PeerSender,
    lane: Lane,
    message: &RegionToRegion,
) -> Result<(), SendError> {
    let point = match message {
        RegionToRegion::Presync(_) => Some((Step::Presync, Role::Source)),
        RegionToRegion::Final(last) if is_player(last.key) => Some((Step::Final, Role::Source)),
        RegionToRegion::Moved { key, .. } if is_player(*key) => Some((Step::Attached, Role::Target)),
        RegionToRegion::Post(_) => Some((Step::Post, Role::Source)),
        _ => None,
    };
    send(runtime, sender, lane, message, point)
}

pub(crate) fn to_edge(sender: &PeerSender, lane: Lane, message: &RegionToEdge) -> Result<(), SendError> {
    let RegionToEdge::Attach(record) = message else { return sender.send(lane, message) };
    if let Some(line) = LINE.get() {
        let now = clock_gettime(ClockId::Monotonic);
        tell(&format!(
            "attach {:032x} {:032x} {} {} {} {} {}",
            record.player.0,
            record.session.0,
            record.epoch.0,
            record.applied,
            line.worker.0,
            record.region.0,
            now.tv_sec * 1_000_000_000 + now.tv_nsec,
        ));
    }
    ATTACHED.set(ATTACHED.get() || record.continues);
    sender.send(lane, message)
}

/// Before the store is asked.
pub(crate) fn will_ask(requests: &[CasRequest]) {
    if requests.iter().any(is_move) {
        reach(Step::Asked, Role::Target);
    }
}

/// After everything that the region said was done.
pub(crate) fn after_outputs() {
    if ATTACHED.take() {
        reach(Step::Attached, Role::Target);
    }
}

/// A final state that is to come again or late does not build upon a copy that is gone by then.
pub(crate) fn sends_whole_finals() -> bool {
    armed()
        .iter()
        .any(|one| one.step == Step::Final && matches!(one.action, Action::Repeat(_) | Action::Late(_)))
}

/// In place of a write or a sync that fails.
pub(crate) fn disk() -> io::Result<()> {
    if DISK_FULL.load(Ordering::SeqCst) { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
}

/// What a player takes along, which a test makes too much for a while.
pub(crate) fn luggage(mut capsule: Capsule) -> Capsule {
    if large_until().is_some_and(|until| Instant::now() < until) {
        capsule.insert("fault", vec![0; MAX_CAPSULE_BYTES]);
    }
    capsule
}
