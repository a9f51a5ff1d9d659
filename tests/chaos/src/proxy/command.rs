//! The words that a proxy understands over a line.
//!
//! ```text
//!   udp  ROAD LISTEN TARGET         answers `ok ADDRESS`: where it listens
//!   tcp  ROAD LISTEN TARGET         the same
//!   unix ROAD PATH PATH             answers `ok`
//!   set  ROAD up|down|both [from ADDRESS] [loss=PERCENT] [duplicate=PERCENT] [delay_ms=N] [jitter_ms=N] [cut]
//!   cut  ROAD up|down|both
//!   heal ROAD                       fair weather; `heal *` for every road
//!   reset ROAD                      ends its connections
//!   passed ROAD                     answers `ok forwarded=N lost=N repeated=N`
//! ```
//!
//! Every line has one answer: `ok …` or `error SENTENCE`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::weather::{Direction, Directions, Weather};
use super::{Proxy, ProxyError};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Opens a road for datagrams.
    Udp(String, SocketAddr, SocketAddr),
    /// Opens a road for TCP.
    Tcp(String, SocketAddr, SocketAddr),
    /// Opens a road between Unix sockets.
    Unix(String, PathBuf, PathBuf),
    /// Changes the weather.
    Set {
        /// Which road.
        road: String,
        /// Of one dialler only.
        dialler: Option<SocketAddr>,
        /// Which ways.
        directions: Directions,
        /// What from now on.
        weather: Weather,
    },
    /// Fair weather; `None` for every road.
    Heal(Option<String>),
    /// Ends connections.
    Reset(String),
    /// Asks what has passed.
    Passed(String),
}

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The first word.
    #[error("{0:?} is no command; say udp, tcp, unix, set, cut, heal, reset or passed")]
    Verb(String),
    /// Too few words.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A word that is no value of its kind.
    #[error("{word:?} is no {kind}")]
    Word {
        /// The word.
        word: String,
        /// What it should be.
        kind: &'static str,
    },
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_ascii_whitespace();
        let mut next = |what| words.next().ok_or(CommandError::Missing(what));
        let verb = next("a command")?;
        let road = next("the name of a road")?.to_owned();
        Ok(match verb {
            "udp" => Self::Udp(road, address(next("LISTEN")?)?, address(next("TARGET")?)?),
            "tcp" => Self::Tcp(road, address(next("LISTEN")?)?, address(next("TARGET")?)?),
            "unix" => Self::Unix(road, next("PATH")?.into(), next("the target's PATH")?.into()),
            "cut" => {
                let directions = directions(next("up, down or both")?)?;
                Self::Set { road, dialler: None, directions, weather: Weather::CUT }
            }
            "set" => {
                let directions = directions(next("up, down or both")?)?;
                let (mut dialler, mut weather) = (None, Weather::FAIR);
                while let Some(word) = words.next() {
                    match word.split_once('=') {
                        None if word == "cut" => weather.cut = true,
                        None if word == "from" => {
                            let word = words.next().ok_or(CommandError::Missing("the dialler's ADDRESS"))?;
                            dialler = Some(address(word)?);
                        }
                        Some(("loss", value)) => weather.loss_percent = percent(value)?,
                        Some(("duplicate", value)) => weather.duplicate_percent = percent(value)?,
                        Some(("delay_ms", value)) => weather.delay = milliseconds(value)?,
                        Some(("jitter_ms", value)) => weather.jitter = milliseconds(value)?,
                        _ => return Err(wrong(word, "kind of weather")),
                    }
                }
                Self::Set { road, dialler, directions, weather }
            }
            "heal" => Self::Heal((road != "*").then_some(road)),
            "reset" => Self::Reset(road),
            "passed" => Self::Passed(road),
            other => return Err(CommandError::Verb(other.to_owned())),
        })
    }
}

/// Does what a line says, and answers.
///
/// # Errors
///
/// [`ProxyError`].
pub async fn perform(proxy: &mut Proxy, command: Command) -> Result<String, ProxyError> {
    let done = || "ok".to_owned();
    Ok(match command {
        Command::Udp(road, listen, target) => format!("ok {}", proxy.udp(&road, listen, target).await?),
        Command::Tcp(road, listen, target) => format!("ok {}", proxy.tcp(&road, listen, target).await?),
        Command::Unix(road, listen, target) => {
            proxy.unix(&road, listen, target)?;
            done()
        }
        Command::Set { road, dialler, directions, weather } => {
            proxy.set(&road, dialler, directions, weather)?;
            done()
        }
        Command::Heal(Some(road)) => {
            proxy.heal(&road)?;
            done()
        }
        Command::Heal(None) => {
            proxy.heal_all();
            done()
        }
        Command::Reset(road) => {
            proxy.reset(&road)?;
            done()
        }
        Command::Passed(road) => {
            let passed = proxy.passed(&road)?;
            format!("ok forwarded={} lost={} repeated={}", passed.forwarded, passed.lost, passed.repeated)
        }
    })
}

fn wrong(word: &str, kind: &'static str) -> CommandError {
    CommandError::Word { word: word.to_owned(), kind }
}

fn address(word: &str) -> Result<SocketAddr, CommandError> {
    word.parse().map_err(|_| wrong(word, "IP address with a port"))
}

fn directions(word: &str) -> Result<Directions, CommandError> {
    match word {
        "up" => Ok(Directions::Only(Direction::Up)),
        "down" => Ok(Directions::Only(Direction::Down)),
        "both" => Ok(Directions::Both),
        _ => Err(wrong(word, "direction (up, down or both)")),
    }
}

fn percent(word: &str) -> Result<f64, CommandError> {
    let value: Option<f64> = word.parse().ok();
    value.filter(|value| (0.0..=100.0).contains(value)).ok_or_else(|| wrong(word, "percentage"))
}

fn milliseconds(word: &str) -> Result<Duration, CommandError> {
    word.parse().map(Duration::from_millis).map_err(|_| wrong(word, "number of milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let home = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let road = || "peer-2".to_owned();
        let rows: &[(&str, Result<Command, CommandError>)] = &[
            ("udp peer-2 127.0.0.1:0 127.0.0.1:9", Ok(Command::Udp(road(), home(0), home(9)))),
            ("unix peer-2 a.sock b.sock", Ok(Command::Unix(road(), "a.sock".into(), "b.sock".into()))),
            (
                "set peer-2 down from 127.0.0.1:7 loss=5 jitter_ms=40",
                Ok(Command::Set {
                    road: road(),
                    dialler: Some(home(7)),
                    directions: Directions::Only(Direction::Down),
                    weather: Weather {
                        loss_percent: 5.0,
                        jitter: Duration::from_millis(40),
                        ..Weather::FAIR
                    },
                }),
            ),
            (
                "cut peer-2 both",
                Ok(Command::Set {
                    road: road(),
                    dialler: None,
                    directions: Directions::Both,
                    weather: Weather::CUT,
                }),
            ),
            ("heal *", Ok(Command::Heal(None))),
            ("heal peer-2", Ok(Command::Heal(Some(road())))),
            ("cut peer-2 sideways", Err(wrong("sideways", "direction (up, down or both)"))),
            ("set peer-2 up loss=101", Err(wrong("101", "percentage"))),
            ("set peer-2 up fog", Err(wrong("fog", "kind of weather"))),
            ("burn peer-2", Err(CommandError::Verb("burn".into()))),
            ("cut", Err(CommandError::Missing("the name of a road"))),
        ];
        for (line, expected) in rows {
            assert_eq!(&line.parse::<Command>(), expected, "{line}");
        }
    }
}
