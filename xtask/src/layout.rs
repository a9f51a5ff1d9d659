//! One folder for one world: configuration, plugins, certificates, state and logs.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::cargo::Built;
use crate::failure::{Failure, Outcome};
use crate::redis::{Server, Store};
use crate::trace;

/// Edge of a region where nothing else is said, in metres.
pub(crate) const REGION_METRES: i64 = 200;

/// State frames a second for each of many players who only stand there: their bots must leave the processors
/// to what is measured.
const MARCH_FRAMES_HZ: u32 = 2;

/// What the generated configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Pitches, each with its centre on an inner corner of the grid of regions.
    pub(crate) pitches: u32,
    /// Steps per second.
    pub(crate) hz: u32,
    /// Where the processes listen.
    pub(crate) ports: Ports,
    /// Where a second edge listens, if there is one.
    pub(crate) second_edge: Option<EdgePorts>,
    /// An empty region is retired after this long; the default of the configuration where absent.
    pub(crate) grace_seconds: Option<u32>,
    /// Where state is kept.
    pub(crate) store: Store,
    /// Region servers that are kept ready, none at 0; the default of the configuration where absent.
    pub(crate) warm_workers: Option<u32>,
    /// What the plugin `drill` does.
    pub(crate) drill: Drill,
    /// Edge of a region, and so the distance between two pitches, in metres.
    pub(crate) region_metres: i64,
    /// All of it is one region.
    pub(crate) one_region: bool,
}

/// Luggage for everybody, and a march over the border of two regions; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drill {
    /// Bytes that everybody carries, about.
    pub(crate) luggage_bytes: usize,
    /// Seconds between two changes of one entry of it; 0 is never.
    pub(crate) change_seconds: u64,
    /// So many players march at once; 0 is never.
    pub(crate) march_players: usize,
    /// After standing for so long.
    pub(crate) march_after_seconds: u64,
    /// Length of the border they march over, in metres. Where there is one, the world is two regions, this
    /// long and side by side, and nothing else.
    pub(crate) line_metres: i64,
    /// Things that lie about in each region in which somebody has been.
    pub(crate) objects: usize,
    /// No ball rolls over the corners: nobody but players needs a region.
    pub(crate) without_balls: bool,
}

/// Ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Players, TCP.
    pub(crate) listen: u16,
    /// Region servers, UDP.
    pub(crate) link: u16,
    /// Atlas' health, metrics and API, TCP.
    pub(crate) admin: u16,
    /// The store's health and metrics, TCP.
    pub(crate) store: u16,
}

/// Ports on 127.0.0.1 of an edge beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EdgePorts {
    /// Players, TCP.
    pub(crate) listen: u16,
    /// Region servers and other edges, UDP.
    pub(crate) link: u16,
    /// Health, metrics and API, TCP.
    pub(crate) admin: u16,
}

impl EdgePorts {
    /// Ports that nobody has at this moment.
    pub(crate) fn free() -> Outcome<Self> {
        Ports::free().map(|ports| Self { listen: ports.listen, link: ports.link, admin: ports.admin })
    }
}

impl Ports {
    /// The documented ones, beginning at `first`, which is 7777 by default.
    pub(crate) fn from(first: u16) -> Outcome<Self> {
        match first.checked_add(5) {
            Some(store) if first > 0 => Ok(Self { listen: first, link: first + 1, admin: first + 3, store }),
            _ => {
                Err(format!("--port {first} leaves no room for the five ports after it; choose another")
                    .into())
            }
        }
    }

    /// Ports that nobody has at this moment.
    pub(crate) fn free() -> Outcome<Self> {
        let failed = |error| format!("this machine has no free port: {error}");
        let tcp: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = |at: usize| tcp[at].local_addr().map(|address| address.port()).map_err(failed);
        let link = udp.local_addr().map_err(failed)?.port();
        Ok(Self { listen: port(0)?, link, admin: port(1)?, store: port(2)? })
    }
}

impl Plan {
    /// Columns and rows of pitches: as square as it goes.
    fn grid(&self) -> (u32, u32) {
        let columns = (1..=self.pitches).find(|columns| columns * columns >= self.pitches).unwrap_or(1);
        (columns, self.pitches.div_ceil(columns))
    }

