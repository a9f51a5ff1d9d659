//! How a world starts, refuses to start, stops, and starts again.

use std::net::TcpListener;
use std::path::Path;

use horizon_client::{ClosingReason, Spelling};
use horizon_e2e::world::run;
use horizon_e2e::{Player, World, recording};
use serde_json::json;

/// Exit code where the configuration has to be changed first.
const CONFIGURATION: i32 = 64;

/// A folder with a configuration; the program's exit code and what it says.
async fn refusal(program: &str, folder: &Path, text: &str) -> (Option<i32>, String) {
    let file = folder.join("horizon.toml");
    std::fs::write(&file, text).expect("written");
    let output = run(program, &["--config", file.to_str().expect("text")]).await;
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_typo_is_told_with_file_line_and_the_nearest_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = format!(
        "{}:2: unknown key \"tick_rate\" in [world]; did you mean \"tick_hz\"?",
        folder.path().join("horizon.toml").display()
    );
    for program in ["store", "atlas", "region-server"] {
        let (code, told) = refusal(program, folder.path(), "[world]\ntick_rate = 30\n").await;
        assert_eq!(code, Some(CONFIGURATION), "{program}: {told}");
        assert!(told.contains(&expected), "{program}: {told}");
    }
}

#[tokio::test]
async fn a_taken_port_is_told_with_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("bound");
    let free = "listen = \"127.0.0.1:0\"\nlink = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
    let rows = [
        (
            "atlas",
            "listen",
            format!(
                "[store]\naddress = \"memory:\"\n[atlas]\n{}",
                free.replacen("127.0.0.1:0", &taken.to_string(), 1)
            ),
        ),
        (
            "atlas",
            "admin",
            format!(
                "[store]\naddress = \"memory:\"\n[atlas]\n{}",
                free.replace("admin = \"127.0.0.1:0", &format!("admin = \"{taken}"))
            ),
        ),
        ("store", "admin", format!("[store]\nadmin = \"{taken}\"\n")),
    ];
    for (program, key, text) in rows {
        let (code, told) = refusal(program, folder.path(), &text).await;
        assert_eq!(code, Some(CONFIGURATION), "{program}: {told}");
        let expected = format!(
            "{taken} is taken by another process; stop it or change [{program}] {key} in horizon.toml"
        );
        assert!(told.contains(&expected), "{program}: {told}");
    }
}

#[tokio::test]
async fn a_missing_plugin_folder_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, told) = refusal("region-server", folder.path(), "[paths]\nplugins = \"nowhere\"\n").await;
    assert_ne!(code, Some(0));
    let expected = format!("plugin folder {}", folder.path().join("nowhere").display());
    assert!(told.contains(&expected) && told.contains("create it, or correct its path"), "{told}");
}

/// The user of these tests may be root, who may write anywhere: a file stands where the folder should be.
#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("occupied"), "").expect("written");
    let text = "[store]\naddress = \"unix:store.sock\"\ndatabase = \"occupied/world.sqlite\"\nadmin = \"127.0.0.1:0\"\n";
    let (code, told) = refusal("store", folder.path(), text).await;
    assert_ne!(code, Some(0));
    assert!(told.contains("occupied/world.sqlite") && told.contains("give this user the right to"), "{told}");
}

#[tokio::test]
async fn a_stopped_world_tells_its_players_and_remembers_them() {
    let mut world = World::start("").await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, [30.0, 30.0, 0.5]).await;
    ada.follow(recording::walk(&[[30.0, 30.0, 0.5], [60.0, 30.0, 0.5]], 10.0));
    ada.send("chat", "say", json!({ "text": "one" }));
    ada.until_true("the end of the walk", |seen| seen.arrived && seen.place.is_some_and(|at| at[0] > 59.5))
        .await;
    let first = ada.until("an answer", |seen| seen.heard("chat/sent").next().cloned()).await;
    assert!(!world.workers().await.is_empty());

    world.shutdown().await;
    let reason = ada.until("the farewell", |seen| seen.closings.first().copied()).await;
    assert!(matches!(reason, ClosingReason::Shutdown | ClosingReason::Draining), "{reason:?}");
    drop(ada);

    world.start_store().await;
    world.start_atlas().await;
    let ada = Player::join(&world, "Ada", Spelling::Json, [-30.0, -30.0, 0.5]).await;
    ada.until_true("the own body where it was", |seen| {
        seen.place.is_some_and(|at| (at[0] - 60.0).abs() < 0.2 && (at[1] - 30.0).abs() < 0.2)
    })
    .await;
    ada.send("chat", "say", json!({ "text": "two" }));
    let second = ada.until("an answer", |seen| seen.heard("chat/sent").next().cloned()).await;
    let number = |sent: &serde_json::Value| {
        sent["id"].as_str().and_then(|id| id.rsplit('-').next()?.parse::<u64>().ok())
    };
    assert_eq!(number(&second), number(&first).map(|n| n + 1), "its components were kept");
    ada.assert_account().await;
    world.finish().await;
}
