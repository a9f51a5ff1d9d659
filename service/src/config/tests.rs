//! What a file may say, and what its author reads where it may not.

use std::path::Path;
use std::time::Duration;

use horizon_model::{ChannelSpec, RegionId};

use super::*;

fn parse(text: &str) -> Result<Horizon, Problems> {
    Horizon::parse("horizon.toml", text, Path::new("/srv/world"))
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("refused").to_string()
}

#[test]
fn an_empty_file_and_the_example_mean_the_defaults() {
    let empty = parse("").expect("valid");
    assert_eq!(parse(&example()), Ok(empty.clone()));
    assert_eq!(empty.world.rate.hz(), 30);
    assert_eq!(empty.world.map.regions().count(), 4);
    assert_eq!(empty.world.map.owner_of(&empty.world.spawn), Some(RegionId(3)));
    assert_eq!(empty.gorc.channels, ChannelSpec::DEFAULT);
    assert_eq!(empty.store.address, "unix:/srv/world/data/store.sock");
    assert_eq!(empty.store.socket(), Some(Path::new("/srv/world/data/store.sock")));
    assert_eq!(empty.paths.pki, Path::new("/srv/world/data/pki"));
    assert_eq!(empty.director.summary_period, Duration::from_millis(200));
    assert_eq!(empty.atlas.worker_command, None);
}

#[test]
fn refusals() {
    let rows = [
        (
            "[world]\n\ntick_rate = 3",
            "horizon.toml:3: unknown key \"tick_rate\" in [world]; did you mean \"tick_hz\"?",
        ),
        ("[wrold]\nid = 1", "horizon.toml:1: unknown section \"wrold\"; did you mean \"world\"?"),
        ("tick_hz = 30", "horizon.toml:1: \"tick_hz\" is outside its section; write it below [world]"),
        ("world = 3", "horizon.toml:1: \"world\" is a section; write [world] and its keys below"),
        (
            "[world]\ntick_hz = 25",
            "horizon.toml:2: tick_hz in [world] is 25; 25 Hz does not divide the world grid of 60 Hz; \
             choose 10, 12, 15, 20, 30 or 60",
        ),
        (
            "[world]\ncolumns = \"two\"",
            "horizon.toml:2: columns in [world] is \"two\"; it takes a whole number from 1 to 65535",
        ),
        (
            "[world]\nspawn_metres = [1, 2]",
            "horizon.toml:2: spawn_metres in [world] is [1, 2]; it takes 3 numbers in brackets",
        ),
        (
            "[world]\nspawn_metres = [1e3, 0, 0]",
            "horizon.toml:2: spawn_metres in [world]: new players would appear outside every region; \
             move spawn_metres into the map",
        ),
        (
            "[atlas]\nlisten = \"localhost\"",
            "horizon.toml:2: listen in [atlas] is \"localhost\"; it takes an address and a port such as \"127.0.0.1:7777\" or \"[::]:7777\"",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "horizon.toml:2: level in [log] is \"loud\"; it takes error, warn, info, debug, trace or off, and TARGET=LEVEL after commas",
        ),
        (
            "[store]\naddress = \"tcp:1\"",
            "horizon.toml:2: address in [store] is \"tcp:1\"; it takes unix:PATH, a Redis URL such as redis://HOST:PORT, sqlite:PATH or memory:",
        ),
        (
            "[regions.4]\ntick_hz = 60",
            "horizon.toml:1: \"4\" in [regions] is no region; write [regions.N], N from 0 to 3",
        ),
        (
            "[regions.1]\ntick_hz = 20",
            "horizon.toml:2: tick_hz in [regions.1] takes a multiple of the 30 Hz in [world] that divides 60",
        ),
        (
            "[gorc.channels.critcal]\nrate_hz = 3",
            "horizon.toml:1: unknown key \"critcal\" in [gorc.channels]; did you mean \"critical\"?",
        ),
        (
            "[gorc.types.arrow.critical]\nrate_hz = 7",
            "horizon.toml:1: [gorc.types.arrow]: a channel rate of 7 Hz does not divide 60; \
             choose 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = "[world]\nrows = 0\n[limits]\nheaders = true\n[region]\nmax_player = 3\n";
    let problems = parse(text).expect_err("refused");
    let lines: Vec<usize> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 6], "{problems}");
}

#[test]
fn broken_syntax_names_its_line() {
    assert!(refusal("[world]\nname = \"a\n").starts_with("horizon.toml:2: "));
}

#[test]
fn types_lay_their_channels_over_the_default_ones() {
    let text = "[gorc.channels.detailed]\nradius_metres = 100\n[gorc.types.arrow.critical]\nrate_hz = 60\n";
    let gorc = parse(text).expect("valid").gorc;
    assert_eq!(gorc.channels_for("arrow")[0].rate_hz, 60);
    assert_eq!(gorc.channels_for("arrow")[1].radius_metres, 100.0);
    assert_eq!(gorc.channels_for("anything else")[0].rate_hz, 30);
}

#[test]
fn one_region_may_step_more_often_than_the_world() {
    let world = parse("[world]\ntick_hz = 20\n[regions.2]\ntick_hz = 60\n").expect("valid").world;
    let rates: Vec<u64> = (0..4).map(|region| world.rate_of(RegionId(region)).hz()).collect();
    assert_eq!(rates, [20, 20, 60, 20]);
}

#[test]
fn plugins_have_free_tables() {
    let text = "[plugin.movement]\nspeed = 8.5\nbounds = { low = [1, -2], on = true }\n";
    let plugins = parse(text).expect("valid").plugins;
    let expected = serde_json::json!({ "speed": 8.5, "bounds": { "low": [1, -2], "on": true } });
    assert_eq!(plugins["movement"], expected);
}

#[test]
fn a_file_is_found_by_its_path_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("horizon.toml");
    let error = Horizon::load(&path).expect_err("not there yet");
    assert!(error.to_string().contains(path.to_str().expect("text")), "{error}");
    std::fs::write(&path, "[paths]\ndata = \"state\"\n").expect("written");
    let horizon = Horizon::load(&path).expect("valid");
    assert_eq!(horizon.paths.data, folder.path().join("state"));
    assert_eq!(horizon.file, Some(path));
}

#[test]
fn the_documentation_lists_every_key() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(
        page.contains(&schema_table()),
        "paste what `cargo run -p horizon-service --example configuration -- --tables` prints into docs/configuration.md"
    );
}

#[test]
fn tests_listen_on_free_ports() {
    let horizon = Horizon::default_for_tests();
    for address in [horizon.atlas.listen, horizon.atlas.link, horizon.atlas.admin, horizon.region.link] {
        assert_eq!(address.port(), 0);
    }
}