    /// Centres of the pitches in metres.
    pub(crate) fn centres(&self) -> Vec<[i64; 2]> {
        let (columns, _) = self.grid();
        (0..self.pitches)
            .map(|pitch| [pitch % columns, pitch / columns].map(|at| i64::from(at) * self.region_metres))
            .collect()
    }

    /// The same for the command line of the bots.
    pub(crate) fn centres_argument(&self) -> String {
        let pairs: Vec<_> = self.centres().iter().map(|[x, y]| format!("{x},{y}")).collect();
        pairs.join(";")
    }

    fn toml(&self) -> String {
        let Self { pitches, hz, ports, second_edge, drill, region_metres, .. } = self;
        let edges = second_edge.iter().map(|edge| edge.link).chain([ports.link]);
        let edges: Vec<_> = edges.map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let (columns, rows) = self.grid();
        let (mut columns, mut rows) = (columns + 1, rows + 1);
        let (mut region_metres, mut low) = (*region_metres, [-region_metres; 2]);
        if drill.line_metres > 0 {
            // Regions are whole cells of 50 m, and the middle of the line is the world's origin.
            region_metres = (drill.line_metres + 199) / 100 * 100;
            (columns, rows, low) = (2, 1, [-region_metres, -region_metres / 2]);
        }
        if self.one_region {
            // As far as the others reach together.
            region_metres *= i64::from(columns.max(rows));
            (columns, rows) = (1, 1);
        }
        let [left, bottom] = low;
        let frames_hz = if drill.march_players > 0 { MARCH_FRAMES_HZ } else { 60 };
        let centres = if drill.line_metres > 0 || drill.without_balls { Vec::new() } else { self.centres() };
        let centres: Vec<_> = centres.iter().map(|[x, y]| format!("[{x}, {y}]")).collect();
        let mut text = format!(
            r#"# Written by `cargo xtask` at every start. To change something, copy this file elsewhere and give the copy
# with --config. Every key there is: docs/configuration.md.

[world]
# Worlds with other maps are other worlds: this number keeps their stored players apart.
id = {pitches}
tick_hz = {hz}
region_metres = {region_metres}
columns = {columns}
rows = {rows}
origin_metres = [{left}, {bottom}]

[paths]
data = "."
plugins = "plugins"
pki = "pki"

[store]
address = "{ADDRESS}"
database = "world.sqlite"
admin = "127.0.0.1:{store}"

[atlas]
listen = "127.0.0.1:{listen}"
link = "127.0.0.1:{link}"
admin = "127.0.0.1:{admin}"
edges = [{edges}]

# All bots come from one address.
[limits]
connections_per_address = 4096
pending_per_address = 512
new_connections_per_second = 500
new_connections_burst = 1000
state_frames_per_second = {frames_hz}

# The ball of every pitch.
[plugin.replay]
trace = "{BALL}"
pitches = [{centres}]
"#,
            store = ports.store,
            listen = ports.listen,
            link = ports.link,
            admin = ports.admin,
            edges = edges.join(", "),
            centres = centres.join(", "),
        );
        text.push_str("\n[director]\n");
        if let Some(seconds) = self.grace_seconds {
            let _ = writeln!(text, "grace_seconds = {seconds}");
        }
        if let Some(workers) = self.warm_workers {
            let _ = writeln!(text, "warm_workers = {workers}");
            if workers == 0 {
                // Nor for the share of them that has a region.
                text.push_str("grow_above = 1.0\n");
            }
        }
        if *drill != Drill::default() {
            let Drill { luggage_bytes, change_seconds, march_players, march_after_seconds, objects, .. } =
                drill;
            let _ = write!(
                text,
                "\n[plugin.drill]\nluggage_bytes = {luggage_bytes}\nchange_seconds = {change_seconds}\n\
                 march_players = {march_players}\nmarch_after_seconds = {march_after_seconds}\nobjects = {objects}\n"
            );
        }
        text
    }
}

/// Stands for the path of the ball's recording until the folder is known.
const BALL: &str = "{ball}";
/// Stands for the address of the store until the folder is known.
const ADDRESS: &str = "{address}";

/// 30 or 60 steps per second, for command lines.
pub(crate) fn parse_hz(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|hz| [30, 60].contains(hz)).ok_or_else(|| "it is 30 or 60".to_owned())
}

