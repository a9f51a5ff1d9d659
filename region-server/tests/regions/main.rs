//! Regions that hand players to each other on virtual time: real regions, plugins and store rules.
#![allow(clippy::unwrap_used)]

mod borders;
mod buffer;
#[path = "../plugins/build.rs"]
#[allow(dead_code)]
mod build;
mod chance;
mod client;
mod harness;
mod load;
mod references;
mod rides;
mod sequence;
mod silence;

use std::time::Duration;

use chance::Delays;
use client::Faults;
use harness::{Harness, Moment};
use horizon_model::{PlayerId, Pose, Position};
use horizon_protocol::client::Spelling;

/// One that walks along x, back and forth over a border, at `speed` metres a second.
struct Walker {
    player: PlayerId,
    centre: [f64; 2],
    reach: f64,
    speed: f64,
}

impl Walker {
    fn pose(&self, elapsed: f64) -> Pose {
        let way = self.speed * elapsed;
        let lap = way.rem_euclid(4.0 * self.reach);
        let (x, sign) = match lap / self.reach {
            part if part < 1.0 => (lap, 1.0),
            part if part < 3.0 => (2.0 * self.reach - lap, -1.0),
            _ => (lap - 4.0 * self.reach, 1.0),
        };
        let position = Position::from_metres([self.centre[0] + x, self.centre[1], 1.0]).unwrap();
        Pose { position, velocity: [(self.speed * sign) as f32, 0.0, 0.0], yaw: 0.0 }
    }
}

/// Runs walkers for `seconds` with an input each fifth of a second.
fn play(
    world: &mut Harness,
    walkers: &[Walker],
    seconds: u64,
    mut each_second: impl FnMut(&mut Harness, u64),
) {
    let begun = world.now;
    let mut step = 0_u64;
    while world.now < begun + Duration::from_secs(seconds) {
        step += 1;
        world.run_until(begun + Duration::from_millis(step * 50));
        let elapsed = (world.now - begun).as_secs_f64();
        for walker in walkers {
            world.walk(walker.player, walker.pose(elapsed));
            if step.is_multiple_of(4) {
                world.send(walker.player, "ledger", "note", b"{\"n\":1}");
            }
        }
        if step.is_multiple_of(20) {
            each_second(world, step / 20);
        }
    }
    // Everything on its way arrives.
    world.run_until(begun + Duration::from_secs(seconds + 1));
}

fn walkers(world: &mut Harness, count: u64, speed: f64) -> Vec<Walker> {
    let walkers: Vec<Walker> = (0..count)
        .map(|n| {
            let centre = [0.0, -50.0 + 12.0 * n as f64];
            let spelling = if n % 2 == 0 { Spelling::Binary } else { Spelling::Json };
            let player = world.join(u128::from(n) + 1, [centre[0], centre[1], 1.0], spelling);
            Walker { player, centre, reach: 25.0 + n as f64, speed }
        })
        .collect();
    let now = world.now;
    world.run_until(now + Duration::from_millis(500));
    walkers
}

/// Asks every ledger at the end; what is wrong, in words.
fn ledger_faults(world: &mut Harness) -> Vec<String> {
    let players: Vec<PlayerId> = world.clients.keys().copied().collect();
    for player in &players {
        world.send(*player, "ledger", "report", b"{}");
    }
    let now = world.now;
    world.run_until(now + Duration::from_secs(2));
    let mut faults = Vec::new();
    for player in players {
        let client = &world.clients[&player];
        if client.unsettled() > 0 {
            faults.push(format!("{player}: {} inputs are not durable", client.unsettled()));
        }
        let report = client.events.iter().rev().find(|(name, _)| name == "ledger/report");
        let Some((_, report)) = report else {
            faults.push(format!("{player}: no report"));
            continue;
        };
        let right = report["count"] == client.inputs_sent
            && ["repeated", "skipped", "backwards"].iter().all(|wrong| report[wrong] == 0);
        if !right {
            faults.push(format!("{player}: sent {}, {report}", client.inputs_sent));
        }
    }
    faults
}

