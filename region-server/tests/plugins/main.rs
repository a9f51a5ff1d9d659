//! Real plugin libraries, built by cargo and loaded as a region server loads them.

mod build;

use std::collections::BTreeMap;
use std::path::Path;

use horizon_model::{ObjectTypeId, PlayerId, Pose, Position, SessionId, Tick};
use horizon_plugin_api::abi::{ABI_VERSION, MAGIC};
use horizon_plugin_api::testing::TestWorld;
use horizon_protocol::client::MoveSample;
use horizon_region_server::plugin::{
    CoreEvent, InputResult, LoadError, PlayerConnectedEvent, PluginHost, ServerTickEvent, transcode_to_json,
};

const ADA: PlayerId = PlayerId(0xada);

fn load(folder: &Path) -> Result<PluginHost, LoadError> {
    PluginHost::load(folder, &BTreeMap::new())
}

fn connect(host: &mut PluginHost, world: &mut TestWorld) {
    world.tick = Tick(600);
    let entity = world.join(ADA, "Ada", [0.0; 3]);
    let (name, session) = ("Ada".to_owned(), SessionId(1));
    let spawn = Some([20.0, 30.0, 0.0]);
    let event = PlayerConnectedEvent { player_id: ADA, entity, name, session, spawn, fresh: true };
    host.core(world, &CoreEvent::PlayerConnected(event));
}

fn json_of(world: &mut TestWorld, namespace: &str, event: &str) -> String {
    let sent = world.take_sent(namespace, event);
    let json = transcode_to_json(&sent.first().expect("it was sent").payload).expect("it is MessagePack");
    String::from_utf8(json).expect("JSON is text")
}