/// Fills `folder`: plugins, the ball's recording, a place for logs, and the configuration, whose path is
/// returned. What the world has stored there stays.
pub(crate) fn prepare(folder: &Path, plan: &Plan, traces: Option<&Path>, built: &Built) -> Outcome<PathBuf> {
    make_logs(folder)?;
    built.collect_plugins(&folder.join("plugins"))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::unwritable(&path, &error))?;
        Ok::<_, Failure>(path)
    };
    let ball = write("ball.csv", &trace::ball(traces)?)?;
    let address = match plan.store {
        Store::Sqlite => "unix:store.sock".to_owned(),
        Store::Redis => Server::of(folder).prepare(plan.pitches)?,
    };
    let text = plan.toml().replace(BALL, &ball.display().to_string()).replace(ADDRESS, &address);
    write("horizon.toml", &text)
}

/// Makes the folder of the logs and returns it.
pub(crate) fn make_logs(folder: &Path) -> Outcome<PathBuf> {
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).map_err(|error| Failure::unwritable(folder, &error))?;
    tempfile::tempfile_in(&logs).map_err(|error| Failure::unwritable(&logs, &error))?;
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pitches: u32) -> Plan {
        let ports = Ports::from(7777).expect("room");
        Plan {
            pitches,
            hz: 30,
            ports,
            second_edge: None,
            grace_seconds: Some(3),
            store: Store::Sqlite,
            warm_workers: None,
            drill: Drill::default(),
            region_metres: REGION_METRES,
            one_region: false,
        }
    }

    #[test]
    fn pitches_lie_on_inner_corners() {
        for (pitches, regions, last) in
            [(1, (2, 2), [0, 0]), (2, (3, 2), [200, 0]), (4, (3, 3), [200, 200]), (5, (4, 3), [200, 200])]
        {
            let plan = plan(pitches);
            let (columns, rows) = plan.grid();
            assert_eq!((columns + 1, rows + 1), regions, "{pitches}");
            assert_eq!(plan.centres().len(), pitches as usize);
            assert_eq!(plan.centres().last(), Some(&last), "{pitches}");
        }
        assert_eq!(plan(4).centres_argument(), "0,0;200,0;0,200;200,200");
    }

    #[test]
    fn the_configuration_is_toml() {
        let table: toml::Table = plan(4).toml().parse().expect("TOML");
        assert_eq!(table["atlas"]["listen"].as_str(), Some("127.0.0.1:7777"));
        assert_eq!(table["director"]["grace_seconds"].as_integer(), Some(3));
        assert_eq!(table["plugin"]["replay"]["pitches"].as_array().map(Vec::len), Some(4));
    }

    #[test]
    fn one_region_is_as_large_as_all_of_them() {
        let table: toml::Table = Plan { one_region: true, ..plan(1) }.toml().parse().expect("TOML");
        let world = &table["world"];
        assert_eq!((world["columns"].as_integer(), world["rows"].as_integer()), (Some(1), Some(1)));
        assert_eq!(world["region_metres"].as_integer(), Some(400));
        assert_eq!(world["origin_metres"][0].as_integer(), Some(-200));
    }

    #[test]
    fn edges_know_each_other() {
        let second_edge = Some(EdgePorts { listen: 1, link: 2, admin: 3 });
        let table: toml::Table = Plan { second_edge, ..plan(1) }.toml().parse().expect("TOML");
        let edges = table["atlas"]["edges"].as_array().expect("a list");
        assert_eq!(
            edges.iter().filter_map(|edge| edge.as_str()).collect::<Vec<_>>(),
            ["127.0.0.1:2", "127.0.0.1:7778"]
        );
    }

    #[test]
    fn a_march_has_two_regions_with_a_border_of_its_length() {
        let drill = Drill { march_players: 1000, line_metres: 20_000, luggage_bytes: 9, ..Drill::default() };
        let table: toml::Table = Plan { drill, ..plan(1) }.toml().parse().expect("TOML");
        let world = &table["world"];
        assert_eq!((world["columns"].as_integer(), world["rows"].as_integer()), (Some(2), Some(1)));
        assert_eq!(world["region_metres"].as_integer(), Some(20_100));
        assert_eq!(world["origin_metres"][1].as_integer(), Some(-10_050));
        assert_eq!(table["plugin"]["drill"]["luggage_bytes"].as_integer(), Some(9));
        assert_eq!(table["limits"]["state_frames_per_second"].as_integer(), Some(2));
    }

    #[test]
    fn ports_need_room() {
        assert!(Ports::from(65_533).is_err() && Ports::from(0).is_err());
    }
}