#[test]
fn walking_over_a_border_is_seen_by_nobody() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for (seed, hz) in [(1, 30), (2, 30), (3, 60)] {
        let mut world = Harness::new(plugins.path(), 2, hz, seed, Delays::SHORT);
        let walkers = walkers(&mut world, 5, 9.0);
        play(&mut world, &walkers, 40, |_, _| {});
        assert_eq!(ledger_faults(&mut world), Vec::<String>::new(), "seed {seed}");
        let crossings: u32 = world.clients.values().map(|client| client.crossings).sum();
        assert!(crossings >= 25, "{crossings} crossings");
        for client in world.clients.values() {
            assert_eq!(client.faults, Faults::default(), "player {} with seed {seed}", client.player);
            assert_eq!(client.resyncs, 0);
        }
        assert!(world.references.compared > 10_000, "{} comparisons", world.references.compared);
        // A neighbour hears of every second tick of a 60 Hz region.
        assert_rarely_late(&world, if hz == 60 { 10 } else { 100 });
    }
}

/// One picture in `share` may be a step late, at handoffs.
fn assert_rarely_late(world: &Harness, share: u64) {
    let (late, compared) = (world.references.late, world.references.compared);
    assert!(late * share <= compared, "{late} of {compared} pictures were a step late");
}

/// Control: a client that reads nothing for two seconds goes on drawing, and the same eyes see where.
#[test]
fn whoever_reads_nothing_draws_astray() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 6, Delays::SHORT);
    let walkers = walkers(&mut world, 2, 9.0);
    play(&mut world, &walkers, 9, |world, second| {
        // The walkers turn after three seconds and after nine.
        let client = world.clients.get_mut(&PlayerId(1)).expect("joined");
        client.blind = (2..4).contains(&second);
    });
    let astray = |player| world.clients[&PlayerId(player)].faults.astray.len();
    assert!(astray(1) > 20, "{} of {} comparisons", astray(1), world.references.compared);
}

/// Where four regions meet, with an edge that foresees nothing: a player who turns from one neighbour
/// to another finds each of them ready, because whoever is near is offered the player.
#[test]
fn around_a_corner_every_neighbour_is_ready() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 5, Delays::SHORT);
    world.foresight = false;
    // Three leaves through the corner, 30 m long: in by one region and out by any other.
    let pose = |elapsed: f64| {
        let (angle, pace) = (0.55 * elapsed, 0.55);
        let (reach, change) = (30.0 * (1.5 * angle).sin(), 45.0 * (1.5 * angle).cos());
        let position = Position::from_metres([reach * angle.cos(), reach * angle.sin(), 1.0]).unwrap();
        let along = [change * angle.cos() - reach * angle.sin(), change * angle.sin() + reach * angle.cos()];
        let [vx, vy] = along.map(|metres| (metres * pace) as f32);
        Pose { position, velocity: [vx, vy, 0.0], yaw: 0.0 }
    };
    let player = world.join(1, [0.0, 0.0, 1.0], Spelling::Binary);
    world.run_until(world.now + Duration::from_millis(500));
    let begun = world.now;
    for step in 1..=800_u64 {
        world.run_until(begun + Duration::from_millis(step * 50));
        world.walk(player, pose((world.now - begun).as_secs_f64()));
    }
    world.run_until(world.now + Duration::from_secs(1));
    assert!(world.arrivals >= 12, "{} arrivals", world.arrivals);
    assert_eq!(world.late, 0, "of {} arrivals", world.arrivals);
    assert_eq!(world.clients[&player].faults, Faults::default());
}

/// A clock some milliseconds behind: the commit arrives before the target has stepped the frozen tick.
#[test]
fn clocks_that_differ_repeat_and_miss_nothing() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 5, Delays::QUICK);
    world.odd_late = Duration::from_millis(8);
    let walkers = walkers(&mut world, 4, 9.0);
    play(&mut world, &walkers, 30, |_, _| {});
    assert!(world.clients.values().map(|client| client.crossings).sum::<u32>() >= 12);
    for client in world.clients.values() {
        assert_eq!(client.faults, Faults::default(), "player {}", client.player);
    }
    assert_rarely_late(&world, 100);
    assert_eq!(ledger_faults(&mut world), Vec::<String>::new());
}

