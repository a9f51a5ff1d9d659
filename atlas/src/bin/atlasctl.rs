//! `atlasctl`: looks at a world and stops it, makes certificates, checks the configuration.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use horizon_atlas::admin::TOKEN_FILE;
use horizon_link::pki;
use horizon_service::config::Horizon;
use horizon_service::exit;
use serde_json::Value;

/// An answer about the state of things takes at most this long.
const ANSWER: Duration = Duration::from_secs(5);
/// A world has this long to save itself and end.
const STOP: Duration = Duration::from_secs(60);

/// Looks at a Horizon world and stops it.
#[derive(Parser)]
#[command(name = "atlasctl", version)]
struct Arguments {
    /// Configuration file; horizon.toml of the working folder where there is one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Admin listener of the atlas to ask [default: [atlas] admin of the configuration]
    #[arg(long, value_name = "ADDRESS", global = true)]
    admin: Option<SocketAddr>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows players, regions, workers and handoffs.
    Status {
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Lets another region server go on with a region: everybody stays in it, and the old one ends.
    Evacuate {
        /// Which, as `atlasctl map` names it.
        region: String,
    },
    /// Stops the whole world: players are told, state is saved, workers end.
    Shutdown,
    /// Certificates.
    #[command(subcommand)]
    Pki(Pki),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Shows the regions of the map with their bounds.
    Map,
}

#[derive(Subcommand)]
enum Pki {
    /// Makes the authority and all certificates that are missing or end soon.
    Init {
        /// Further names and addresses that players use to reach the edge, separated by commas.
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        names: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Config {
    /// Says what is wrong with it, and where.
    Check,
    /// Prints a file with every key, its default and what it means.
    Example,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(text) => {
            // A closed pipe is no failure of ours.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        Err(error) => exit::fail(&*error),
    }
}

fn run(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    if let Command::Config(Config::Example) = arguments.command {
        return Ok(horizon_service::config::example());
    }
    let config = Horizon::load_or_default(arguments.config.as_deref())?;
    let admin = arguments.admin.unwrap_or(config.atlas.admin);
    match &arguments.command {
        Command::Status { output } => {
            let body = request(admin, "GET /api/status", None, ANSWER)?;
            let status: Value = serde_json::from_str(&body)?;
            match output {
                Format::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&status)?)),
                Format::Text => Ok(describe(&status)),
            }
        }
        Command::Evacuate { region } => {
            let token = operator_token(&config)?;
            let asked = format!("POST /api/evacuate?region={region}");
            let done: Value = serde_json::from_str(&request(admin, &asked, Some(&token), STOP)?)?;
            let seconds = done["seconds"].as_f64().unwrap_or_default();
            let worker = done["worker"].as_str().unwrap_or_default();
            Ok(format!("region {region} goes on at worker {worker} after {seconds:.2} s\n"))
        }
        Command::Shutdown => {
            let token = operator_token(&config)?;
            request(admin, "POST /api/shutdown", Some(&token), STOP)?;
            Ok("the world has stopped\n".to_owned())
        }
        Command::Pki(Pki::Init { names }) => {
            pki::ensure(&config.paths.pki, names)?;
            Ok(format!("certificates are in {}\n", config.paths.pki.display()))
        }
        Command::Config(_) => {
            let file =
                config.file.as_ref().map_or_else(|| "defaults".to_owned(), |file| file.display().to_string());
            Ok(format!("{file}: nothing is wrong\n"))
        }
        Command::Map => Ok(map(&config)),
    }
}

fn operator_token(config: &Horizon) -> Result<String, String> {
    let path = config.paths.data.join(TOKEN_FILE);
    std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read the operator's token {}: {error}", path.display()))
}

fn map(config: &Horizon) -> String {
    let map = &config.world.map;
    let mut text = format!("{:<8} {:>24} {:>24}\n", "region", "lower corner", "upper corner");
    for region in map.regions() {
        let (low, high) = map.bounds(region).expect("listed regions are on the map");
        let corner = |[x, y]: [f64; 2]| format!("{x}, {y}");
        text.push_str(&format!("{:<8} {:>24} {:>24}\n", region.to_string(), corner(low), corner(high)));
    }
    text
}

fn describe(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let mut out = format!(
        "{}: {} players, {} crossings ({} per second), {} late, {} regions started by prediction\n\n",
        text(&status["world"]),
        text(&status["players"]),
        text(&status["crossings_total"]),
        text(&status["crossings_per_second"]),
        text(&status["late_targets"]),
        text(&status["spawned_by_prediction"]),
    );
    if let Some(away) = status["store"]["away_seconds"].as_f64() {
        out += &format!(
            "the store is out of reach for {away:.0} s: nothing becomes durable, nobody is handed over\n\n"
        );
    }
    let row = |cells: [String; 6]| {
        let [region, state, players, worker, lease, step] = cells;
        format!("{region:<8} {state:<10} {players:>7}  {worker:<18} {lease:<10} {step}\n")
    };
    out += &row(["region", "state", "players", "worker", "lease", "step p99 ms"].map(str::to_owned));
    for region in status["regions"].as_array().into_iter().flatten() {
        let keys = ["region", "state", "players", "worker", "lease"];
        let [a, b, c, d, e] = keys.map(|key| text(&region[key]));
        out += &row([a, b, c, d, e, text(&region["step_ms"]["p99"])]);
    }
    let row = |cells: [String; 5]| {
        let [worker, life, region, pid, link] = cells;
        format!("{worker:<18} {life:<9} {region:<8} {pid:>8}  {link}\n")
    };
    out += "\n";
    out += &row(["worker", "life", "region", "process", "linked"].map(str::to_owned));
    for worker in status["workers"].as_array().into_iter().flatten() {
        out += &row(["worker", "state", "region", "pid", "linked"].map(|key| text(&worker[key])));
    }
    out += &format!(
        "{} starting, {} retired, {} failed; {} of those with a link wait, {} are wanted, {} have a region\n",
        text(&status["starting"]),
        text(&status["ended"]["retired"]),
        text(&status["ended"]["failed"]),
        text(&status["pool"]["free"]),
        text(&status["pool"]["wanted"]),
        text(&status["pool"]["busy"]),
    );
    if status["dry_run"] == true {
        out += "this edge decides nothing: dry run\n";
    }
    out
}

/// One request to the admin listener; the body of the answer.
fn request(
    address: SocketAddr,
    line: &str,
    token: Option<&str>,
    within: Duration,
) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)
        .map_err(|error| format!("no atlas answers at {address} ([atlas] admin): {error}"))?;
    stream.set_read_timeout(Some(within))?;
    let token = token.map(|token| format!("authorization: Bearer {}\r\n", token.trim())).unwrap_or_default();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: atlas\r\ncontent-length: 0\r\nconnection: close\r\n{token}\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("atlas gave no answer")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some(status) => Err(format!("atlas answered {status}: {}", body.trim()).into()),
        None => Err("atlas gave no answer".into()),
    }
}
