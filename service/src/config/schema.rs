//! Every key of `horizon.toml`: its default and what it means. The one place that lists them.

use std::fmt::Write;

/// One `[section]`.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Dotted, as in the brackets.
    pub name: &'static str,
    /// What it is about, one sentence.
    pub doc: &'static str,
    /// In the order of the example.
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As in the file.
    pub name: &'static str,
    /// As it would be written in the file.
    pub default: &'static str,
    /// What it does, one or two sentences.
    pub doc: &'static str,
}

impl Section {
    /// The key `name`, which exists.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        self.keys.iter().find(|key| key.name == name).expect("readers ask for keys of the schema")
    }
}

/// The section `name`, which exists.
pub(super) fn section(name: &str) -> &'static Section {
    SECTIONS.iter().find(|section| section.name == name).expect("readers ask for sections of the schema")
}

const fn key(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, default, doc }
}

/// Every section with fixed keys. `[gorc.types.NAME.CHANNEL]` has the keys of its channel, `[regions.NUMBER]`
/// has `tick_hz`, and
/// `[plugin.NAME]` those its plugin knows.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "world",
        doc: "The world: its name, its clock and its division into regions.",
        keys: &[
            key("id", "1", "Number of the world, 1 to 4294967295. Every stored key begins with it."),
            key("name", "\"horizon\"", "Shown to people."),
            key(
                "tick_hz",
                "30",
                "Steps per second of every region that has no tick_hz of its own: 10, 12, 15, 20, 30 or 60.",
            ),
            key("region_metres", "200", "Edge of a square region in metres, a multiple of 50."),
            key("columns", "2", "Regions along x."),
            key("rows", "2", "Regions along y."),
            key(
                "origin_metres",
                "[-200, -200]",
                "Lower corner of the first region, x and y in metres, multiples of 50.",
            ),
            key(
                "spawn_metres",
                "[10, 10, 1]",
                "Where new players appear: x, y and z in metres, inside a region.",
            ),
        ],
    },
    Section {
        name: "paths",
        doc: "Folders. Relative ones start at the folder of this file.",
        keys: &[
            key("data", "\"data\"", "Journals and whatever else the processes write."),
            key(
                "plugins",
                "\"plugins\"",
                "Plugin libraries that region servers load. The environment variable PLUGIN_DIRECTORY goes before it.",
            ),
            key("pki", "\"data/pki\"", "Certificates and keys; created on the first start."),
        ],
    },
    Section {
        name: "store",
        doc: "The store: owners, leases and saved players.",
        keys: &[
            key(
                "address",
                "\"unix:data/store.sock\"",
                "Where the store is: unix:PATH for the store process, redis://, rediss://, redis+unix:// or redis+sentinel:// for a Redis server, memory: for tests.",
            ),
            key("database", "\"data/world.sqlite\"", "File of the store process."),
            key(
                "lease_ttl_ms",
                "2000",
                "A region whose server is silent this long may be taken over. Milliseconds, 200 to 60000.",
            ),
            key("admin", "\"127.0.0.1:7782\"", "Health and metrics of the store process."),
        ],
    },
    Section {
        name: "atlas",
        doc: "The edge: where players connect.",
        keys: &[
            key("listen", "\"127.0.0.1:7777\"", "Players connect here, by TLS (wss)."),
            key("link", "\"127.0.0.1:7778\"", "Region servers and other edges connect here, by QUIC (UDP)."),
            key(
                "advertise",
                "\"\"",
                "Address of link as others are told to dial it, host:port, where it is not the one it listens on. Empty: that one.",
            ),
            key(
                "edges",
                "[]",
                "Link addresses, host:port, of the edges of this world; one that is running is enough, it names the others. The own address may be among them.",
            ),
            key("admin", "\"127.0.0.1:7780\"", "Health, metrics and the page. Keep it off public networks."),
            key(
                "allowed_origins",
                "[]",
                "Web origins whose pages may connect, such as \"https://game.example\". Empty: only pages served from this address.",
            ),
            key("development_guests", "true", "Let anybody in as a guest. Turn off in production."),
            key(
                "worker_command",
                "\"\"",
                "Program that is started as a region server. Empty: region-server beside the running program.",
            ),
        ],
    },
    Section {
        name: "limits",
        doc: "What one connection or one address may do at the edge.",
        keys: &[
            key("tls_timeout_ms", "3000", "From accepting a connection to the end of its TLS handshake."),
            key("upgrade_timeout_ms", "5000", "From there to the WebSocket upgrade."),
            key("hello_timeout_ms", "5000", "From there to a valid hello."),
            key(
                "pending_connections",
                "512",
                "Connections that have not yet said a valid hello, all addresses together.",
            ),
            key("pending_per_address", "16", "The same, per IPv4 address or IPv6 /64."),
            key("connections_per_address", "64", "Open connections per address."),
            key("new_connections_per_second", "10", "Sustained rate of new connections per address."),
            key("new_connections_burst", "50", "New connections an address may make at once."),
            key("header_bytes", "8192", "Request line and headers together."),
            key("headers", "64", "Number of headers."),
            key("message_bytes", "16384", "Longest message from a client."),
            key("frames_per_second", "120", "Messages per second from a client."),
            key(
                "state_frames_per_second",
                "60",
                "State frames per second to a client; fewer spare a small device or a crowd of watchers.",
            ),
            key("bytes_per_second", "65536", "Bytes per second from a client."),
            key("control_frames_per_second", "10", "Pings and pongs per second from a client."),
            key(
                "invalid_messages_per_minute",
                "10",
                "Messages that cannot be read, before the connection is closed.",
            ),
            key(
                "handshakes",
                "32",
                "TLS handshakes at the same time; more wait for their turn, within tls_timeout_ms.",
            ),
            key("silent_seconds", "5", "A connection that sends nothing this long is closed."),
            key(
                "slow_seconds",
                "10",
                "A client that reads nothing this long is disconnected; it can resume.",
            ),
        ],
    },
    Section {
        name: "director",
        doc: "Which regions run, and where.",
        keys: &[
            key("grace_seconds", "30", "An empty region is retired after this long."),
            key("warm_workers", "1", "Region servers kept started without a region, at least."),
            key(
                "grow_above",
                "0.8",
                "Region servers are started while a larger share of them than this has a region: 0.1 to 1. 1: no more than warm_workers wait.",
            ),
            key(
                "shrink_below",
                "0.2",
                "Those that wait for longer than grace_seconds, and are more than warm_workers, end while a smaller share of all than this has a region: 0 to 1.",
            ),
            key(
                "place_within_ms",
                "3000",
                "A region server that has not taken its region after this long is given up for another.",
            ),
            key(
                "prepare_within_ms",
                "400",
                "How far ahead a neighbour is made ready, at least, before a player is expected there.",
            ),
            key("max_workers", "64", "Region servers at most."),
            key(
                "start_workers",
                "true",
                "Whether Atlas starts and ends region servers on its own machine. false: somebody else does (containers, other machines), they register by themselves, and warm_workers and max_workers mean nothing.",
            ),
            key(
                "max_lifetime_minutes",
                "0",
                "No region server is to serve for longer: one that is nearly as old gives its region, with everybody in it, to a fresh one, one at a time. 0: any age.",
            ),
            key("replace_at", "0.9", "Share of max_lifetime_minutes after which that is done: 0.1 to 1."),
            key(
                "lease_ms",
                "1000",
                "An edge that directs and is silent this long is followed by another edge. Milliseconds, 200 to 60000.",
            ),
            key("summary_hz", "5", "How often a region reports to its edges: 1 to 30 times a second."),
            key(
                "dry_run",
                "false",
                "This edge never directs: it logs what it would decide and does none of it. The same as --dry-run.",
            ),
        ],
    },
    Section {
        name: "region",
        doc: "One region server.",
        keys: &[
            key(
                "link",
                "\"127.0.0.1:0\"",
                "Other region servers connect here, by QUIC (UDP). Port 0: any free one.",
            ),
            key(
                "advertise",
                "\"\"",
                "Address that other region servers are told to dial, host:port, where it is not the one of link (address translation, a relay). Empty: that of link.",
            ),
            key("admin", "\"127.0.0.1:0\"", "Health and metrics. Port 0: any free one."),
            key(
                "max_players",
                "1000",
                "Players in one region; more are not accepted from neighbours. The environment variable MAX_PLAYERS goes before it.",
            ),
            key(
                "bounds_metres",
                "[]",
                "Serves only regions within this box: x and y of the lower corner and of the upper one, metres. Empty: any. The environment variable REGION_BOUNDS (\"-200,-200,0,0\") goes before it.",
            ),
            key(
                "client_bytes_s",
                "64000",
                "State bytes per second for one client; where there is more to tell, the most urgent comes first.",
            ),
            key("linger_seconds", "30", "An avatar whose player is disconnected stays this long."),
            key("pose_journal_ms", "250", "Longest time between two journalled poses of a moving body."),
            key("journal_segment_mib", "16", "A journal file is cut off at this size."),
        ],
    },
    Section {
        name: "gorc.channels.critical",
        doc: "Position, health, combat.",
        keys: &[
            key("radius_metres", "50", "Observers this near hold the channel."),
            key("hysteresis_metres", "3", "They lose it this much further out."),
            key("rate_hz", "30", "Updates per second at most; divides 60."),
            key("precision_cm", "9", "How far off a client's picture may be."),
            key("priority", "8", "Weight against the other channels where bytes are short."),
            key("nearest", "0", "Held for about this many objects at most, the nearest; 0 is no limit."),
        ],
    },
    Section {
        name: "gorc.channels.detailed",
        doc: "Velocity and heading.",
        keys: &[
            key("radius_metres", "150", "Observers this near hold the channel."),
            key("hysteresis_metres", "6", "They lose it this much further out."),
            key("rate_hz", "15", "Updates per second at most; divides 60."),
            key("precision_cm", "45", "How far off a client's picture may be."),
            key("priority", "4", "Weight against the other channels where bytes are short."),
            key("nearest", "0", "Held for about this many objects at most, the nearest; 0 is no limit."),
        ],
    },
    Section {
        name: "gorc.channels.cosmetic",
        doc: "Animation and effects.",
        keys: &[
            key("radius_metres", "300", "Observers this near hold the channel."),
            key("hysteresis_metres", "12", "They lose it this much further out."),
            key("rate_hz", "10", "Updates per second at most; divides 60."),
            key("precision_cm", "150", "How far off a client's picture may be."),
            key("priority", "2", "Weight against the other channels where bytes are short."),
            key("nearest", "0", "Held for about this many objects at most, the nearest; 0 is no limit."),
        ],
    },
    Section {
        name: "gorc.channels.metadata",
        doc: "Name, inventory, statistics.",
        keys: &[
            key("radius_metres", "1000", "Observers this near hold the channel."),
            key("hysteresis_metres", "30", "They lose it this much further out."),
            key("rate_hz", "2", "Updates per second at most; divides 60."),
            key("precision_cm", "190", "How far off a client's picture may be."),
            key("priority", "1", "Weight against the other channels where bytes are short."),
            key("nearest", "0", "Held for about this many objects at most, the nearest; 0 is no limit."),
        ],
    },
    Section {
        name: "log",
        doc: "What the processes tell on standard error.",
        keys: &[
            key("level", "\"info\"", "error, warn, info, debug or trace; per part: \"info,quinn=warn\"."),
            key("format", "\"text\"", "text or json (one object per line)."),
            key("file", "\"\"", "Write there instead of to standard error."),
        ],
    },
];

/// A complete file of defaults with every key explained.
pub fn example() -> String {
    let mut out = String::from("# Every key of Horizon with its default. An empty file means the same.\n");
    for section in SECTIONS {
        let _ = write!(out, "\n# {}\n[{}]\n", section.doc, section.name);
        for key in section.keys {
            let _ = write!(out, "# {}\n{} = {}\n", key.doc, key.name, key.default);
        }
    }
    out.push_str(
        "\n# Channels of one object type; keys left out are those of [gorc.channels].\n\
         # [gorc.types.arrow.critical]\n# rate_hz = 60\n\
         \n# A region that steps more often than the others.\n# [regions.2]\n# tick_hz = 60\n\
         \n# Settings of one plugin; the plugin says which there are.\n# [plugin.movement]\n# max_speed_mps = 30.0\n",
    );
    out
}

/// The tables of `docs/configuration.md`: one per section, in Markdown.
pub fn schema_table() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let _ = write!(
            out,
            "## `[{}]`\n\n{}\n\n| key | default | meaning |\n|---|---|---|\n",
            section.name, section.doc
        );
        for key in section.keys {
            let _ = writeln!(out, "| `{}` | `{}` | {} |", key.name, key.default, key.doc);
        }
        out.push('\n');
    }
    out
}
