//! A real `redis-server`: killed, stopped, short of memory, set up wrongly.

use std::fs::OpenOptions;
use std::path::PathBuf;

use horizon_handoff::{CasRequest, EntityKey, Kept, Record};
use horizon_model::{PlayerId, WorkerId};
use horizon_state_store::{LeaseError, Redis, StateStore, StoreError};
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::fixture::WORLD;
use crate::rows::{A, TTL, first, report_until_settled, won};
use crate::server::Server;

async fn connect(server: &Server) -> Redis {
    Redis::connect(&server.address(), WORLD).await.expect("connects")
}

fn player(id: u128) -> EntityKey {
    EntityKey::Player(PlayerId(id))
}

/// The file that new writes are appended to.
fn tail_of(server: &Server) -> PathBuf {
    let folder = std::fs::read_dir(server.path().join("appendonlydir")).expect("it appends");
    let files = folder.map(|entry| entry.expect("readable").path());
    files.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max().expect("one is appended to")
}

/// Writes until `enough` answers came, then ends the server and returns everything that was answered.
async fn write_and_kill(server: &mut Server, store: &Redis, round: u128) -> Vec<(EntityKey, Record)> {
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    // Writers that do not stop when the server does: some of their answers get lost.
    let (told, mut wins) = mpsc::unbounded_channel();
    for writer in 0..4_u128 {
        let (store, told) = (store.clone(), told.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let id = (round << 64) | (writer << 32) | n;
                let Ok(outcomes) = store.cas(vec![first(player(id), &mine, id + 1)]).await else { return };
                if told.send((player(id), won(outcomes[0].clone()))).is_err() {
                    return;
                }
            }
        });
    }
    drop(told);
    let mut records = Vec::new();
    while records.len() < 100 {
        records.push(wins.recv().await.expect("the writers go on"));
    }
    server.kill();
    while let Some(record) = wins.recv().await {
        records.push(record);
    }
    records
}

#[tokio::test]
async fn c10_an_answered_cas_survives_sigkill() {
    let Some(mut server) = Server::start() else { return };
    let store = connect(&server).await;
    for round in 0..3 {
        let records = write_and_kill(&mut server, &store, round).await;
        server.run();
        for (key, record) in records {
            assert_eq!(store.record(key).await, Ok(Some(record)), "the client came back by itself");
        }
    }
}

/// What was not synced can be lost in the middle of a write. What was answered was synced before.
#[tokio::test]
async fn c11_a_torn_tail_takes_nothing_that_was_answered() {
    let Some(mut server) = Server::start() else { return };
    let store = connect(&server).await;
    let records = write_and_kill(&mut server, &store, 0).await;
    // As after a power cut: half of a script's writes are in the file.
    use std::io::Write;
    let mut file = OpenOptions::new().append(true).open(tail_of(&server)).expect("there");
    file.write_all(b"*1\r\n$5\r\nMULTI\r\n*4\r\n$4\r\nHSET\r\n$4\r\nlost\r\n$1\r\na\r\n$90\r\nhalf of i")
        .expect("writes");
    server.run();
    for (key, record) in records {
        assert_eq!(store.record(key).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn calls_during_an_outage() {
    let Some(mut server) = Server::start() else { return };
    let store = connect(&server).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    server.kill();
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
        async move {
            loop {
                match store.cas(vec![first(player(1), &mine, 1)]).await {
                    Ok(outcomes) => break outcomes[0].clone(),
                    Err(StoreError::Unsettled) => report_until_settled(&store, &mine).await,
                    // It left before the break was noticed.
                    Err(error) => assert_eq!(error, StoreError::Unknown),
                }
            }
        }
    });
    tokio::task::yield_now().await;
    server.run();
    assert_eq!(confirm.await.expect("no call panics"), Ok(()));
    assert_eq!(won(write.await.expect("no call panics")).epoch.count(), 1, "all were the same attempt");
    server.kill();
    let gone = store.confirm(&mine).await;
    assert!(matches!(gone, Err(LeaseError::Store(StoreError::Unavailable(_)))), "{gone:?}");
}

#[tokio::test]
async fn a_stopped_server_holds_nobody() {
    let Some(server) = Server::start() else { return };
    let store = connect(&server).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    server.signal(Signal::STOP);
    let (confirmed, written) =
        tokio::join!(store.confirm(&mine), store.cas(vec![first(player(1), &mine, 1)]));
    assert!(matches!(confirmed, Err(LeaseError::Store(StoreError::Unavailable(_)))), "{confirmed:?}");
    assert_eq!(written, Err(StoreError::Unknown));
    server.signal(Signal::CONT);
    let again = store.cas(vec![first(player(1), &mine, 1)]).await.expect("the server goes on");
    assert_eq!(won(again[0].clone()).epoch.count(), 1, "both were the same attempt");
}

#[tokio::test]
async fn a_full_server_refuses_and_keeps_what_it_has() {
    let Some(server) = Server::start() else { return };
    let store = connect(&server).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let mut control = control(&server).await;
    let set =
        redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("8mb").query_async::<()>(&mut control).await;
    set.expect("it is allowed");
    let mut records = Vec::new();
    let refused = loop {
        let key = player(records.len() as u128);
        let request = CasRequest { capsule: Kept::Here(vec![1; 60 * 1024]), ..first(key, &mine, 1) };
        match store.cas(vec![request]).await {
            Ok(outcomes) => records.push((key, won(outcomes[0].clone()))),
            Err(error) => break error,
        }
        assert!(records.len() < 1000, "the limit does not work");
    };
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("OOM")), "{refused}");
    for (key, record) in records {
        assert_eq!(store.record(key).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let Some(server) = Server::start() else { return };
    let store = connect(&server).await;
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    let mut control = control(&server).await;
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut control).await.expect("it is allowed");
    won(store.cas(vec![first(player(1), &mine, 1)]).await.expect("nobody notices")[0].clone());
}

