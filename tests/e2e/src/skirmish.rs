//! Scripts of fights, trades and pickups, played in worlds that can be compared.

use serde_json::Value;

use crate::World;
use crate::world::run;

/// Companies of four and one who stands far away: around the corner, along two borders, and with a vehicle.
const COMPANIES: u64 = 4;
const PLAYERS: u64 = COMPANIES * 5;

/// Plays `actions` of each company to the end while region servers are killed, `kills` times: each time, wait until
/// everybody is there and as many handoffs have happened as there are borders. Returns the account.
pub async fn skirmish(world: &World, actions: u32, kills: usize) -> Value {
    let (url, authority) = (world.url(), world.authority().display().to_string());
    let (companies, actions) = (COMPANIES.to_string(), actions.to_string());
    let words = ["--url", &url, "--ca", &authority, "--companies", &companies, "--actions", &actions];
    let (output, ()) = tokio::join!(run("skirmish", &words), strike(world, kills));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the account is JSON")
}

async fn strike(world: &World, kills: usize) {
    let mut handoffs = 0;
    for _ in 0..kills {
        world
            .until("everybody at play", |status| (status["players"].as_u64() == Some(PLAYERS)).then_some(()))
            .await;
        let enough = handoffs + 4;
        while handoffs < enough {
            handoffs = world.handoffs().await.len();
        }
        world.warm().await;
        world.kill(crowded(&world.status().await));
    }
}

/// The server of the region with most players.
fn crowded(status: &Value) -> u32 {
    let regions = status["regions"].as_array().expect("regions").iter();
    let region = regions.max_by_key(|region| region["players"].as_u64()).expect("a region");
    let workers = status["workers"].as_array().expect("workers");
    let worker = workers.iter().find(|worker| worker["worker"] == region["worker"]).expect("it is served");
    worker["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process id")
}

/// What is wrong with an account by itself, in words.
pub fn faults(account: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for key in ["unanswered", "told_again"] {
        if account[key] != 0 {
            faults.push(format!("{key}: {}", account[key]));
        }
    }
    if account["tokens_before"] != account["tokens_after"] {
        let count = |key: &str| account[key].as_array().map_or(0, Vec::len);
        let (before, after) = (count("tokens_before"), count("tokens_after"));
        faults.push(format!("the {after} tokens afterwards are not the {before} from before"));
    }
    faults
}
