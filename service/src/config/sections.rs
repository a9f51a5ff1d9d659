//! The sections with fixed keys. A value of any of these types is valid.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use horizon_model::{GridMap, Position, RegionId, RegionMap, TickRate, WorldId};
use tracing_subscriber::filter::Targets;

use super::document::{Document, numbers};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const DAY_SECONDS: u64 = DAY_MS / 1000;

/// `[world]`.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Every stored key begins with it.
    pub id: WorldId,
    /// Shown to people.
    pub name: String,
    /// Steps per second of a region, and how clients read what any region tells them.
    pub rate: TickRate,
    /// Regions that step more often: multiples of `rate`.
    pub fast: BTreeMap<RegionId, TickRate>,
    /// The division into regions, map epoch 1.
    pub map: RegionMap,
    /// Where new players appear; inside a region.
    pub spawn: Position,
}

impl World {
    pub(super) fn read(document: &Document<'_>) -> Self {
        let reader = document.section("world");
        reader.check_keys();
        let rate = reader.value("tick_hz", |value| {
            let hz = value.as_integer().and_then(|raw| raw.as_str().parse().ok()).unwrap_or(0);
            TickRate::from_hz(hz).map_err(|error| error.to_string())
        });
        let origin = reader.numbers("origin_metres");
        let size = reader.number("region_metres");
        let columns = reader.count("columns", 1..=65_535);
        let rows = reader.count("rows", 1..=65_535);
        let grid = GridMap::new(origin, size, columns, rows).unwrap_or_else(|error| {
            use horizon_model::MapError::{Count, Origin, Size};
            let key = match error {
                Size(_) => "region_metres",
                Origin(_) => "origin_metres",
                Count(..) => "columns",
            };
            reader.reject(key, &error.to_string());
            GridMap::new([-200.0, -200.0], 200.0, 2, 2).expect("the default map is valid")
        });
        let map = RegionMap { map_epoch: 1, grid };
        let spawn = Position::from_metres(reader.numbers("spawn_metres"))
            .filter(|spawn| map.owner_of(spawn).is_some())
            .unwrap_or_else(|| {
                let key = if reader.sets("spawn_metres") { "spawn_metres" } else { "origin_metres" };
                reader.reject(
                    key,
                    "new players would appear outside every region; move spawn_metres into the map",
                );
                Position::default()
            });
        let fast = read_fast(document, rate, &map);
        let id = WorldId(reader.count("id", 1..=u32::MAX));
        Self { id, name: reader.text("name"), rate, fast, map, spawn }
    }

    /// Steps per second of `region`.
    pub fn rate_of(&self, region: RegionId) -> TickRate {
        self.fast.get(&region).copied().unwrap_or(self.rate)
    }
}

/// `[regions.NUMBER]`: regions that step more often than the world.
fn read_fast(document: &Document<'_>, rate: TickRate, map: &RegionMap) -> BTreeMap<RegionId, TickRate> {
    let mut fast = BTreeMap::new();
    for (name, value) in document.table(&["regions"]).into_iter().flatten() {
        let text = name.get_ref().as_ref();
        let region = text.parse().map(RegionId).ok().filter(|region| map.regions().any(|of| of == *region));
        let (Some(region), Some(keys)) = (region, value.get_ref().as_table()) else {
            let last = map.regions().count().saturating_sub(1);
            let message =
                format!("{text:?} in [regions] is no region; write [regions.N], N from 0 to {last}");
            document.problem(name.span(), message);
            continue;
        };
        document.only(keys, &format!("[regions.{text}]"), &["tick_hz"]);
        let Some(found) = keys.get("tick_hz") else { continue };
        let raw = found.get_ref().as_integer().and_then(|raw| raw.as_str().parse().ok()).unwrap_or(0);
        match TickRate::from_hz(raw) {
            Ok(own) if own.hz().is_multiple_of(rate.hz()) => {
                fast.insert(region, own);
            }
            _ => {
                let message = format!(
                    "tick_hz in [regions.{text}] takes a multiple of the {} Hz in [world] that divides 60",
                    rate.hz()
                );
                document.problem(found.span(), message);
            }
        }
    }
    fast
}

/// `[paths]`, all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Journals and whatever else the processes write.
    pub data: PathBuf,
    /// Plugin libraries.
    pub plugins: PathBuf,
    /// Certificates and keys.
    pub pki: PathBuf,
}

