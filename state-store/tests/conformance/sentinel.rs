//! A real sentinel, which promotes a replica that lacks the last writes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use horizon_model::{Epoch, Tick, WorkerId};
use horizon_state_store::{Known, LeaseError, Redis, Report, StateStore, StoreError};
use tempfile::TempDir;

use crate::fixture::WORLD;
use crate::rows::{A, TTL, after, cas, first, player, report_until_settled, won};
use crate::server::{DURABLE, Server, free_port};

/// For servers to find each other, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two questions to a server that tells nobody by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A running sentinel; killed when dropped.
struct Sentinel {
    _folder: TempDir,
    child: Child,
    port: u16,
}

impl Sentinel {
    /// Looks after the server at `master`.
    fn start(master: u16) -> Self {
        let (folder, port) = (TempDir::new().expect("a temporary folder"), free_port());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor world 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds world 1000\nsentinel failover-timeout world 5000\n"
        );
        std::fs::write(&file, text).expect("written");
        // The same program as `redis-sentinel`.
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        Self { _folder: folder, child, port }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server(port: u16, more: &[&str]) -> Option<Server> {
    Server::start_with(&[&DURABLE[..], &["--bind", "127.0.0.1", "--port", &port.to_string()], more].concat())
}

/// Asks the server or sentinel at `port` until the answer has this text.
async fn until(port: u16, question: &[&str], text: &str) {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("an address");
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    let asked = async {
        loop {
            looks.tick().await;
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                let mut command = redis::cmd(question[0]);
                command.arg(&question[1..]);
                let answer = command.query_async::<redis::Value>(&mut connection).await;
                if answer.is_ok_and(|answer| format!("{answer:?}").contains(text)) {
                    return;
                }
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    assert!(answered.is_ok(), "{question:?} at {port} never answers {text}");
}

#[tokio::test]
async fn a_failover_that_loses_writes_is_a_new_generation() {
    let (first_port, second_port) = (free_port(), free_port());
    let Some(mut old) = server(first_port, &[]) else { return };
    let Some(_new) = server(second_port, &["--replicaof", "127.0.0.1", &first_port.to_string()]) else {
        return;
    };
    until(second_port, &["INFO", "replication"], "master_link_status:up").await;
    let sentinel = Sentinel::start(first_port);
    until(sentinel.port, &["INFO", "sentinel"], "status=ok").await;
    until(sentinel.port, &["SENTINEL", "replicas", "world"], &second_port.to_string()).await;

    let address = format!("redis+sentinel://127.0.0.1:{}/world", sentinel.port);
    let store = Redis::connect(&address, WORLD).await.expect("the sentinel knows it");
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let mut record = won(cas(&store, first(player(1), &mine, 1)).await);
    replicated(first_port).await;
    // Answered, and not copied.
    detach(first_port, second_port).await;
    for handoff in 2..12 {
        record = won(cas(&store, after(&record, player(1), &mine, handoff)).await);
    }
    old.kill();

    let renewed = async {
        loop {
            match store.renew(&mine, TTL, Tick(1)).await {
                Err(LeaseError::Store(StoreError::Unsettled)) => return,
                Err(LeaseError::Store(StoreError::Unavailable(_) | StoreError::Unknown)) => {}
                other => panic!("a promoted server decides nothing before it has heard: {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the replica is promoted");
    let known =
        |whole: bool| Known { key: player(1), epoch: record.epoch, record: whole.then(|| record.clone()) };
    let report = |whole: bool| Report {
        lease: Some(mine),
        ttl: TTL,
        entities: vec![known(whole)],
        ..Report::default()
    };
    let told = store.report(report(false)).await.expect("it is current");
    assert_eq!(told.missing, [player(1)], "the replica lacks what it was not sent");
    store.report(report(true)).await.expect("it is current");
    report_until_settled(&store, &mine).await;
    assert_eq!(store.generation().await, Ok(2));
    assert_eq!(store.record(player(1)).await, Ok(Some(record.clone())), "nothing that was answered is lost");
    let next = won(cas(&store, after(&record, player(1), &mine, 60)).await);
    assert_eq!(next.epoch, Epoch::new(2, record.epoch.count() + 1));
}

/// Closes the connection of the replica, which is not let in again: with a password where none is wanted.
async fn detach(master: u16, replica: u16) {
    let mut connection = control(replica).await;
    let mut password = redis::cmd("CONFIG");
    password.arg("SET").arg("masterauth").arg("wrong");
    password.query_async::<()>(&mut connection).await.expect("it is allowed");
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("replica");
    assert_eq!(kill.query_async::<u32>(&mut control(master).await).await.expect("it is allowed"), 1);
    until(replica, &["INFO", "replication"], "master_link_status:down").await;
}

async fn control(port: u16) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("an address");
    client.get_multiplexed_async_connection().await.expect("it runs")
}

/// Waits until the one replica of the server at `port` has everything.
async fn replicated(port: u16) {
    let mut connection = control(port).await;
    // An answer with its write in it on this very connection, which is what WAIT looks at.
    redis::cmd("SET").arg("mark").arg(1).query_async::<()>(&mut connection).await.expect("it is allowed");
    let mut wait = redis::cmd("WAIT");
    let copies = wait.arg(1).arg(0).query_async::<u32>(&mut connection);
    let copies = tokio::time::timeout(PATIENCE, copies).await.expect("in time").expect("it answers");
    assert_eq!(copies, 1);
}
