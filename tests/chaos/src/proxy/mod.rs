//! A network that misbehaves when told to: roads between processes, each with its own weather.
//!
//! ```text
//!   dialler ── up ──▶ ┌───────┐ ── up ──▶ target
//!           ◀─ down ─ │ Proxy │ ◀─ down ─
//!                     └───────┘   Weather per (road, direction), or per (road, dialler, direction)
//! ```
//!
//! A road forwards datagrams (UDP, so QUIC too) or streams (TCP, Unix sockets). Datagrams are lost, repeated,
//! delayed and reordered; bytes of a stream are delayed and held. Chance comes from one seed; which datagram meets
//! which throw depends on the order in which they arrive, so a seed repeats the weather and not the run.

mod command;
mod dice;
mod stream;
mod udp;
mod weather;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use command::{Command, CommandError, perform};
use dice::Dice;
pub use weather::{Direction, Directions, Weather};

/// Why a road cannot be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The listening end.
    #[error("the road {road} cannot listen: {source}; choose another address")]
    Listen {
        /// Which.
        road: String,
        /// Why not.
        source: io::Error,
    },
    /// Nobody opened it.
    #[error("there is no road called {0}; open it first")]
    Unknown(String),
    /// It is open already.
    #[error("there is a road called {0} already; choose another name")]
    Taken(String),
}

/// What has passed a road.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Datagrams, or pieces of a stream, that were forwarded.
    pub forwarded: u64,
    /// Datagrams that were lost.
    pub lost: u64,
    /// Datagrams that were forwarded twice.
    pub repeated: u64,
}

/// All roads of one test. Dropping it closes them.
pub struct Proxy {
    seed: u64,
    roads: BTreeMap<String, Arc<Road>>,
    addresses: BTreeMap<String, SocketAddr>,
}

/// One way between diallers and a target.
pub(crate) struct Road {
    state: Mutex<State>,
    /// Counts changes of the weather; who holds bytes back looks again.
    changed: watch::Sender<u64>,
    /// Counts resets; connections of an older count end.
    resets: watch::Sender<u64>,
    tasks: Mutex<Vec<AbortHandle>>,
}

struct State {
    dice: Dice,
    weather: [Weather; 2],
    of_dialler: BTreeMap<SocketAddr, [Weather; 2]>,
    passed: Passed,
}

/// What is to be done with one datagram: it leaves after each of these times, or not at all.
pub(crate) type Fate = Vec<std::time::Duration>;

impl Proxy {
    /// No roads yet.
    pub const fn new(seed: u64) -> Self {
        Self { seed, roads: BTreeMap::new(), addresses: BTreeMap::new() }
    }