impl Paths {
    pub(super) fn read(document: &Document<'_>, folder: &Path) -> Self {
        let reader = document.section("paths");
        reader.check_keys();
        let path = |key| folder.join(reader.text(key));
        Self { data: path("data"), plugins: path("plugins"), pki: path("pki") }
    }
}

/// Schemes of `[store] address` behind which a Redis server is.
const REDIS_SCHEMES: [&str; 5] = ["redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel"];

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `unix:` and an absolute path, `sqlite:` and an absolute path, the URL of a Redis server, or `memory:`.
    pub address: String,
    /// File of the store process, absolute.
    pub database: PathBuf,
    /// How long a lease lasts without renewal.
    pub lease_ttl: Duration,
    /// Health and metrics of the store process.
    pub admin: SocketAddr,
}

impl Store {
    pub(super) fn read(document: &Document<'_>, folder: &Path) -> Self {
        let reader = document.section("store");
        reader.check_keys();
        let address = reader.checked("address", |text| match text.split_once(':') {
            Some((scheme @ ("unix" | "sqlite"), path)) if !path.is_empty() => {
                Ok(format!("{scheme}:{}", folder.join(path).display()))
            }
            Some(("memory", "")) => Ok(text.to_owned()),
            Some((scheme, rest)) if REDIS_SCHEMES.contains(&scheme) && rest.starts_with("//") => {
                Ok(text.to_owned())
            }
            _ => Err("it takes unix:PATH, a Redis URL such as redis://HOST:PORT, sqlite:PATH or memory:"
                .to_owned()),
        });
        Self {
            address,
            database: folder.join(reader.text("database")),
            lease_ttl: reader.millis("lease_ttl_ms", 200..=60_000),
            admin: reader.address("admin"),
        }
    }

    /// The socket of the store process, where [`Self::address`] names one.
    pub fn socket(&self) -> Option<&Path> {
        self.address.strip_prefix("unix:").map(Path::new)
    }
}

/// `[atlas]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atlas {
    /// Players connect here, by TLS.
    pub listen: SocketAddr,
    /// Region servers and other edges connect here, by QUIC.
    pub link: SocketAddr,
    /// What others are told to dial, host:port, where it is not the address of the link.
    pub advertise: Option<String>,
    /// Link addresses of the world's edges, host:port.
    pub edges: Vec<String>,
    /// Health, metrics and the page.
    pub admin: SocketAddr,
    /// Lower-case `scheme://host[:port]` of pages that may connect; empty for the own origin alone.
    pub allowed_origins: Vec<String>,
    /// Whether anybody is let in as a guest.
    pub development_guests: bool,
    /// Program that is started as a region server; `None` for the one beside the running program.
    pub worker_command: Option<PathBuf>,
}

impl Atlas {
    pub(super) fn read(document: &Document<'_>, folder: &Path) -> Self {
        let reader = document.section("atlas");
        reader.check_keys();
        let listen = reader.address("listen");
        let admin = reader.address("admin");
        if listen == admin && listen.port() != 0 {
            reader
                .reject("admin", "players and administrators cannot share one address; choose another port");
        }
        let command = reader.text("worker_command");
        let worker_command = match command.as_str() {
            "" => None,
            bare if !bare.contains('/') => Some(PathBuf::from(bare)),
            path => Some(folder.join(path)),
        };
        Self {
            listen,
            link: reader.address("link"),
            advertise: reader.checked("advertise", advertised),
            edges: reader.texts("edges", host_and_port),
            admin,
            allowed_origins: reader.texts("allowed_origins", origin),
            development_guests: reader.switch("development_guests"),
            worker_command,
        }
    }

    /// Link address of an edge, to begin with: the first of those that are named, or its own.
    pub fn first_edge(&self) -> String {
        self.edges.first().cloned().unwrap_or_else(|| self.link.to_string())
    }

    /// The program to start as a region server.
    ///
    /// # Errors
    ///
    /// Where none is named and the path of the running program cannot be read.
    pub fn worker_program(&self) -> std::io::Result<PathBuf> {
        match &self.worker_command {
            Some(command) => Ok(command.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("region-server")),
        }
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let valid = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| "an entry is host:port, such as \"10.0.0.5:7778\"".to_owned())
}

fn advertised(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        address => host_and_port(address).map(Some).map_err(|_| "it takes host:port, or nothing".to_owned()),
    }
}

fn origin(text: &str) -> Result<String, String> {
    let valid = text.split_once("://").is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#'])
    });
    let allowed = "an origin is a scheme, a host and perhaps a port, such as \"https://game.example\"";
    valid.then(|| text.to_ascii_lowercase()).ok_or_else(|| allowed.to_owned())
}

