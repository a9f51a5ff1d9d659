//! The real `store` process: killed, stopped, started twice.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use horizon_handoff::{CasRequest, EntityKey, Kept};
use horizon_model::{PlayerId, WorkerId};
use horizon_state_store::{Env, LeaseError, Remote, Sqlite, StateStore, StoreError};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::fixture::WORLD;
use crate::rows::{A, TTL, first, report_until_settled, won};

/// For anything a process does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `store`; killed when dropped.
struct Process(Child);

impl Process {
    fn start(folder: &Path) -> Self {
        Self(Command::from(command(folder)).kill_on_drop(true).spawn().expect("starts"))
    }

    fn id(&self) -> u32 {
        self.0.id().expect("runs")
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().cast_signed()).expect("not zero");
        kill_process(id, signal).expect("the signal is delivered");
    }

    /// Waits for the end that was asked for.
    async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.0.wait()).await;
        ended.expect("the store ends").expect("can be waited for")
    }

    async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }
}

fn command(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_store"));
    command.current_dir(folder).stderr(Stdio::piped());
    command.args(["--socket", "store.sock", "--database", "world.sqlite", "--admin", "127.0.0.1:0"]);
    command
}

/// Waits for the socket, longer than one call would.
async fn connect(folder: &Path) -> Remote {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Remote::connect(&folder.join("store.sock"), WORLD).await {
            Ok(remote) => return remote,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test]
async fn c10_an_answered_cas_survives_sigkill() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut process = Process::start(folder.path());
    let store = connect(folder.path()).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let mut answered = 0_u128;
    for round in 0..3 {
        // Writers that do not stop when the process does: some of their answers get lost.
        let (told, mut wins) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..4_u128)
            .map(|writer| {
                let (store, told) = (store.clone(), told.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let id = (round << 64) | (writer << 32) | n;
                        let key = EntityKey::Player(PlayerId(id));
                        let Ok(outcomes) = store.cas(vec![first(key, &mine, id + 1)]).await else {
                            return;
                        };
                        let record = won(outcomes[0].clone());
                        if told.send((key, record)).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(told);
        let mut records = Vec::new();
        while records.len() < 100 {
            records.push(wins.recv().await.expect("the writers go on"));
        }
        process.kill().await;
        while let Some(record) = wins.recv().await {
            records.push(record);
        }
        for writer in writers {
            writer.await.expect("no writer panics");
        }
        process = Process::start(folder.path());
        answered += records.len() as u128;
        for (key, record) in records {
            assert_eq!(store.record(key).await, Ok(Some(record)), "the client came back by itself");
        }
        report_until_settled(&store, &mine).await;
        assert_eq!(store.confirm(&mine).await, Ok(()), "and the lease with it");
    }
    assert!(answered >= 300);
}

#[tokio::test]
async fn sigterm_answers_and_ends_cleanly() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut process = Process::start(folder.path());
    let store = connect(folder.path()).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let batch = |n: u128| {
        (0..50).map(|id| first(EntityKey::Player(PlayerId((n << 64) | id)), &mine, id + 1)).collect()
    };
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (store, batch) = (store.clone(), batch(n));
            tokio::spawn(async move { store.cas(batch).await })
        })
        .collect();
    process.signal(Signal::TERM);
    let status = process.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(!folder.path().join("store.sock").exists(), "the socket is gone");
    assert_eq!(std::fs::metadata(folder.path().join("world.sqlite-wal")).map_or(0, |log| log.len()), 0);
    process = Process::start(folder.path());
    report_until_settled(&store, &mine).await;
    for (n, call) in (0..).zip(calls) {
        // Answered before the end, or after the next start; never half.
        match call.await.expect("no call panics") {
            Ok(outcomes) => outcomes.into_iter().for_each(|outcome| drop(won(outcome))),
            Err(StoreError::Unknown | StoreError::Unavailable(_) | StoreError::Unsettled) => {
                for outcome in store.cas(batch(n)).await.expect("the store is back") {
                    won(outcome);
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(store.owned(A).await.expect("answers").len(), 1000);
    process.kill().await;
}

#[tokio::test]
async fn calls_during_an_outage() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut process = Process::start(folder.path());
    let store = connect(folder.path()).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    process.kill().await;
    // Asked while nobody is there, answered when somebody is.
    let confirm = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                match store.confirm(&mine).await {
                    Err(LeaseError::Store(StoreError::Unsettled)) => {
                        report_until_settled(&store, &mine).await
                    }
                    other => break other,
                }
            }
        }
    });
    let write = tokio::spawn({
        let store = store.clone();
        let request = first(EntityKey::Player(PlayerId(1)), &mine, 1);
        async move {
            loop {
                match store.cas(vec![request.clone()]).await {
                    Ok(outcomes) => break outcomes[0].clone(),
                    Err(StoreError::Unsettled) => report_until_settled(&store, &mine).await,
                    // It left before the break was noticed.
                    Err(error) => assert_eq!(error, StoreError::Unknown),
                }
            }
        }
    });
    tokio::task::yield_now().await;
    process = Process::start(folder.path());
    assert_eq!(confirm.await.expect("no call panics"), Ok(()));
    won(write.await.expect("no call panics"));
    process.kill().await;
    let gone = store.confirm(&mine).await;
    assert!(matches!(gone, Err(LeaseError::Store(StoreError::Unavailable(_)))), "{gone:?}");
}