    /// Forwards datagrams that arrive at `listen` to `target`, each dialler through a socket of its own. Returns where
    /// it listens, with the port that was chosen.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub async fn udp(
        &mut self,
        name: &str,
        listen: SocketAddr,
        target: SocketAddr,
    ) -> Result<SocketAddr, ProxyError> {
        let road = self.road(name)?;
        let opened = udp::open(Arc::clone(&road), listen, target).await;
        let address = opened.map_err(|source| listen_error(name, source))?;
        self.roads.insert(name.to_owned(), road);
        self.addresses.insert(name.to_owned(), address);
        Ok(address)
    }

    /// Forwards TCP connections to `listen` to `target`.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub async fn tcp(
        &mut self,
        name: &str,
        listen: SocketAddr,
        target: SocketAddr,
    ) -> Result<SocketAddr, ProxyError> {
        let road = self.road(name)?;
        let opened = stream::open_tcp(Arc::clone(&road), listen, target).await;
        let address = opened.map_err(|source| listen_error(name, source))?;
        self.roads.insert(name.to_owned(), road);
        self.addresses.insert(name.to_owned(), address);
        Ok(address)
    }

    /// Forwards connections to the Unix socket `listen` to the one at `target`.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub fn unix(&mut self, name: &str, listen: PathBuf, target: PathBuf) -> Result<(), ProxyError> {
        let road = self.road(name)?;
        stream::open_unix(&road, listen, target).map_err(|source| listen_error(name, source))?;
        self.roads.insert(name.to_owned(), road);
        Ok(())
    }

    /// Where a road listens that has an address.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn address(&self, name: &str) -> Result<SocketAddr, ProxyError> {
        self.addresses.get(name).copied().ok_or_else(|| ProxyError::Unknown(name.to_owned()))
    }

    /// Changes the weather of a road: of one dialler, whatever it is for the others, or of all.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn set(
        &self,
        name: &str,
        dialler: Option<SocketAddr>,
        directions: Directions,
        weather: Weather,
    ) -> Result<(), ProxyError> {
        let road = self.find(name)?;
        {
            let mut state = road.state();
            let general = state.weather;
            let both = match dialler {
                Some(dialler) => state.of_dialler.entry(dialler).or_insert(general),
                None => &mut state.weather,
            };
            for direction in directions.each() {
                both[direction.index()] = weather;
            }
        }
        road.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Nothing passes in these directions any more. Connections stay open: it is silence, not an end.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn cut(&self, name: &str, directions: Directions) -> Result<(), ProxyError> {
        self.set(name, None, directions, Weather::CUT)
    }

    /// Fair weather on a road, for everybody.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn heal(&self, name: &str) -> Result<(), ProxyError> {
        let road = self.find(name)?;
        {
            let mut state = road.state();
            state.weather = [Weather::FAIR; 2];
            state.of_dialler.clear();
        }
        road.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Fair weather everywhere.
    pub fn heal_all(&self) {
        for name in self.roads.keys() {
            self.heal(name).expect("roads that were opened are known");
        }
    }

    /// Ends every connection of a stream road, as a peer that dies does. Datagrams have none.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn reset(&self, name: &str) -> Result<(), ProxyError> {
        self.find(name)?.resets.send_modify(|count| *count += 1);
        Ok(())
    }

    /// What has passed a road, both directions together.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Unknown`].
    pub fn passed(&self, name: &str) -> Result<Passed, ProxyError> {
        Ok(self.find(name)?.state().passed)
    }

    fn road(&self, name: &str) -> Result<Arc<Road>, ProxyError> {
        if self.roads.contains_key(name) {
            return Err(ProxyError::Taken(name.to_owned()));
        }
        let dice = Dice::of(self.seed, name);
        Ok(Arc::new(Road {
            state: Mutex::new(State {
                dice,
                weather: [Weather::FAIR; 2],
                of_dialler: BTreeMap::new(),
                passed: Passed::default(),
            }),
            changed: watch::Sender::new(0),
            resets: watch::Sender::new(0),
            tasks: Mutex::default(),
        }))
    }

    fn find(&self, name: &str) -> Result<&Arc<Road>, ProxyError> {
        self.roads.get(name).ok_or_else(|| ProxyError::Unknown(name.to_owned()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for road in self.roads.values() {
            let tasks = road.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.iter().for_each(AbortHandle::abort);
            road.resets.send_modify(|count| *count += 1);
        }
    }
}

impl Road {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete at once, so what a panic left behind can be used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about one datagram.
    fn decide(&self, dialler: SocketAddr, direction: Direction) -> Fate {
        let mut state = self.state();
        let State { dice, weather, of_dialler, passed } = &mut *state;
        let weather = of_dialler.get(&dialler).unwrap_or(weather)[direction.index()];
        if weather.cut || dice.percent() < weather.loss_percent {
            passed.lost += 1;
            return Fate::new();
        }
        passed.forwarded += 1;
        let mut fate = vec![weather.delay + weather.jitter.mul_f64(dice.share())];
        if dice.percent() < weather.duplicate_percent {
            passed.repeated += 1;
            fate.push(weather.delay + weather.jitter.mul_f64(dice.share()));
        }
        fate
    }

    /// The weather of a stream, which has no address that tells its diallers apart.
    fn weather(&self, direction: Direction) -> Weather {
        self.state().weather[direction.index()]
    }

    /// Remembers a task that ends with the road.
    fn keep(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

fn listen_error(road: &str, source: io::Error) -> ProxyError {
    ProxyError::Listen { road: road.to_owned(), source }
}

#[cfg(test)]
mod tests;