/// `[limits]`: what one connection or one address may do at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From accepting to the end of the TLS handshake.
    pub tls_timeout: Duration,
    /// From there to the WebSocket upgrade.
    pub upgrade_timeout: Duration,
    /// From there to a valid hello.
    pub hello_timeout: Duration,
    /// Connections without a valid hello, all addresses together.
    pub pending_connections: usize,
    /// The same per IPv4 address or IPv6 /64.
    pub pending_per_address: usize,
    /// Open connections per address.
    pub connections_per_address: usize,
    /// Sustained rate of new connections per address.
    pub new_connections_per_second: u32,
    /// New connections an address may make at once.
    pub new_connections_burst: u32,
    /// Request line and headers together.
    pub header_bytes: usize,
    /// Number of headers.
    pub headers: usize,
    /// Longest message from a client.
    pub message_bytes: usize,
    /// Messages per second from a client.
    pub frames_per_second: u32,
    /// State frames per second to a client.
    pub state_frames_per_second: u32,
    /// Bytes per second from a client.
    pub bytes_per_second: u32,
    /// Pings and pongs per second from a client.
    pub control_frames_per_second: u32,
    /// Unreadable messages before the connection is closed.
    pub invalid_messages_per_minute: u32,
    /// TLS handshakes at the same time.
    pub handshakes: usize,
    /// A connection that sends nothing this long is closed.
    pub silent: Duration,
    /// A client that reads nothing this long is disconnected.
    pub slow: Duration,
}

impl Limits {
    pub(super) fn read(document: &Document<'_>) -> Self {
        let reader = document.section("limits");
        reader.check_keys();
        let rate = |key| reader.count(key, 1..=1_000_000_000);
        let size = |key| reader.count(key, 1..=1_000_000) as usize;
        Self {
            tls_timeout: reader.millis("tls_timeout_ms", 1..=DAY_MS),
            upgrade_timeout: reader.millis("upgrade_timeout_ms", 1..=DAY_MS),
            hello_timeout: reader.millis("hello_timeout_ms", 1..=DAY_MS),
            pending_connections: size("pending_connections"),
            pending_per_address: size("pending_per_address"),
            connections_per_address: size("connections_per_address"),
            new_connections_per_second: rate("new_connections_per_second"),
            new_connections_burst: rate("new_connections_burst"),
            header_bytes: reader.count("header_bytes", 512..=1_048_576) as usize,
            headers: reader.count("headers", 8..=1024) as usize,
            message_bytes: reader.count("message_bytes", 1024..=1_048_576) as usize,
            frames_per_second: rate("frames_per_second"),
            state_frames_per_second: reader.count("state_frames_per_second", 1..=60),
            bytes_per_second: rate("bytes_per_second"),
            control_frames_per_second: rate("control_frames_per_second"),
            invalid_messages_per_minute: rate("invalid_messages_per_minute"),
            handshakes: size("handshakes"),
            silent: reader.seconds("silent_seconds", 1..=DAY_SECONDS),
            slow: reader.seconds("slow_seconds", 1..=DAY_SECONDS),
        }
    }
}

/// `[director]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Director {
    /// An empty region is retired after this long.
    pub grace: Duration,
    /// Region servers kept started without a region, at least.
    pub warm_workers: usize,
    /// Region servers are started while a larger share of them has a region, 0.1 to 1.
    pub grow_above: f64,
    /// Region servers that wait end while a smaller share of all has a region, 0 to 1.
    pub shrink_below: f64,
    /// A worker that has not taken its region after this long is given up for another.
    pub place_within: Duration,
    /// How far ahead a neighbour is made ready, at least.
    pub prepare_within: Duration,
    /// Region servers at most.
    pub max_workers: usize,
    /// Whether Atlas starts region servers itself.
    pub start_workers: bool,
    /// No region server is to serve for longer; `None`: any age.
    pub max_lifetime: Option<Duration>,
    /// Share of `max_lifetime` after which a fresh one replaces it, 0.1 to 1.
    pub replace_at: f64,
    /// How long the right to direct lasts without renewal.
    pub lease: Duration,
    /// Time between two summaries of a region.
    pub summary_period: Duration,
    /// This edge logs what it would decide and does none of it.
    pub dry_run: bool,
}