#[tokio::test]
async fn a_stopped_store_holds_nobody() {
    let folder = TempDir::new().expect("a temporary folder");
    let process = Process::start(folder.path());
    let store = connect(folder.path()).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    process.signal(Signal::STOP);
    let key = EntityKey::Player(PlayerId(1));
    let (confirmed, written) = tokio::join!(store.confirm(&mine), store.cas(vec![first(key, &mine, 1)]));
    assert!(matches!(confirmed, Err(LeaseError::Store(StoreError::Unavailable(_)))), "{confirmed:?}");
    assert_eq!(written, Err(StoreError::Unknown));
    process.signal(Signal::CONT);
    let again = store.cas(vec![first(key, &mine, 1)]).await.expect("the store goes on");
    assert_eq!(won(again[0].clone()).epoch.count(), 1, "both were the same attempt");
}

#[tokio::test]
async fn a_full_disk_ends_the_store_and_loses_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let store_command = command(folder.path());
    let mut limited = Command::new("sh");
    // A write beyond 512 KiB or 1 MiB (shells differ) of a file fails instead of killing the process.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""]);
    limited.arg(store_command.get_program()).args(store_command.get_args());
    limited.current_dir(folder.path()).stderr(Stdio::piped()).kill_on_drop(true);
    let limited = limited.spawn().expect("starts");
    let store = connect(folder.path()).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let mut records = Vec::new();
    let failed = loop {
        let key = EntityKey::Player(PlayerId(records.len() as u128));
        let request = CasRequest { capsule: Kept::Here(vec![1; 16 * 1024]), ..first(key, &mine, 1) };
        match store.cas(vec![request]).await {
            Ok(outcomes) => records.push((key, won(outcomes[0].clone()))),
            Err(error) => break error,
        }
        assert!(records.len() < 1000, "the limit does not work");
    };
    assert_eq!(failed, StoreError::Unknown);
    let output = tokio::time::timeout(PATIENCE, limited.wait_with_output()).await;
    let output = output.expect("ends by itself").expect("can be waited for");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("the database failed"), "{said}");
    let _restarted = Process::start(folder.path());
    for (key, record) in records {
        assert_eq!(store.record(key).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn two_stores_never_share_a_file_or_a_socket() {
    let folder = TempDir::new().expect("a temporary folder");
    let process = Process::start(folder.path());
    let store = connect(folder.path()).await;
    let refused = |arguments: &[&str]| {
        let output = command(folder.path()).args(arguments).output().expect("runs");
        assert_ne!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).expect("text")
    };
    let same = refused(&[]);
    assert!(same.contains(&format!("in use by process {}; stop that store", process.id())), "{same}");
    let socket = std::process::Command::new(env!("CARGO_BIN_EXE_store"))
        .current_dir(folder.path())
        .args(["--socket", "store.sock", "--database", "other.sqlite", "--admin", "127.0.0.1:0"])
        .output()
        .expect("runs");
    let socket = String::from_utf8(socket.stderr).expect("text");
    assert!(socket.contains("store.sock is served by a live process"), "{socket}");
    let error = Sqlite::open(&folder.path().join("world.sqlite"), WORLD, Env::system()).expect_err("locked");
    assert!(matches!(error, StoreError::Setup(_)), "{error}");
    assert_eq!(store.generation().await, Ok(1), "the first one goes on");
}

#[tokio::test]
async fn what_cannot_be_opened_says_who_must_do_what() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("text"), "no database, but a text of some length").expect("written");
    let open = |name: &str| {
        let opened = Sqlite::open(&folder.path().join(name), WORLD, Env::system());
        opened.expect_err("cannot be opened").to_string()
    };
    assert!(open("missing/world.sqlite").contains("create the folder"), "{}", open("missing/world.sqlite"));
    assert!(open("text").contains("not a database"), "{}", open("text"));
    let newer = rusqlite::Connection::open(folder.path().join("newer")).expect("opens");
    newer.execute_batch("CREATE TABLE t (a); PRAGMA user_version = 9").expect("written");
    drop(newer);
    assert!(open("newer").contains("has format 9, this build reads 2"), "{}", open("newer"));
    for address in ["redis:x", "unix", ""] {
        let error = horizon_state_store::open(address, WORLD).await.err().expect("no address");
        assert!(error.to_string().contains("write unix:PATH"), "{error}");
    }
    assert!(horizon_state_store::open("memory:", WORLD).await.is_ok());
    let file = format!("sqlite:{}", folder.path().join("own.sqlite").display());
    let store = horizon_state_store::open(&file, WORLD).await.expect("opens");
    let made = std::fs::metadata(folder.path().join("own.sqlite")).expect("there");
    assert_eq!(made.permissions().mode() & 0o777, 0o600, "it holds keys");
    assert_eq!(store.generation().await, Ok(1));
}