/// A region of 60 Hz beside one of 30 Hz, the odd one slow by 500 µs a second from the start.
#[test]
fn neighbours_of_two_rates_miss_and_repeat_nothing() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for (seed, hz, slow_ppm) in [(1, [30, 60], 0), (2, [60, 30], 0), (3, [30, 60], 500), (4, [60, 30], 500)] {
        let mut world = Harness::with_rates(
            plugins.path(),
            2,
            hz,
            seed,
            Delays::QUICK,
            std::collections::BTreeMap::new(),
        );
        world.odd_slow_ppm = slow_ppm;
        let walkers = walkers(&mut world, 5, 9.0);
        play(&mut world, &walkers, 30, |_, _| {});
        let crossings: u32 = world.clients.values().map(|client| client.crossings).sum();
        assert!(crossings >= 15, "{crossings} crossings");
        // Regions that look at a movement at different moments may draw three bounds apart for two seconds.
        let mut astray = 0;
        for client in world.clients.values_mut() {
            astray += std::mem::take(&mut client.faults.astray).len() as u64;
            assert_eq!(client.faults, Faults::default(), "player {} with seed {seed}", client.player);
        }
        assert!(astray * 1000 <= world.references.compared, "{astray} of {}", world.references.compared);
        assert_rarely_late(&world, 20);
        assert_eq!(ledger_faults(&mut world), Vec::<String>::new(), "seed {seed}");
    }
}

/// Control: the same eyes see what a slow disk does to handoffs, and inputs are safe all the same.
#[test]
fn a_slow_disk_is_seen_and_loses_nothing() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 4, Delays::SLOW_DISK);
    let walkers = walkers(&mut world, 3, 9.0);
    play(&mut world, &walkers, 20, |_, _| {});
    let gaps: usize = world.clients.values().map(|client| client.faults.gaps.len()).sum();
    assert!(gaps > 0, "a handoff that waits for the disk leaves a gap");
    assert_eq!(ledger_faults(&mut world), Vec::<String>::new());
}

/// Kills the region of the first player twice; what the ledgers and the numbers of events say then.
fn play_with_kills(plugins: &std::path::Path, seed: u64, lying_disk: bool) -> Vec<String> {
    let mut world = Harness::new(plugins, 2, 30, seed, Delays::SHORT);
    let walkers = walkers(&mut world, 4, 9.0);
    world.lying_disk = lying_disk;
    play(&mut world, &walkers, 20, |world, second| {
        if second == 7 || second == 12 {
            let victim = world.clients[&PlayerId(1)].route.expect("attached");
            world.kill(victim);
            for client in world.clients.values_mut() {
                client.forgive();
            }
        }
    });
    ledger_faults(&mut world)
}

#[test]
fn a_killed_region_goes_on_where_it_was_durable() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for seed in [11, 12, 13, 14] {
        assert_eq!(play_with_kills(plugins.path(), seed, false), Vec::<String>::new(), "seed {seed}");
    }
}

/// The operator lets a successor go on: everybody stays, and nobody was shown a tick that the successor does not know.
#[test]
fn a_relieved_region_goes_on_where_everybody_saw_it() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for seed in [11, 12, 13, 14] {
        let mut world = Harness::new(plugins.path(), 2, 30, seed, Delays::SHORT);
        let walkers = walkers(&mut world, 4, 9.0);
        play(&mut world, &walkers, 20, |world, second| {
            if second == 7 || second == 12 {
                let of = world.clients[&PlayerId(1)].route.expect("attached");
                world.relieve(of);
                world.clients.values_mut().for_each(client::Client::forgive);
            }
        });
        assert_eq!(ledger_faults(&mut world), Vec::<String>::new(), "seed {seed}");
        assert_eq!(world.shown_and_lost, [0, 0], "seed {seed}");
        assert!(world.clients.values().all(|client| client.crossings > 0), "they cross again");
    }
}

/// Control: of a killed region something was shown that nobody knows any more.
#[test]
fn a_killed_region_has_shown_more_than_it_wrote() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let lost = (11..15).any(|seed| {
        let mut world = Harness::new(plugins.path(), 2, 30, seed, Delays::SHORT);
        let walkers = walkers(&mut world, 4, 9.0);
        play(&mut world, &walkers, 9, |world, second| {
            if second == 7 {
                let victim = world.clients[&PlayerId(1)].route.expect("attached");
                world.kill(victim);
            }
        });
        world.shown_and_lost.iter().any(|ticks| *ticks > 0)
    });
    assert!(lost);
}

/// Control: a disk that acknowledges what it does not have loses inputs, and the ledgers say so.
#[test]
fn a_lying_disk_is_caught_by_the_ledger() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let caught = (11..15).any(|seed| {
        let lied = std::panic::catch_unwind(|| play_with_kills(plugins.path(), seed, true));
        lied.map_or(true, |faults| !faults.is_empty())
    });
    assert!(caught);
}

