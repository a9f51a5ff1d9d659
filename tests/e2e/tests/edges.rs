//! Two edges of one world, of which one is killed.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use horizon_client::Spelling;
use horizon_e2e::http::{until_at, until_ready};
use horizon_e2e::{DEADLINE, Player, World, http, programs, recording};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// How long whoever is killed may go on directing as far as others know, several times over.
const FOLLOWED: Duration = Duration::from_secs(5);

/// An atlas beside that of a [`World`], with a configuration in the same folder, and so killed with it.
struct Edge {
    listen: u16,
    admin: u16,
    child: Child,
}

/// A UDP port that nobody has at this moment.
fn free_link() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|udp| udp.local_addr()).expect("a free port").port()
}

impl Edge {
    /// Starts it and waits until it is ready.
    async fn start(world: &World, file: PathBuf, link: u16) -> Self {
        let tcp: [TcpListener; 2] =
            std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let [listen, admin] = tcp.map(|tcp| tcp.local_addr().expect("bound").port());
        let mut command = Command::new(programs().join("atlas"));
        command.arg("--config").arg(file);
        for (key, port) in [("--listen", listen), ("--link", link), ("--admin", admin)] {
            command.arg(key).arg(format!("127.0.0.1:{port}"));
        }
        let log = world.path().join("logs/atlas-2.log");
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        command.process_group(0).kill_on_drop(true);
        let edge = Self { listen, admin, child: command.spawn().expect("atlas can be started") };
        until_ready(admin, "the second edge to be ready").await;
        edge
    }

    fn url(&self) -> String {
        format!("wss://localhost:{}/", self.listen)
    }

    async fn directs(&self) -> bool {
        http::json(self.admin, "/api/status").await["directs"] == true
    }

    /// Ends it in order.
    async fn end(mut self) {
        let pid = i32::try_from(self.child.id().expect("it runs")).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("process ids are above zero"), Signal::TERM).expect("it runs");
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it ends on SIGTERM");
        assert!(status.expect("it can be waited for").success());
    }
}

/// The first edge directs. When it is killed, its player resumes at the second, which directs from then on;
/// the second one's own player walks on, into a region that nobody had needed before. Who ends in order hands
/// over at once.
#[tokio::test]
async fn an_edge_that_directs_is_killed_while_somebody_crosses_at_the_other() {
    let link = free_link();
    let mut world = World::start(&format!("edges = [\"127.0.0.1:{link}\"]\n")).await;
    let second = Edge::start(&world, world.file(), link).await;
    let urls = vec![world.url(), second.url()];
    let bob = Player::join_at(&world, urls, "Bob", Spelling::Json, [40.0, 30.0, 0.5]).await;
    let urls = vec![second.url()];
    let ada = Player::join_at(&world, urls, "Ada", Spelling::Binary, [40.0, 32.0, 0.5]).await;
    ada.busy(true);
    bob.busy(true);
    for player in [&ada, &bob] {
        player.until_true("some play", |seen| seen.applied >= 5 && !seen.others.is_empty()).await;
    }
    assert_eq!(world.status().await["directs"], true, "the first edge directs");
    assert!(!second.directs().await);

    ada.follow(recording::walk(&[[40.0, 32.0, 0.5], [-12.0, 32.0, 0.5], [40.0, 32.0, 0.5]], 8.0));
    world.kill_atlas().await;
    let killed_at = Instant::now();
    until_at(second.admin, "it to direct", |status| (status["directs"] == true).then_some(())).await;
    let followed = killed_at.elapsed();
    assert!(followed < FOLLOWED, "{followed:?}");
    bob.until_true("a resume", |seen| !seen.resumes.is_empty()).await;
    let back = bob.seen();
    bob.until_true("play after it", |seen| u64::from(seen.applied) > back.sent.count() + 5).await;
    ada.until_true("the end of the walk", |seen| seen.arrived).await;
    ada.until_true("two crossings", |seen| seen.epochs.len() >= 3).await;
    for player in [&ada, &bob] {
        player.assert_account().await;
    }

    let (seen, of_bob) = (ada.seen(), bob.seen());
    assert_eq!(seen.disconnects, Vec::<String>::new(), "who is on the other edge keeps the socket");
    assert!(seen.epochs.is_sorted(), "{:?}", seen.epochs);
    let (after, anew, abandoned) = of_bob.resumes[0];
    eprintln!("directed again after {followed:?}, resumed after {after:?}");
    assert_eq!((of_bob.resumes.len(), anew, abandoned), (1, false, 0), "the session went on");

    world.start_atlas().await;
    assert_eq!(world.status().await["directs"], false, "who comes back follows");
    second.end().await;
    world.until("the first to direct", |status| (status["directs"] == true).then_some(())).await;
    world.finish().await;
}

/// The control: a ticket is worth nothing at an edge that is not on the same store, though certificates and
/// folder are the same.
#[tokio::test]
async fn an_edge_of_another_store_refuses_the_ticket_in_a_sentence() {
    let mut world = World::start("").await;
    let text = std::fs::read_to_string(world.file()).expect("a configuration");
    let text: Vec<_> = text
        .lines()
        .map(|line| if line.starts_with("address = ") { "address = \"memory:\"" } else { line })
        .chain(["[director]", "warm_workers = 0\n"])
        .collect();
    let file = world.path().join("stranger.toml");
    std::fs::write(&file, text.join("\n")).expect("written");
    let stranger = Edge::start(&world, file, free_link()).await;
    let urls = vec![world.url(), stranger.url()];
    let bob = Player::join_at(&world, urls, "Bob", Spelling::Binary, [40.0, 30.0, 0.5]).await;
    bob.busy(true);
    bob.until_true("some play", |seen| seen.applied >= 5).await;
    world.kill_atlas().await;
    let why = bob.until("a refusal", |seen| seen.ended.clone()).await;
    assert!(why.contains("not on the store of this one; join anew"), "{why}");
    assert!(bob.seen().resumes.is_empty());
    stranger.end().await;
    world.start_atlas().await;
    world.finish().await;
}