impl Director {
    pub(super) fn read(document: &Document<'_>) -> Self {
        let reader = document.section("director");
        reader.check_keys();
        let warm_workers = reader.count("warm_workers", 0..=1024) as usize;
        let max_workers = reader.count("max_workers", 1..=65_535) as usize;
        if warm_workers > max_workers {
            reader.reject("warm_workers", "more spare region servers than max_workers allows");
        }
        Self {
            grace: reader.seconds("grace_seconds", 0..=DAY_SECONDS),
            warm_workers,
            grow_above: reader.share("grow_above", 0.1..=1.0),
            shrink_below: reader.share("shrink_below", 0.0..=1.0),
            replace_at: reader.share("replace_at", 0.1..=1.0),
            place_within: reader.millis("place_within_ms", 100..=600_000),
            prepare_within: reader.millis("prepare_within_ms", 1..=60_000),
            max_workers,
            start_workers: reader.switch("start_workers"),
            max_lifetime: match reader.integer("max_lifetime_minutes", 0..=1_000_000) {
                0 => None,
                minutes => Some(Duration::from_secs(minutes * 60)),
            },
            lease: reader.millis("lease_ms", 200..=60_000),
            summary_period: Duration::from_secs(1) / reader.count("summary_hz", 1..=30),
            dry_run: reader.switch("dry_run"),
        }
    }
}

/// `[region]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Other region servers connect here, by QUIC.
    pub link: SocketAddr,
    /// What other region servers are told to dial, host:port, where it is not the address of the link.
    pub advertise: Option<String>,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Players in one region.
    pub max_players: usize,
    /// This region server serves only regions within this box: x and y of the lower corner, then of the upper
    /// one, metres. `None`: any.
    pub bounds: Option<[f64; 4]>,
    /// State bytes per second for one client.
    pub client_bytes_s: u32,
    /// An avatar whose player is disconnected stays this long.
    pub linger: Duration,
    /// Longest time between two journalled poses of a moving body.
    pub pose_journal: Duration,
    /// A journal file is cut off at this size.
    pub journal_segment_bytes: u64,
}

impl Region {
    pub(super) fn read(document: &Document<'_>) -> Self {
        let reader = document.section("region");
        reader.check_keys();
        Self {
            link: reader.address("link"),
            advertise: reader.checked("advertise", advertised),
            admin: reader.address("admin"),
            max_players: reader.count("max_players", 1..=100_000) as usize,
            bounds: reader.value("bounds_metres", |value| match (value.as_array(), numbers(value)) {
                (Some(none), _) if none.is_empty() => Ok(None),
                (_, Some(bounds)) if is_box(&bounds) => Ok(Some(bounds)),
                _ => Err(format!("it takes {BOUNDS}, in brackets, or [] for any region")),
            }),
            client_bytes_s: reader.count("client_bytes_s", 2_000..=10_000_000),
            linger: reader.seconds("linger_seconds", 0..=DAY_SECONDS),
            pose_journal: reader.millis("pose_journal_ms", 16..=10_000),
            journal_segment_bytes: reader.integer("journal_segment_mib", 1..=4096) << 20,
        }
    }
}

/// What bounds are, in words.
pub(super) const BOUNDS: &str = "x and y of the lower corner and x and y of the upper one, metres";

/// Whether `bounds` have an inside.
pub(super) fn is_box([x0, y0, x1, y1]: &[f64; 4]) -> bool {
    x0 < x1 && y0 < y1
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter as [`Targets`] reads it.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
    /// Where to, absolute; standard error where absent.
    pub file: Option<PathBuf>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

impl Log {
    pub(super) fn read(document: &Document<'_>, folder: &Path) -> Self {
        let reader = document.section("log");
        reader.check_keys();
        let level =
            reader.checked("level", |text| match text.parse::<Targets>() {
                Ok(_) if !text.trim().is_empty() && names_a_level(text) => Ok(text.to_owned()),
                _ => Err("it takes error, warn, info, debug, trace or off, and TARGET=LEVEL after commas"
                    .to_owned()),
            });
        let format = reader.checked("format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("it takes \"text\" or \"json\"".to_owned()),
        });
        let file = Some(reader.text("file")).filter(|file| !file.is_empty()).map(|file| folder.join(file));
        Self { level, format, file }
    }
}

/// `Targets` takes a bare unknown word for a target at full detail; here that is a misspelt level.
fn names_a_level(filter: &str) -> bool {
    filter
        .split(',')
        .map(str::trim)
        .all(|part| part.contains('=') || part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok())
}