#[test]
fn the_small_plugins_work_together() {
    let folder = build::own_plugins(&["chat", "ledger", "movement", "replay"]);
    let mut host = load(folder.path()).expect("our own plugins load");
    let mut world = TestWorld::default();
    assert_eq!(
        host.plugins().map(|(name, _)| name).collect::<Vec<_>>(),
        ["chat", "ledger", "movement", "replay"]
    );
    assert!(host.names().is_sorted());
    assert!(host.names().contains(&("chat".to_owned(), "say".to_owned())));
    assert_eq!(host.schemas()[usize::from(ObjectTypeId::PLAYER.0)].fields[0].name, "name");
    assert_eq!(host.schemas()[1].name, "ball");
    assert_eq!(host.hash(), load(folder.path()).expect("they load twice").hash());

    connect(&mut host, &mut world);
    let entity = world.players[&ADA].0;
    assert_eq!(world.poses[&entity].position, Position::from_metres([20.0, 30.0, 0.0]).unwrap());

    world.tick = Tick(630);
    let place = Position::from_metres([25.0, 30.0, 0.0]).unwrap();
    let sample = MoveSample { tick: Tick(630), pose: Pose { yaw: 1.0, ..Pose::at(place) } };
    assert_eq!(host.movement(&mut world, ADA, &sample), InputResult::Handled);
    assert_eq!(world.poses[&entity], sample.pose);

    let say = br#"{"text":"hello"}"#;
    assert_eq!(host.input(&mut world, ADA, 1, "chat", "say", say, false), InputResult::Handled);
    let said = json_of(&mut world, "chat", "said");
    assert!(said.contains(r#""text":"hello""#) && said.contains(&ADA.to_string()), "{said}");
    assert_eq!(host.input(&mut world, ADA, 2, "ledger", "note", b"7", false), InputResult::Handled);
    assert_eq!(host.input(&mut world, ADA, 3, "ledger", "report", b"", false), InputResult::Handled);

    let inputs: [(u32, &str, &[u8]); 3] =
        [(1, "chat/say", say), (2, "ledger/note", b"7"), (3, "ledger/report", b"")];
    let chain = inputs.into_iter().fold(0xcbf2_9ce4_8422_2325, |chain: u64, (seq, kind, payload)| {
        let bytes = [&chain.to_le_bytes()[..], &seq.to_le_bytes(), kind.as_bytes(), payload].concat();
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    });
    assert_eq!(
        json_of(&mut world, "ledger", "report"),
        format!(
            r#"{{"backwards":0,"chain":"{chain:016x}","count":3,"last_seq":3,"repeated":0,"skipped":0}}"#
        )
    );

    assert_eq!(host.input(&mut world, ADA, 4, "chat", "shout", say, false), InputResult::Unknown);
    let unreadable = host.input(&mut world, ADA, 5, "chat", "say", b"{}", false);
    assert!(matches!(unreadable, InputResult::BadPayload(text) if text.contains("chat/say")));
    assert!(host.strikes().all(|(_, strikes)| strikes == 0), "clients' faults are not the plugins'");
    host.shutdown(&mut world);
}

#[test]
fn another_interface_number_is_refused_with_both() {
    let folder = build::own_plugins(&["chat"]);
    let path = folder.path().join(build::file_name("chat"));
    let mut library = std::fs::read(&path).unwrap();
    let head = [&MAGIC.to_le_bytes()[..], &ABI_VERSION.to_le_bytes()].concat();
    let places: Vec<usize> =
        (0..library.len() - head.len()).filter(|at| library[*at..].starts_with(&head)).collect();
    assert!(!places.is_empty(), "the table begins with its magic and its number");
    for at in places {
        library[at + 8..at + 12].copy_from_slice(&77_u32.to_le_bytes());
    }
    std::fs::write(&path, library).unwrap();
    let refused = load(folder.path()).err().expect("it is refused").to_string();
    for part in
        ["interface 77", &format!("speaks {ABI_VERSION}"), &build::file_name("chat"), "build it again"]
    {
        assert!(refused.contains(part), "{part:?} is missing in: {refused}");
    }
}

#[test]
fn files_that_are_no_plugins_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
    assert!(load(folder.path()).is_ok());
    std::fs::write(folder.path().join(build::file_name("broken")), "not a library").unwrap();
    let refused = load(folder.path()).err().expect("it is refused").to_string();
    assert!(refused.contains(&build::file_name("broken")), "{refused}");

    let missing = load(&folder.path().join("nowhere")).err().expect("no folder").to_string();
    assert!(missing.contains("nowhere") && missing.contains("create it"), "{missing}");
}

#[test]
fn the_same_plugin_twice_is_refused() {
    let folder = build::own_plugins(&["chat"]);
    let copy = folder.path().join(build::file_name("chat_old"));
    std::fs::copy(folder.path().join(build::file_name("chat")), copy).unwrap();
    let refused = load(folder.path()).err().expect("it is refused").to_string();
    assert!(refused.contains("\"chat\"") && refused.contains("remove one"), "{refused}");
}

#[test]
fn a_missing_trace_stops_the_start_and_says_who_must_do_what() {
    let folder = build::own_plugins(&["replay"]);
    let config = serde_json::json!({"trace": "nowhere.csv", "pitches": [[0.0, 0.0]]});
    let configs = BTreeMap::from([("replay".to_owned(), config)]);
    let refused = PluginHost::load(folder.path(), &configs).err().expect("it is refused").to_string();
    assert!(refused.contains("nowhere.csv") && refused.contains("put the file there"), "{refused}");
}

#[test]
fn an_author_outside_this_repository_builds_a_plugin_from_the_quick_start() {
    let (manifest, code) = build::quick_start();
    let folder = build::outside("tavern", &manifest, &code);
    let configs = BTreeMap::from([("tavern".to_owned(), serde_json::json!({"coins": 5}))]);
    let mut host = PluginHost::load(folder.path(), &configs).expect("the quick start loads");
    let mut world = TestWorld::default();
    connect(&mut host, &mut world);
    let order = br#"{"dish":"stew","price":3}"#;
    assert_eq!(host.input(&mut world, ADA, 1, "tavern", "order", order, false), InputResult::Handled);
    assert_eq!(json_of(&mut world, "tavern", "served"), r#"{"coins_left":2,"dish":"stew"}"#);
    assert_eq!(host.input(&mut world, ADA, 2, "tavern", "order", order, false), InputResult::Handled);
    assert_eq!(json_of(&mut world, "tavern", "too_expensive"), r#""stew""#);
}

#[test]
fn a_clumsy_plugin_costs_strikes_and_nothing_else() {
    let (manifest, _) = build::quick_start();
    let folder = build::outside("clumsy", &manifest.replace("tavern", "clumsy"), include_str!("clumsy.rs"));
    std::fs::copy(
        build::own_plugins(&["chat"]).path().join(build::file_name("chat")),
        folder.path().join(build::file_name("chat")),
    )
    .unwrap();
    let mut host = load(folder.path()).expect("being clumsy is no reason to be refused");
    let mut world = TestWorld::default();
    connect(&mut host, &mut world);
    for (seq, event) in (1..).zip(["panic", "panic_any", "fail", "panic"]) {
        assert_eq!(host.input(&mut world, ADA, seq, "clumsy", event, b"", true), InputResult::Failed);
    }
    assert_eq!(host.input(&mut world, ADA, 5, "clumsy", "echo", b"", true), InputResult::Handled);
    let echoes = world.take_sent("clumsy", "echoed").len();
    assert!((1..=5000).contains(&echoes), "an echo without end ends, after {echoes}");
    let tick = ServerTickEvent { tick: Tick(602), sim_time_s: 0.0, step_s: 1.0 / 30.0 };
    host.core(&mut world, &CoreEvent::ServerTick(tick));

    let say = br#"{"text":"still here"}"#;
    assert_eq!(host.input(&mut world, ADA, 6, "chat", "say", say, false), InputResult::Handled);
    assert_eq!(world.take_sent("chat", "said").len(), 1);
    // One in on_init, four in inputs, one in the tick.
    assert_eq!(host.strikes().collect::<Vec<_>>(), [("chat", 0), ("clumsy", 6)]);
    host.shutdown(&mut world);
}