/// Kills the target of a handoff at one moment of it; what the ledgers say then.
fn play_with_a_dead_target(plugins: &std::path::Path, moment: Moment, forgetful_disk: bool) -> Vec<String> {
    let mut world = Harness::new(plugins, 2, 30, 41, Delays::SHORT);
    let walkers = walkers(&mut world, 3, 9.0);
    world.forgetful_disk = forgetful_disk;
    play(&mut world, &walkers, 16, |world, second| {
        if second == 2 || second == 8 {
            world.kill_target_at = Some(moment);
        }
        // Whoever was there, and whoever looked on, sees a crash.
        if world.killed_target.take().is_some() {
            world.clients.values_mut().for_each(client::Client::forgive);
        }
    });
    assert_eq!(world.kill_target_at, None, "nobody crossed, so nobody was killed at {moment:?}");
    ledger_faults(&mut world)
}

/// At every moment of a handoff: either the source keeps the player, or the target's successor finds the
/// state that the record names, in the journal.
#[test]
fn a_target_may_die_at_any_moment() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for moment in [Moment::Staging, Moment::Staged, Moment::Decided, Moment::Activated] {
        let faults = play_with_a_dead_target(plugins.path(), moment, false);
        assert_eq!(faults, Vec::<String>::new(), "{moment:?}");
    }
}

/// Control: a target that asks the store before its disk has the state loses the player with it.
#[test]
fn a_disk_that_forgets_staged_states_is_caught() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    for moment in [Moment::Decided, Moment::Activated] {
        let lost = std::panic::catch_unwind(|| play_with_a_dead_target(plugins.path(), moment, true));
        assert!(lost.map_or(true, |faults| !faults.is_empty()), "{moment:?}");
    }
}

#[test]
fn chat_crosses_the_border_once() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 21, Delays::SHORT);
    let walkers = walkers(&mut world, 3, 9.0);
    play(&mut world, &walkers, 30, |world, second| {
        let text = format!("{{\"text\":\"line {second}\"}}");
        // Binary clients speak MessagePack: {"text": "line N"} spelled by hand.
        let line = format!("line {second}");
        let mut packed = vec![0x81, 0xa4];
        packed.extend_from_slice(b"text");
        packed.push(0xa0 | line.len() as u8);
        packed.extend_from_slice(line.as_bytes());
        world.send(PlayerId(1), "chat", "say", &packed);
        world.send(PlayerId(2), "chat", "say", text.as_bytes());
    });
    let now = world.now;
    world.run_until(now + Duration::from_secs(2));
    for client in world.clients.values() {
        let said: Vec<&serde_json::Value> =
            client.events.iter().filter(|(name, _)| name == "chat/said").map(|(_, value)| value).collect();
        assert_eq!(said.len(), 60, "player {} heard every line once", client.player);
    }
}

/// An object nobody owns crosses by the same machine, and players on both sides see every tick of it.
#[test]
fn a_ball_crosses_by_itself() {
    let plugins = build::own_plugins(&["movement", "ledger", "chat", "replay"]);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut rows = String::from("t_ms,id,x,y,z,yaw,vx,vy,vz\n");
    for n in 0..200 {
        // Eight metres a second, ten seconds one way, ten back.
        let (way, sign) = if n % 200 < 100 { (n, 1.0) } else { (200 - n, -1.0) };
        let x = -40.0 + f64::from(way) * 0.8;
        rows += &format!("{},0,{x},0,1,0,{},0,0\n", n * 100, 8.0 * sign);
    }
    std::fs::write(trace.path(), rows).unwrap();
    let config = serde_json::json!({ "trace": trace.path(), "pitches": [[0.0, -10.0]] });
    let configs = [("replay".to_owned(), config)].into();
    let mut world = Harness::with_configs(plugins.path(), 2, 30, 31, Delays::SHORT, configs);
    let walkers = walkers(&mut world, 2, 3.0);
    play(&mut world, &walkers, 60, |_, _| {});
    assert!(world.object_arrivals >= 4, "{} crossings of the ball", world.object_arrivals);
    for client in world.clients.values() {
        assert_eq!(client.faults, Faults::default(), "player {}", client.player);
        assert_eq!(client.seen.len(), 3, "the ball and both players");
    }
}