async fn control(server: &Server) -> redis::aio::MultiplexedConnection {
    connect(server).await;
    let client = redis::Client::open(server.address()).expect("an address");
    client.get_multiplexed_async_connection().await.expect("connects")
}

#[tokio::test]
async fn a_server_that_would_lose_worlds_is_refused() {
    for (words, why) in [
        (&[][..], "`appendonly yes`"),
        (&["--appendonly", "yes"][..], "`appendfsync always`"),
        (
            &["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"],
            "noeviction",
        ),
        (&["--cluster-enabled", "yes"], "a server of its own"),
        (&["--requirepass", "secret"], "user and password"),
    ] {
        let Some(server) = Server::start_with(words) else { return };
        let error = Redis::connect(&server.address(), WORLD).await.expect_err("it is refused");
        assert!(matches!(&error, StoreError::Setup(said) if said.contains(why)), "{error}");
    }
}

/// The rights that docs/operating.md lists are enough, and reach no other world.
#[tokio::test]
async fn a_limited_user_is_enough() {
    const RIGHTS: &str = "~{00000007}:* resetchannels -@all +info +config|get +script|load +evalsha +time +get \
                          +set +del +exists +hget +hset +hmget +hgetall +hdel";
    let page = include_str!("../../../docs/operating.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let rights = RIGHTS.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&rights), "docs/operating.md shows these rights: {rights}");
    let Some(server) = Server::start() else { return };
    let mut control = control(&server).await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("horizon").arg("on").arg(">secret");
    user.arg(rights.split(' ').collect::<Vec<_>>());
    user.query_async::<()>(&mut control).await.expect("it is allowed");
    let address = format!("{}?user=horizon&pass=secret", server.address());
    let store = Redis::connect(&address, WORLD).await.expect("rights enough");
    let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
    won(store.cas(vec![first(player(1), &mine, 1)]).await.expect("answers")[0].clone());
    store.sealing_keys().await.expect("answers");
    store.leases().await.expect("answers");
    let elsewhere = Redis::connect(&address, horizon_model::WorldId(8)).await.expect_err("another world");
    assert!(elsewhere.to_string().contains("does not let this user"), "{elsewhere}");
    let wrong = Redis::connect(&format!("{}?user=horizon&pass=no", server.address()), WORLD).await;
    let wrong = wrong.expect_err("another password").to_string();
    assert!(wrong.contains("does not accept user and password") && !wrong.contains("pass=no"), "{wrong}");
}
