//! One folder for one world: configuration, plugins, certificates, state and logs.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::cargo::Built;
use crate::failure::{Failure, Outcome};
use crate::redis::{Server, Store};
use crate::trace;

/// Edge of a region, and so the distance between two pitches, in metres.
const REGION_METRES: i64 = 200;

/// What the generated configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Pitches, each with its centre on an inner corner of the grid of regions.
    pub(crate) pitches: u32,
    /// Steps per second.
    pub(crate) hz: u32,
    /// Where the processes listen.
    pub(crate) ports: Ports,
    /// An empty region is retired after this long; the default of the configuration where absent.
    pub(crate) grace_seconds: Option<u32>,
    /// Where state is kept.
    pub(crate) store: Store,
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
            .map(|pitch| [pitch % columns, pitch / columns].map(|at| i64::from(at) * REGION_METRES))
            .collect()
    }

    /// The same for the command line of the bots.
    pub(crate) fn centres_argument(&self) -> String {
        let pairs: Vec<_> = self.centres().iter().map(|[x, y]| format!("{x},{y}")).collect();
        pairs.join(";")
    }

    fn toml(&self) -> String {
        let Self { pitches, hz, ports, grace_seconds, store: _ } = self;
        let (columns, rows) = self.grid();
        let (columns, rows) = (columns + 1, rows + 1);
        let centres: Vec<_> = self.centres().iter().map(|[x, y]| format!("[{x}, {y}]")).collect();
        let mut text = format!(
            r#"# Written by `cargo xtask` at every start. To change something, copy this file elsewhere and give the copy
# with --config. Every key there is: docs/configuration.md.

[world]
# Worlds with other maps are other worlds: this number keeps their stored players apart.
id = {pitches}
tick_hz = {hz}
region_metres = {REGION_METRES}
columns = {columns}
rows = {rows}
origin_metres = [-{REGION_METRES}, -{REGION_METRES}]

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

# All bots come from one address.
[limits]
connections_per_address = 4096
pending_per_address = 512
new_connections_per_second = 500
new_connections_burst = 1000

# The ball of every pitch.
[plugin.replay]
trace = "{BALL}"
pitches = [{centres}]
"#,
            store = ports.store,
            listen = ports.listen,
            link = ports.link,
            admin = ports.admin,
            centres = centres.join(", "),
        );
        if let Some(seconds) = grace_seconds {
            let _ = write!(text, "\n[director]\ngrace_seconds = {seconds}\n");
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
        Plan { pitches, hz: 30, ports, grace_seconds: Some(3), store: Store::Sqlite }
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
    fn ports_need_room() {
        assert!(Ports::from(65_533).is_err() && Ports::from(0).is_err());
    }
}
