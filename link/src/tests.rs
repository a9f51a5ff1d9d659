//! Two nodes over loopback, honest and otherwise.

use std::path::Path;
use std::time::Duration;

use horizon_model::{EdgeId, PlayerId, RegionId, WorkerId, WorldId};
use horizon_protocol::link::{MAX_FRAME_BYTES, Preamble, VERSION};
use rkyv::{Archive, Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::identity::SERVER_NAME;
use crate::pki::{self, CertRole, load_identity};
use crate::{Lane, LinkError, Node, Peer, PeerReceiver, Role, SendError, tls, writer};

/// Far longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);
const EDGE: Role = Role::Edge(EdgeId(7));
const REGION: Role = Role::Region(WorkerId(9));

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Note {
    Number(u64),
    Text { from: RegionId, text: String },
    Bulk(Vec<u8>),
}

fn authority() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    pki::ensure(folder.path(), &[]).expect("made");
    folder
}

fn preamble(role: Role) -> Preamble {
    Preamble { version: VERSION, world: WorldId(1), role }
}

fn node(dir: &Path, certificate: CertRole, preamble: Preamble) -> Node {
    let identity = load_identity(dir, certificate).expect("readable");
    Node::bind("127.0.0.1:0".parse().expect("an address"), &identity, preamble).expect("a free port")
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// An edge and a region, and their link as each sees it: the region dials.
async fn linked(dir: &Path) -> (Node, Node, Peer, Peer) {
    let edge = node(dir, CertRole::Edge, preamble(EDGE));
    let region = node(dir, CertRole::Region, preamble(REGION));
    let address = edge.local_addr().to_string();
    let (dialled, accepted) = within(async { tokio::join!(region.connect(&address), edge.accept()) }).await;
    let at_edge = accepted.expect("open").expect("a region");
    let at_region = dialled.expect("an edge");
    (edge, region, at_edge, at_region)
}

/// What both sides say of a link that is refused.
async fn refused(accepting: &Node, dialling: &Node) -> (LinkError, LinkError) {
    let address = accepting.local_addr().to_string();
    let (dialled, accepted) =
        within(async { tokio::join!(dialling.connect(&address), accepting.accept()) }).await;
    (dialled.expect_err("refused"), accepted.expect("open").expect_err("refused"))
}

async fn next(receiver: &mut PeerReceiver) -> (Lane, Note) {
    let (lane, frame) = within(receiver.recv()).await.expect("a frame");
    (lane, frame.decode().expect("a note"))
}

#[tokio::test]
async fn messages_arrive_in_order_on_every_lane_both_ways() {
    let dir = authority();
    let (_edge, _region, mut at_edge, mut at_region) = linked(dir.path()).await;
    assert_eq!((at_edge.role, at_region.role), (REGION, EDGE));
    for peer in [&at_edge, &at_region] {
        assert_eq!(peer.through, Some(peer.address.ip()), "both are on this machine");
    }
    let lanes = [Lane::Control, Lane::of_player(PlayerId(5)), Lane::Session(2), Lane::Presync];
    for n in 0..500 {
        for lane in lanes {
            at_region.sender.send(lane, &Note::Number(n)).expect("queued");
            at_edge.sender.send(lane, &Note::Number(n)).expect("queued");
        }
    }
    let text = Note::Text { from: RegionId(3), text: "hello".to_owned() };
    at_region.sender.send_batch(&text, PATIENCE).expect("under way");
    for receiver in [&mut at_edge.receiver, &mut at_region.receiver] {
        let mut expected = [0; 4];
        while expected != [500; 4] {
            let (lane, note) = next(receiver).await;
            if lane == Lane::Batch {
                assert_eq!(note, text);
                continue;
            }
            let place = lanes.iter().position(|known| *known == lane).expect("a lane that was used");
            assert_eq!(note, Note::Number(expected[place]), "{lane:?}");
            expected[place] += 1;
        }
    }
    assert_eq!(at_region.sender.batches_abandoned(), 0);
    assert!(at_edge.sender.rtt() < PATIENCE);
}

#[tokio::test]
async fn a_frame_can_be_read_in_place_and_a_wrong_type_is_an_error() {
    let dir = authority();
    let (_edge, _region, mut at_edge, at_region) = linked(dir.path()).await;
    let bulk = vec![7; 1_000_000];
    at_region.sender.send(Lane::Control, &Note::Bulk(bulk.clone())).expect("queued");
    at_region.sender.send(Lane::Control, &Note::Number(2)).expect("queued");
    let (_, frame) = within(at_edge.receiver.recv()).await.expect("a frame");
    assert!(frame.size() > bulk.len());
    match frame.access::<Note>().expect("a note") {
        ArchivedNote::Bulk(bytes) => assert_eq!(bytes.as_slice(), bulk),
        _ => panic!("another note"),
    }
    let (_, frame) = within(at_edge.receiver.recv()).await.expect("a frame");
    assert!(frame.decode::<Vec<String>>().is_err());
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let (ours, theirs) = (authority(), authority());
    let edge = node(ours.path(), CertRole::Edge, preamble(EDGE));
    let stranger = node(theirs.path(), CertRole::Region, preamble(REGION));
    let (at_stranger, _) = refused(&edge, &stranger).await;
    assert!(matches!(at_stranger, LinkError::Unreachable { .. }), "{at_stranger}");
}

#[tokio::test]
async fn a_region_may_not_speak_as_an_edge() {
    let dir = authority();
    let edge = node(dir.path(), CertRole::Edge, preamble(EDGE));
    let liar = node(dir.path(), CertRole::Region, preamble(Role::Edge(EdgeId(8))));
    let (at_liar, at_edge) = refused(&edge, &liar).await;
    assert!(matches!(at_edge, LinkError::Role { claimed: Role::Edge(EdgeId(8)), .. }), "{at_edge}");
    assert!(at_liar.to_string().contains("certificate for horizon://region"), "{at_liar}");
    let players = node(dir.path(), CertRole::Edge, preamble(Role::Region(WorkerId(1))));
    let (_, at_edge) = refused(&edge, &players).await;
    assert!(matches!(at_edge, LinkError::Role { .. }), "{at_edge}");
}

#[tokio::test]
async fn another_version_is_refused_and_both_sides_name_both() {
    let dir = authority();
    let edge = node(dir.path(), CertRole::Edge, preamble(EDGE));
    let newer = node(dir.path(), CertRole::Region, Preamble { version: 4242, ..preamble(REGION) });
    let (at_newer, at_edge) = refused(&edge, &newer).await;
    for error in [&at_newer, &at_edge] {
        let text = error.to_string();
        assert!(text.contains("4242") && text.contains(&format!(" {VERSION}")), "{text}");
    }
    let (at_edge, at_newer) = refused(&newer, &edge).await;
    for error in [&at_newer, &at_edge] {
        assert!(error.to_string().contains("4242"), "{error}");
    }
}

#[tokio::test]
async fn another_world_is_refused() {
    let dir = authority();
    let edge = node(dir.path(), CertRole::Edge, preamble(EDGE));
    let other = node(dir.path(), CertRole::Region, Preamble { world: WorldId(2), ..preamble(REGION) });
    let (at_other, at_edge) = refused(&edge, &other).await;
    assert!(matches!(at_edge, LinkError::World { .. }), "{at_edge}");
    assert!(at_other.to_string().contains("00000002"), "{at_other}");
}

#[tokio::test]
async fn nobody_there_is_an_error_with_the_address() {
    let dir = authority();
    let region = node(dir.path(), CertRole::Region, preamble(REGION));
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("bound").to_string();
    let error = within(region.connect(&address)).await.expect_err("nobody answers");
    assert_eq!(error.to_string(), format!("no link to {address}: no answer within 3 s"));
    let error = within(region.connect("no port")).await.expect_err("no address");
    assert!(error.to_string().starts_with("no link to no port: "), "{error}");
}

/// A connection that got through the preamble and then does as it pleases.
async fn rogue(dir: &Path, edge: &Node) -> (quinn::Endpoint, quinn::Connection, Peer) {
    let identity = load_identity(dir, CertRole::Region).expect("readable");
    let (_, client) = tls::configs(&identity).expect("usable");
    let mut endpoint =
        quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    endpoint.set_default_client_config(client);
    let connecting = endpoint.connect(edge.local_addr(), SERVER_NAME).expect("started");
    let connection = within(connecting).await.expect("connected");
    let (mut send, _receive) = within(connection.open_bi()).await.expect("open");
    within(send.write_all(&preamble(REGION).encode())).await.expect("written");
    let peer = within(edge.accept()).await.expect("open").expect("a region");
    (endpoint, connection, peer)
}

#[tokio::test]
async fn broken_framing_closes_the_link_before_anything_is_allocated() {
    let dir = authority();
    let edge = node(dir.path(), CertRole::Edge, preamble(EDGE));
    let length = u32::try_from(MAX_FRAME_BYTES + 1).expect("small").to_le_bytes();
    let oversized = [&[writer::tag(Lane::Control)], length.as_slice()].concat();
    let cut = [&[writer::tag(Lane::Control)], 9_u32.to_le_bytes().as_slice(), b"short"].concat();
    let rows = [
        (oversized, "4194304 are allowed"),
        (vec![200], "200, which names no lane"),
        (cut, "ends inside a frame"),
    ];
    for (bytes, expected) in rows {
        let (_endpoint, connection, mut peer) = rogue(dir.path(), &edge).await;
        let mut stream = within(connection.open_uni()).await.expect("open");
        within(stream.write_all(&bytes)).await.expect("written");
        stream.finish().expect("open");
        let reason = within(connection.closed()).await.to_string();
        assert!(reason.contains(expected), "{reason}");
        assert!(within(peer.receiver.recv()).await.is_none());
        assert!(peer.receiver.close_reason().is_some());
    }
}

#[tokio::test]
async fn batches_to_a_peer_that_does_not_read_are_given_up_and_others_go_on() {
    let dir = authority();
    let (edge, _region, at_edge, mut slow) = linked(dir.path()).await;
    let other = node(dir.path(), CertRole::Region, preamble(Role::Region(WorkerId(10))));
    let address = edge.local_addr().to_string();
    let (dialled, accepted) = within(async { tokio::join!(other.connect(&address), edge.accept()) }).await;
    let (mut quick, to_quick) = (dialled.expect("an edge"), accepted.expect("open").expect("a region"));

    let batch = Note::Bulk(vec![1; 1 << 20]);
    let mut full = 0;
    while at_edge.sender.batches_abandoned() < full + 3 {
        match at_edge.sender.send_batch(&batch, Duration::from_millis(50)) {
            Err(SendError::Full) => full += 1,
            other => other.expect("the link is open"),
        }
        to_quick.sender.send(Lane::Control, &Note::Number(1)).expect("queued");
        assert_eq!(next(&mut quick.receiver).await, (Lane::Control, Note::Number(1)));
    }

    at_edge.sender.send(Lane::Control, &Note::Number(2)).expect("queued");
    while next(&mut slow.receiver).await.0 == Lane::Batch {}
    assert!(!at_edge.sender.is_closed() && !to_quick.sender.is_closed());
}

#[tokio::test]
async fn a_full_queue_is_an_error_and_control_has_its_own() {
    let dir = authority();
    let (_edge, _region, at_edge, mut at_region) = linked(dir.path()).await;
    let bulk = Note::Bulk(vec![1; 1 << 18]);
    let mut queued = 0_u32;
    let error = loop {
        match at_edge.sender.send(Lane::Presync, &bulk) {
            Ok(()) => queued += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SendError::Full);
    at_edge.sender.send(Lane::Control, &Note::Number(1)).expect("another queue");
    let too_long = Note::Bulk(vec![0; MAX_FRAME_BYTES]);
    assert!(matches!(at_edge.sender.send(Lane::Control, &too_long), Err(SendError::TooLong(_))));
    let mut arrived = 0;
    while arrived < queued {
        arrived += u32::from(next(&mut at_region.receiver).await.0 == Lane::Presync);
    }
    at_edge.sender.send(Lane::Presync, &bulk).expect("room again");
}

#[tokio::test]
async fn closing_is_seen_by_the_other_side() {
    let dir = authority();
    let (edge, _region, mut at_edge, mut at_region) = linked(dir.path()).await;
    at_edge.sender.close();
    assert_eq!(at_edge.sender.send(Lane::Control, &Note::Number(1)), Err(SendError::Closed));
    assert!(within(at_region.receiver.recv()).await.is_none());
    assert!(within(at_edge.receiver.recv()).await.is_none());
    assert!(within(at_region.sender.closed()).await.contains("closed"));
    within(edge.close()).await;
    assert!(within(edge.accept()).await.is_none());
}

#[tokio::test]
async fn a_link_whose_handles_are_gone_closes() {
    let dir = authority();
    let (_edge, _region, at_edge, mut at_region) = linked(dir.path()).await;
    drop(at_edge);
    assert!(within(at_region.receiver.recv()).await.is_none());
}

#[tokio::test]
async fn finishing_delivers_everything_that_was_queued() {
    let dir = authority();
    let (_edge, _region, at_edge, mut at_region) = linked(dir.path()).await;
    for n in 0..2_000 {
        at_edge.sender.send(Lane::Control, &Note::Number(n)).expect("queued");
    }
    at_edge.sender.send(Lane::Session(1), &Note::Bulk(vec![3; 100_000])).expect("queued");
    let count = tokio::spawn(async move {
        let mut count = 0;
        while at_region.receiver.recv().await.is_some() {
            count += 1;
        }
        count
    });
    within(at_edge.sender.finish(PATIENCE)).await;
    assert_eq!(within(count).await.expect("counted"), 2_001);
}

/// A process that is killed says nothing; its next life on the same port does, long before a timeout.
#[test]
fn the_next_life_of_a_killed_process_ends_the_links_of_the_one_before() {
    let dir = authority();
    let doomed = tokio::runtime::Runtime::new().expect("a runtime");
    let edge = doomed.block_on(async { node(dir.path(), CertRole::Edge, preamble(EDGE)) });
    let address = edge.local_addr();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let region = runtime.block_on(async { node(dir.path(), CertRole::Region, preamble(REGION)) });
    let accepted = doomed.spawn(async move {
        let peer = edge.accept().await.expect("open").expect("a region");
        (edge, peer)
    });
    let mut at_region = runtime.block_on(within(region.connect(&address.to_string()))).expect("linked");
    let lost = doomed.block_on(within(accepted)).expect("accepted");
    // Its tasks are gone at once; nothing is left that could say goodbye.
    doomed.shutdown_background();
    drop(lost);
    runtime.block_on(async {
        let identity = load_identity(dir.path(), CertRole::Edge).expect("readable");
        let heir = within(async {
            loop {
                match Node::bind(address, &identity, preamble(EDGE)) {
                    Ok(heir) => break heir,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        let started = tokio::time::Instant::now();
        let _ = at_region.sender.send(Lane::Control, &Note::Number(1));
        within(async { while at_region.receiver.recv().await.is_some() {} }).await;
        assert!(
            started.elapsed() < tls::IDLE,
            "{:?}: {:?}",
            started.elapsed(),
            at_region.receiver.close_reason()
        );
        drop(heir);
    });
}
