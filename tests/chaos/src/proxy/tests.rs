//! Roads between sockets of this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A dialler, a target, and a road between them.
async fn datagrams(seed: u64) -> (Proxy, UdpSocket, UdpSocket) {
    let target = UdpSocket::bind(ANY).await.expect("a port");
    let dialler = UdpSocket::bind(ANY).await.expect("a port");
    let mut proxy = Proxy::new(seed);
    let road = proxy.udp("road", ANY, target.local_addr().expect("bound")).await.expect("opened");
    dialler.connect(road).await.expect("connected");
    (proxy, dialler, target)
}

async fn heard(socket: &UdpSocket) -> (u8, SocketAddr) {
    let mut buffer = [0; 16];
    let (length, from) =
        timeout(DEADLINE, socket.recv_from(&mut buffer)).await.expect("in time").expect("received");
    assert_eq!(length, 1);
    (buffer[0], from)
}

#[tokio::test]
async fn datagrams_go_both_ways() {
    let (_proxy, dialler, target) = datagrams(1).await;
    dialler.send(&[7]).await.expect("sent");
    let (word, from) = heard(&target).await;
    assert_eq!(word, 7);
    target.send_to(&[8], from).await.expect("sent");
    assert_eq!(heard(&dialler).await.0, 8);
}

#[tokio::test]
async fn a_cut_of_one_direction_leaves_the_other_open() {
    let (proxy, dialler, target) = datagrams(1).await;
    dialler.send(&[1]).await.expect("sent");
    let (_, from) = heard(&target).await;
    proxy.cut("road", Directions::Only(Direction::Up)).expect("known");
    dialler.send(&[2]).await.expect("sent");
    target.send_to(&[3], from).await.expect("sent");
    assert_eq!(heard(&dialler).await.0, 3);
    while proxy.passed("road").expect("known").lost == 0 {
        tokio::task::yield_now().await;
    }
    proxy.heal("road").expect("known");
    dialler.send(&[4]).await.expect("sent");
    assert_eq!(heard(&target).await.0, 4, "what was cut is lost, not late");
}

#[tokio::test]
async fn a_cut_for_one_dialler_is_not_for_another() {
    let (proxy, dialler, target) = datagrams(1).await;
    let other = UdpSocket::bind(ANY).await.expect("a port");
    other.connect(dialler.peer_addr().expect("connected")).await.expect("connected");
    let from = Some(dialler.local_addr().expect("bound"));
    proxy.set("road", from, Directions::Both, Weather::CUT).expect("known");
    dialler.send(&[1]).await.expect("sent");
    other.send(&[2]).await.expect("sent");
    assert_eq!(heard(&target).await.0, 2);
}

#[tokio::test]
async fn loss_and_repetition_come_at_their_rates_and_by_the_seed() {
    const COUNT: u64 = 400;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (proxy, dialler, target) = datagrams(42).await;
        let weather = Weather { loss_percent: 25.0, duplicate_percent: 25.0, ..Weather::FAIR };
        proxy.set("road", None, Directions::Both, weather).expect("known");
        for _ in 0..COUNT {
            let before = proxy.passed("road").expect("known");
            dialler.send(&[1]).await.expect("sent");
            // One at a time: the kernel must not be what loses.
            let after = loop {
                let passed = proxy.passed("road").expect("known");
                if passed != before {
                    break passed;
                }
                tokio::task::yield_now().await;
            };
            let copies = |passed: Passed| passed.forwarded + passed.repeated;
            for _ in copies(before)..copies(after) {
                heard(&target).await;
            }
        }
        let passed = proxy.passed("road").expect("known");
        runs.push(passed);
    }
    assert_eq!(runs[0], runs[1], "the same seed");
    let Passed { forwarded, lost, repeated } = runs[0];
    assert_eq!(forwarded + lost, COUNT);
    assert!((60..=140).contains(&lost), "{lost} of {COUNT}");
    assert!((40..=120).contains(&repeated), "{repeated} of {forwarded}");
}

#[tokio::test]
async fn jitter_reorders() {
    let (proxy, dialler, target) = datagrams(3).await;
    let weather = Weather { jitter: Duration::from_millis(50), ..Weather::FAIR };
    proxy.set("road", None, Directions::Both, weather).expect("known");
    for word in 0..20 {
        dialler.send(&[word]).await.expect("sent");
    }
    let mut words = Vec::new();
    for _ in 0..20 {
        words.push(heard(&target).await.0);
    }
    assert!(!words.is_sorted(), "{words:?}");
    words.sort_unstable();
    assert_eq!(words, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cut_stream_is_silent_until_it_is_healed_and_a_reset_one_ends() {
    let listener = TcpListener::bind(ANY).await.expect("a port");
    let mut proxy = Proxy::new(1);
    let target = listener.local_addr().expect("bound");
    let address = proxy.tcp("road", ANY, target).await.expect("opened");
    let mut dialler = TcpStream::connect(address).await.expect("connected");
    let (mut accepted, _) = listener.accept().await.expect("accepted");

    proxy.cut("road", Directions::Both).expect("known");
    dialler.write_all(&[1]).await.expect("written");
    let mut word = [0];
    let early = timeout(Duration::from_millis(50), accepted.read(&mut word)).await;
    assert!(early.is_err(), "nothing passes a cut road");
    proxy.heal("road").expect("known");
    timeout(DEADLINE, accepted.read_exact(&mut word)).await.expect("in time").expect("read");
    assert_eq!(word, [1]);

    proxy.reset("road").expect("known");
    let ended = timeout(DEADLINE, dialler.read(&mut word)).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "the connection has ended");
}

#[tokio::test]
async fn unix_sockets_are_roads_too_and_can_be_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let listener = UnixListener::bind(&there).expect("bound");
    let mut proxy = Proxy::new(1);
    proxy.unix("road", here.clone(), there).expect("opened");
    for word in [1, 2] {
        let mut dialler = UnixStream::connect(&here).await.expect("connected");
        let (mut accepted, _) = listener.accept().await.expect("accepted");
        dialler.write_all(&[word]).await.expect("written");
        assert_eq!(accepted.read_u8().await.expect("read"), word);
    }
}

#[tokio::test]
async fn roads_have_names_of_their_own() {
    let mut proxy = Proxy::new(1);
    proxy.udp("road", ANY, ANY).await.expect("opened");
    assert!(matches!(proxy.tcp("road", ANY, ANY).await, Err(ProxyError::Taken(_))));
    assert!(matches!(proxy.heal("path"), Err(ProxyError::Unknown(_))));
}
